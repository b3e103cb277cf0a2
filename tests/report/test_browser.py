"""The page of a run and of a comparison, in a browser: all is drawn, and what can be moved moves."""

import base64
import io

import pytest
from PIL import Image

from raygan.report.comparison.page import compare
from raygan.report.run.page import write_report
from tests.report.browser import ask, needs_chromium
from tests.report.folders import made_run, measured_row, played_row, rewrite, shade_of, write_data

pytestmark = needs_chromium

LOOK = """
  const part = name => document.getElementById(name);
  const move = (name, value, event) => { part(name).value = value; part(name).dispatchEvent(new Event(event)); };
  const plots = [...document.querySelectorAll(".plotly-graph-div")];
  const drawn = plots.filter(plot => plot.querySelector(".trace")).map(plot => plot.id);
  const state = () => ({
    round: part("moment-is").textContent,
    pictures: [...document.querySelectorAll("img[id^=picture]")].map(image => image.src),
    cells: [...document.querySelectorAll(".cells td")].map(cell => cell.textContent),
    shares: part("classes")?.data[0].y,
    y: part("quality").data.map(trace => trace.y),
    x: part("quality").data.map(trace => trace.x),
    titles: ["xaxis", "yaxis"].map(axis => part("quality").layout[axis].title.text),
    shapes: part("quality").layout.shapes?.length,
    better: part("better").textContent,
  });
"""


def shade_in(source):
    """The grey in the middle of the first sample of a page's picture."""
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        return image.getpixel((4, 4))


def test_the_page_of_a_run_is_drawn_and_its_slider_and_drop_downs_move_it(tmp_path):
    page = write_report(made_run(tmp_path / "run"), tmp_path / "page.html")
    script = f"""{LOOK}
      const first = state();
      move("moment", 0, "input");
      const begin = state();
      move("measure", "classes_found", "change");
      move("axis", "sim_s", "change");
      return {{plots: plots.map(plot => plot.id), drawn, first, begin, other: state()}};"""
    found = ask(page, script, width=390)
    assert found["said"] == []
    assert found["wide"] <= 390, "nothing sticks out of a phone"
    assert found["drawn"] == found["plots"]
    assert found["plots"] == [
        *("classes", "quality", "losses", "seconds", "traffic", "simulated-phases", "measured-phases", "partition")
    ]
    first, begin, other = found["first"], found["begin"], found["other"]
    assert (first["round"], begin["round"]) == ("round 10", "round 0")
    assert [shade_in(state["pictures"][0]) for state in (first, begin)] == [shade_of(10), shade_of(0)]
    assert first["cells"] == ["FD-clf", "20", "10", "classes found", "2", "1"]
    assert begin["cells"][:3] == ["FD-clf", "200", "100"]
    assert (first["shares"], begin["shares"]) == ([60, 40], [100, 0])
    assert first["y"] == [[200, 50, 20], [100, 25, 10]]
    assert (first["titles"], first["better"]) == (["rounds", "FD-clf (log)"], "lower is better")
    assert (other["x"], other["y"]) == ([[0, 10, 20]] * 2, [[2, 2, 2], [1, 1, 1]])
    assert (other["titles"], other["better"]) == (["simulated seconds", "classes found"], "higher is better")


PARTITION = """
  const chart = document.getElementById("partition"), [trace] = chart._fullData;
  const texts = what => [...chart.querySelectorAll(what)].map(text => text.textContent);
  return {from: trace.zmin, to: trace.zmax, ticks: texts(".xtick text")};"""


@pytest.mark.slow
def test_who_holds_few_samples_of_a_class_is_not_drawn_as_holding_none(tmp_path):
    folder = made_run(tmp_path / "run")
    write_data(folder, [[3] * 30, [5] * 29 + [7], [4] * 30], classes=[f"class {number}" for number in range(30)])
    (folder / "evaluation.json").unlink()
    for width in (390, 1280):
        found = ask(write_report(folder, tmp_path / "page.html"), PARTITION, width=width)
        assert (found["from"], found["to"]) == (0, 7)
        assert found["ticks"] == ["0", "1", "2"]


@pytest.mark.slow
def test_play_goes_through_all_pictures_and_stops(tmp_path):
    page = write_report(made_run(tmp_path / "run"), tmp_path / "page.html")
    script = f"""{LOOK}
      const seen = [], look = () => seen.push([part("moment-is").textContent, part("play").textContent]);
      part("moment").addEventListener("input", look);
      part("play").click();
      await new Promise(done => setTimeout(done, 1800));
      look();
      return {{seen}};"""
    assert ask(page, script, width=900)["seen"] == [
        *(["round 0", "Stop"], ["round 5", "Stop"], ["round 10", "Stop"], ["round 10", "Play"])
    ]


@pytest.mark.slow
def test_one_slider_moves_the_pictures_of_all_compared_runs(tmp_path):
    made_run(tmp_path / "a", values=(100.0, 40.0, 30.0))
    made_run(tmp_path / "b", "method=fedgan", values=(100.0, 60.0), played=7)
    page = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "page.html").page
    script = f"""{LOOK}
      const first = state();
      move("moment", 1, "input");
      const middle = state();
      move("measure", "fd_clf_raw", "change");
      move("axis", "megabytes", "change");
      return {{drawn, first, middle, other: state()}};"""
    found = ask(page, script, width=390)
    assert found["said"] == []
    assert found["wide"] <= 390
    assert found["drawn"] == ["quality"]
    first, middle, other = found["first"], found["middle"], found["other"]
    assert (first["round"], middle["round"]) == ("round 10", "round 5")
    assert [shade_in(source) for source in first["pictures"]] == [shade_of(10), shade_of(5)], (
        "the nearest evaluated one"
    )
    assert [shade_in(source) for source in middle["pictures"]] == [shade_of(5)] * 2
    assert first["cells"] == ["10", "30", "2", "5", "60", "2"]
    assert (first["y"], first["shapes"]) == ([[100, 40, 30], [100, 60]], 1)
    assert (other["y"], other["shapes"]) == ([[50, 20, 15], [50, 30]], 0), "the target is of another measurement"
    assert (other["x"], other["titles"][1]) == ([[0, 15, 30], [0, 15]], "FD-clf, raw generator")


LEGEND = """
  const chart = document.getElementById("quality");
  const box = what => chart.querySelector(what).getBoundingClientRect();
  const sizes = () => ({plot: box(".nsewdrag").height, legend: box(".legend").bottom, hidden: box(".scrollbar").height,
    entries: box(".legend .scrollbox").bottom, next: document.querySelectorAll("h2")[1].getBoundingClientRect().top});
  const found = [sizes()];
  for (const width of ["500px", "1000px"]) {
    document.body.style.width = width;
    window.dispatchEvent(new Event("resize"));
    await new Promise(done => setTimeout(done, 400));
    found.push(sizes());
  }
  return {found, looks: chart.data.map(trace => `${trace.line.color} ${trace.line.dash}`)};"""


@pytest.mark.slow
def test_many_runs_look_different_and_their_legend_leaves_the_plot_its_room(tmp_path):
    folders = [
        made_run(tmp_path / f"a-run-of-a-rather-long-name-and-seed-{seed}", f"seed={seed}") for seed in range(40)
    ]
    found = ask(compare(folders, tmp_path / "page.html").page, LEGEND, width=1280)
    assert len(set(found["looks"])) == 32, "as many as there are colours and dashes"
    for sizes in found["found"]:
        assert sizes["plot"] > 250
        assert sizes["hidden"] == 0, "nothing to scroll for"
        assert sizes["entries"] <= sizes["legend"] < sizes["next"]


@pytest.mark.slow
def test_long_names_of_classes_and_measurements_have_room(tmp_path):
    folder = made_run(tmp_path / "run")
    write_data(folder, [[3, 7], [6, 4], [1, 9]], classes=["a very long name of a class " * 3, "another long name " * 4])
    rows = [played_row(0) | measured_row(50.0, 0.5) | {"my_own_measurement_of_something_" * 4: 1.0}]
    rewrite(folder, rows)
    script = f"""{LOOK}
      const box = what => part("classes").querySelector(what).getBoundingClientRect();
      const table = document.querySelector("table.cells");
      return {{legend: box(".legend").bottom, names: box(".xaxislayer-above").top, bars: box(".bars").height,
               table: table.getBoundingClientRect().right, room: table.parentElement.getBoundingClientRect().right}};"""
    for width in (390, 900):
        found = ask(write_report(folder, tmp_path / "page.html"), script, width=width)
        assert found["legend"] < found["names"]
        assert found["bars"] > 60, "they are not squeezed by the names"
        assert found["table"] <= found["room"] + 1
        assert found["wide"] <= width

"""The page of a sweep: its order, its charts and what it makes of trials that came to nothing."""

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest

from raygan import load_sweep
from raygan.report.grid import image_grid, save_picture
from raygan.report.sweep.page import SweepResults, write_sweep_page
from raygan.report.sweep.results import found, rank_points
from tests.errors import raises
from tests.report.browser import dump, needs_chromium

LR, NAME, TRIM = "device_optimizer.lr", "aggregation.name", "aggregation.trim"
SCRIPT = "<script>alert(1)</script>"


def made(folder, values, seconds=1.0, picture=True):
    """A trial's run folder: rounds 0, 10, ... with fd_clf of `values`, each round `seconds` and 3 MB."""
    rows = []
    for round in range(10 * (len(values) - 1) + 1):
        row = {"round": round, "wall_s": 1.0, "sim_s": round * seconds, "bytes_up": 3_000_000 * bool(round)}
        if round % 10 == 0:
            row |= {"fd_clf": values[round // 10], "eval_samples": 50}
        rows.append(row)
    folder.mkdir(parents=True)
    (folder / "rounds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if picture:
        save_picture(image_grid(np.zeros((4, 1, 8, 8), np.uint8), 2), folder / "samples" / "round_000010.png")


def trial(folder, name, values, point=0, status="finished", error="", seconds=1.0, **keys):
    """A trial's row, with its run folder; no `values`: a folder that was never made."""
    if values:
        made(folder / "runs" / name, values, seconds)
    last = 10 * (len(values) - 1) if values else None
    return {
        "trial": name,
        "point": point,
        "status": status,
        **keys,
        "round": last,
        "fd_clf": values[-1] if values else None,
        "best fd_clf": min(values, default=None),
        "sim_s": last and last * seconds,
        "megabytes": last and 3.0 * last,
        "wall_s": 1.0,
        "run": f"runs/{name}",
        "error": error,
    }


def results(rows, varied, **changes):
    table = pd.DataFrame(rows).sort_values("fd_clf", kind="stable").reset_index(drop=True)
    table.insert(0, "rank", range(1, len(table) + 1))
    ranked = {"metric": "fd_clf", "mode": "min", "quality": "fd_clf", "target": None}
    return SweepResults(table, varied, **(ranked | {"title": "A sweep", "question": "Which rate?"} | changes))


def twelve(folder):
    """Six points of two seeds each; the last trial failed before its first evaluation."""
    points = [("mean", None, 1e-5), ("mean", None, 2e-4), ("trimmed_mean", 1, 2e-4)]
    points += [("trimmed_mean", 2, 1e-3), ("mean", None, 3e-3), ("trimmed_mean", 1, 5e-5)]
    rows = []
    for point, (name, trim, lr) in enumerate(points):
        for seed in (0, 1):
            failed = (point, seed) == (4, 1)
            rows.append(
                trial(
                    folder,
                    f"t{point}-{seed}",
                    [] if failed else [400.0 + seed, 100.0, 50.0 - 5 * point + seed],
                    point=point,
                    status="failed" if failed else "finished",
                    error=f"a bad end {SCRIPT}" if failed else "",
                    seconds=1.0 + point / 10,
                    **{LR: lr, NAME: name, TRIM: trim, "seed": seed},
                )
            )
    return results(rows, [LR, NAME, TRIM])


def page_of(given, folder):
    out = folder / "report.html"
    write_sweep_page(given, folder, out)
    return re.sub(r"<script>/\*\*.*?</script>", "", out.read_text(), count=1, flags=re.DOTALL)  # less plotly itself


def redraw_of(page):
    return json.loads(re.search(r"const \{axes, groups\} = (\{.*\});", page)[1])


def values_of(field):
    """Of a plotly array, as it lies in the page."""
    return np.frombuffer(base64.b64decode(field["bdata"]), field["dtype"]).tolist() if "bdata" in field else field


def test_points_are_ranked_by_the_mean_over_their_seeds(tmp_path):
    points = rank_points(twelve(tmp_path))
    assert points.index.tolist() == [5, 4, 3, 2, 1, 0]
    assert points.loc[5, ["mean", "seeds", "status"]].tolist() == [25.5, 2, "2 finished"]
    assert points.loc[5, "std"] == pytest.approx(0.5**0.5)
    assert points.loc[4, ["mean", "seeds", "status"]].tolist() == [30.0, 1, "1 finished, 1 failed"]
    text = found(twelve(tmp_path / "again"), points)
    assert "Best point of 6: fd_clf 25.5 ± 0.71 (mean ± std of 2 seeds)" in text
    assert f"{LR} = 5e-05, {NAME} = trimmed_mean, {TRIM} = 1. " in text
    assert text.endswith("12 trials: 11 finished, 1 failed.")


def test_higher_is_better_where_it_is(tmp_path):
    rows = [trial(tmp_path, f"t{point}", [9.0, 9.0 - point], point, **{LR: point}) for point in (0, 1)]
    assert rank_points(results(rows, [LR], mode="max")).index.tolist() == [0, 1]
    assert rank_points(results(rows, [LR])).index.tolist() == [1, 0]


def test_a_point_that_half_of_the_seeds_reach_the_target_with_is_behind(tmp_path):
    rows = [
        trial(tmp_path, f"t{point}-{seed}", [90.0, 30.0], point, **{LR: point}) | {"sim_s_to_target": cost}
        for point, seed, cost in [(0, 0, 5.0), (0, 1, None), (1, 0, 8.0), (1, 1, 9.0)]
    ]
    cost = results(rows, [LR], metric="sim_s_to_target", target=40.0)
    assert rank_points(cost).index.tolist() == [1, 0]
    page = page_of(cost, tmp_path)
    assert "Best point of 2: sim_s_to_target 8.5 ± 0.71" in page
    assert "target: fd_clf of 40" in page
    curves = page.partition('id="curves"')[2].partition("</script>")[0]
    assert '"text":"fd_clf"' in curves, "the curves are of the quality"


def test_the_page_has_all_parts_in_their_order_and_needs_nothing_else(tmp_path):
    page = page_of(twelve(tmp_path), tmp_path)
    parts = ["<h1>A sweep</h1>", "Which rate?", "Best point of 6", "Points, best first", "All 12 trials", 'id="curves"']
    parts += ['id="parallel"', 'id="slice-0"', 'id="slice-2"', 'id="pareto"', "The last pictures"]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert not re.findall(r'(?:src|href)="(?!data:)', page), "nothing is fetched"
    assert page.count("data:image/png;base64,") == 5, "the best points', not all"
    assert (tmp_path / "report.html").read_text().count("plotly.js v") == 1
    rows = re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL)
    assert re.findall(r">([^<>\n]+)</td>", rows[1]) == [
        *["1", "5", "5e-05", "trimmed_mean", "1", "25.5", "0.7071", "2", "20", "30", "60", "2 finished"]
    ]


def test_names_and_errors_are_escaped(tmp_path):
    rows = [trial(tmp_path, f"t{n}", [9.0, 3.0], n, error=SCRIPT, **{NAME: f"{n}{SCRIPT}", LR: n}) for n in (0, 1)]
    page = page_of(results(rows, [NAME, LR], title=f"of {SCRIPT}", question=SCRIPT), tmp_path)
    assert SCRIPT not in page
    assert page.count("alert(1)") > 6


def test_curves_can_be_redrawn_by_axis_and_by_key(tmp_path):
    page = page_of(twelve(tmp_path), tmp_path)
    redraw = redraw_of(page)
    assert re.findall(r'<option value="(\w+)">', page) == ["round", "megabytes", "sim_s"]
    assert redraw["axes"]["megabytes"]["x"][0] == [0, 30, 60]
    assert redraw["axes"]["sim_s"]["x"][-1] == [0, 15, 30], "the best lies on top"
    assert re.findall(r"<option>(.+)</option>", page) == [LR, NAME, TRIM]
    group = redraw["groups"][TRIM]
    assert len(group["name"]) == 11, "the failed one has no curve"
    assert set(group["name"]) == {"1", "2", "-"}
    assert sum(group["first"]) == 3
    assert len({(name, colour) for name, colour in zip(group["name"], group["colour"], strict=True)}) == 3


def test_the_front_is_drawn_in_steps(tmp_path):
    rows = [
        trial(tmp_path, name, [90.0, last], point, seconds=seconds, **{LR: point})
        for point, (name, last, seconds) in enumerate([("slow", 10.0, 3), ("fast", 30.0, 1), ("beaten", 40.0, 2)])
    ]
    page = page_of(results(rows, [LR]), tmp_path)
    drawn = re.search(r'newPlot\(\s*"pareto",\s*(\[.*?\]),\s*\{"', page, flags=re.DOTALL)[1]
    front = json.loads(drawn)[0]
    assert (values_of(front["x"]), values_of(front["y"])) == ([10, 30], [30, 10])
    assert front["line"]["shape"] == "hv"


def test_without_simulated_time_the_page_says_so(tmp_path):
    rows = [trial(tmp_path, f"t{n}", [9.0, 3.0 + n], n, seconds=0, **{LR: n}) for n in (0, 1)]
    page = page_of(results(rows, [LR]), tmp_path)
    assert "Simulated time does not tell these trials apart" in page
    assert 'id="pareto"' not in page
    assert redraw_of(page)["axes"].keys() == {"round", "megabytes"}


def test_one_trial_of_one_key_makes_a_page(tmp_path):
    page = page_of(results([trial(tmp_path, "only", [9.0, 3.0], **{LR: 0.1})], [LR]), tmp_path)
    assert f"Best point: fd_clf 3 at {LR} = 0.1. 1 trial: 1 finished." in page
    assert "std" not in re.search(r"<thead>.*?</thead>", page, flags=re.DOTALL)[0]
    assert 'id="slice-0"' in page
    assert 'id="parallel"' not in page


def test_a_sweep_of_seeds_only_makes_a_page(tmp_path):
    rows = [trial(tmp_path, f"t{seed}", [9.0, 3.0 + seed], seed=seed) for seed in (0, 1)]
    page = page_of(results(rows, []), tmp_path)
    assert "Best point: fd_clf 3.5 ± 0.71 (mean ± std of 2 seeds) at the only settings" in page
    assert list(redraw_of(page)["groups"]) == ["point"]


def test_a_sweep_that_failed_makes_a_page_with_its_errors(tmp_path):
    rows = [trial(tmp_path, f"t{n}", [], n, "failed", f"error {n}", **{LR: n, NAME: "a"}) for n in (0, 1)]
    page = page_of(results(rows, [LR, NAME]), tmp_path)
    assert "No trial has a value of fd_clf. 2 trials: 2 failed." in page
    assert "No trial has been evaluated." in page
    assert "error 1" in page
    assert "plotly-graph-div" not in page


def test_a_damaged_trial_is_named_and_left_out_of_the_charts(tmp_path):
    rows = [trial(tmp_path, f"t{n}", [9.0, 3.0 + n], n, **{LR: n}) for n in (0, 1)]
    (tmp_path / "runs" / "t1" / "rounds.jsonl").write_text("{\n")
    page = page_of(results(rows, [LR]), tmp_path)
    assert re.search(r"Left out of the charts: .*t1.*rounds.jsonl, line 1: not JSON", page)
    assert len(redraw_of(page)["axes"]["round"]["x"]) == 1


def test_a_trial_whose_metric_is_infinite_is_last_and_not_drawn(tmp_path):
    rows = [trial(tmp_path, f"t{n}", [9.0, 3.0 + n], n, **{LR: 10.0**-n, NAME: "a"}) for n in (0, 1)]
    rows.append(trial(tmp_path, "off", [9.0, float("inf")], 2, **{LR: 1.0, NAME: "b"}))
    given = results(rows, [LR, NAME])
    assert rank_points(given).index.tolist() == [0, 1, 2]
    page = page_of(given, tmp_path)
    assert ">inf</td>" in page
    assert 'id="parallel"' in page


def test_a_page_that_cannot_be_written_is_one_line(tmp_path):
    given = results([trial(tmp_path, "only", [9.0, 3.0], **{LR: 0.1})], [LR])
    (tmp_path / "file").write_text("")
    with raises("--out", "unreadable", "file/report.html"):
        write_sweep_page(given, tmp_path, tmp_path / "file" / "report.html")


@needs_chromium
def test_a_browser_draws_every_chart_without_complaint(tmp_path):
    page_of(twelve(tmp_path), tmp_path)
    dom, said = dump(tmp_path / "report.html")
    assert said == []
    divs = re.split(r'(?=<div id="[\w-]+" class="plotly-graph-div)', dom)[1:]
    drawn = {re.match(r'<div id="([\w-]+)"', div)[1]: div for div in divs}
    assert list(drawn) == ["curves", "parallel", "slice-0", "slice-1", "slice-2", "pareto"]
    assert all('class="main-svg"' in div for div in drawn.values())
    assert drawn["curves"].count('class="trace scatter') == 11
    assert drawn["curves"].count('class="legendtext"') == 5, "a group each"
    assert drawn["parallel"].count('class="y-axis"') == 4
    assert "WebGL is not supported" not in drawn["parallel"]
    assert drawn["pareto"].count('class="trace scatter') == 2


@pytest.mark.parametrize(
    ("metrics", "about"),
    [
        (
            "[sliced]",
            (
                "metric",
                "unknown",
                "data.name=digits",
                "eval.metrics=",
                "[sliced]",
                "sliced_wasserstein",
                "sliced_wasserstein_raw",
            ),
        ),
        ("[]", ("metric", "unknown", "data.name=digits", "eval.metrics=")),
    ],
)
def test_a_metric_that_eval_metrics_leaves_out_is_refused_with_that_key(tmp_path, metrics, about):
    sweep = tmp_path / "mine.yaml"
    sweep.write_text(f"config: {{eval: {{metrics: {metrics}}}}}\nspace: {{schedule: {{choice: [serial]}}}}\n")
    with raises(*about):
        load_sweep(sweep, ["metric=fd_clf"])


def seeds_of(folder, *points):
    """Points with a value per seed."""
    rows = [
        trial(folder, f"p{point}-{seed}", [400.0, value], point=point, seed=seed, **{LR: 10.0**-point})
        for point, values in enumerate(points)
        for seed, value in enumerate(values)
    ]
    return results(rows, [LR])


def said_of(sweep):
    return found(sweep, rank_points(sweep))


def test_what_seeds_do_not_show_is_not_called_better(tmp_path):
    noise = seeds_of(tmp_path / "noise", (10.0, 30.0, 20.0), (25.0, 15.0, 26.0))
    assert "Between it and the next, 3 seeds show no difference (95 % interval of the difference" in said_of(noise)
    paired = seeds_of(tmp_path / "paired", (10.0, 30.0, 20.0), (12.0, 32.1, 22.0))
    assert "no difference" not in said_of(paired), "each seed is 2 worse, however far seeds are apart"
    clear = seeds_of(tmp_path / "clear", (10.0, 11.0, 12.0), (50.0, 52.0, 51.0))
    assert "no difference" not in said_of(clear)
    single = seeds_of(tmp_path / "single", (10.0,), (50.0,))
    assert "Whether it is better than the next, one seed does not show." in said_of(single)
    assert "next" not in said_of(seeds_of(tmp_path / "one", (10.0, 12.0)))


def test_values_that_lie_close_together_have_an_axis_with_numbers(tmp_path):
    """A logarithmic axis over less than a decade has hardly a tick."""
    for name, values, log in (("close", (20.0, 30.0), False), ("far", (2.0, 30.0), True)):
        rows = [
            trial(tmp_path / name, f"t{index}", [40.0, value], point=index, **{LR: 1.0 + index})
            for index, value in enumerate(values)
        ]
        write_sweep_page(results(rows, [LR]), tmp_path / name, tmp_path / f"{name}.html")
        curves = (tmp_path / f"{name}.html").read_text().partition('id="curves"')[2].partition("</script>")[0]
        assert ("fd_clf (log)" in curves) is log
        assert "The scale of a distance on the classifier" in (tmp_path / f"{name}.html").read_text()


def test_seeds_that_were_played_twice_are_not_paired(tmp_path):
    twice = seeds_of(tmp_path, (10.0, 30.0, 20.0), (12.0, 32.1, 22.0))
    twice.table["seed"] = [0, 0, 0, 1, 1, 1]
    assert "no difference" in said_of(twice), "as samples of two points they overlap"


def test_the_floor_of_real_images_is_drawn(tmp_path):
    sweep = seeds_of(tmp_path, (10.0, 30.0), (12.0, 32.0))
    page = page_of(sweep, tmp_path)
    assert "real against real" not in page
    for metrics in tmp_path.rglob("rounds.jsonl"):
        lines = metrics.read_text().replace('"eval_samples": 50', '"eval_samples": 50, "fd_clf_floor": 6.5')
        metrics.write_text(lines)
    assert "real against real" in page_of(sweep, tmp_path)
    one = next(tmp_path.rglob("rounds.jsonl"))
    one.write_text(one.read_text().replace("6.5", "9.5"))
    assert "real against real" not in page_of(sweep, tmp_path), "trials differ in it"

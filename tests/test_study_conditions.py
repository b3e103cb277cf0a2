"""scripts/study_conditions.py: its settings, what it says of data that cannot be had, and a small study."""

import subprocess
import sys

import pytest

import raygan
from raygan.config.load import check_config
from raygan.record.folder import RunFolder
from tests.helpers import TINY, tiny
from tests.test_reproduce import SCRIPTS, scripts, tree_of  # noqa: F401

SCRIPT = SCRIPTS / "study_conditions.py"


@pytest.fixture
def study(scripts):  # noqa: F811
    import study_conditions

    return study_conditions


def test_every_cell_is_a_config_and_is_set_beside_one_that_differs_in_one_key(study):
    settings = study.read(SCRIPT.with_suffix(".yaml"))
    found = {(cell.study, cell.data, cell.split, cell.method, cell.seed): cell for cell in study.cells(settings)}
    assert len(found) == (5 + 4) * 2 * 2 * 3
    for (*group, method, seed), cell in found.items():
        mine = check_config(cell.config)
        if (other := settings["compared_with"].get(method)) is not None:
            theirs = check_config(found[(*group, other, seed)].config)
            changed = {key for key, value in mine.gan if value != getattr(theirs.gan, key)} - {"fake_classes"}
            assert mine.model_copy(update={"gan": theirs.gan}) == theirs
            assert len(changed) == (0 if method == "projection global" else 1), (method, changed)


def test_data_that_cannot_be_had_is_named_and_left_out(study, tmp_path, capsys):
    here = {"data": {"name": "digits", "limit": 100}}
    settings = {"base": {}, "data": {"here": here, "gone": {"data": {"name": "mnist", "root": str(tmp_path)}}}}
    found = study.whole(settings, ["gone", "here"])
    assert found.keys() == {"here"}
    assert len(found["here"][1]) == 100
    said = capsys.readouterr().out
    assert said.startswith("gone is left out: data.root: ")
    assert said.count("\n") == 1


def test_a_run_on_few_images_is_measured_against_all(study, tmp_path):
    run = raygan.train(tiny("gan.condition=projection"), tmp_path / "run")
    base = tree_of(TINY) | {"data": {"name": "digits", "limit": 200}}
    config, images = study.whole({"base": base, "data": {"digits": {}}}, ["digits"])["digits"]
    found = study.measured(RunFolder(tmp_path / "run"), 0, config, images)
    assert found == pytest.approx({name: run.evaluations[-1][name] for name in study.COLUMNS})
    whole, every = study.whole({"base": tree_of(TINY), "data": {"digits": {"data": {"limit": 400}}}}, ["digits"])[
        "digits"
    ]
    assert len(every) == 400
    assert study.measured(RunFolder(tmp_path / "run"), 0, whole, every)["fd_clf"] != pytest.approx(found["fd_clf"])


def test_a_page_has_the_tables_of_several_scripts(scripts, tmp_path):  # noqa: F811
    _, report = scripts
    page = tmp_path / "page.md"
    page.write_text("a\n<one>\nold\n<end>\nb\n<two>\nold\n<two end>\nc\n")
    report.put_between(("<one>", "<end>"), ["1"], page)
    report.put_between(("<two>", "<two end>"), ["2"], page)
    assert page.read_text() == "a\n<one>\n1\n<end>\nb\n<two>\n2\n<two end>\nc\n"


def test_what_a_page_has_of_more_runs_stays_on_it(study, tmp_path, monkeypatch):
    settings = {
        "studies": {"s": {"data": ["digits", "fashion_mnist"], "splits": ["iid", "two classes each"]}},
        "compared_with": {"better": "plain"},
    }
    monkeypatch.setattr(study, "measured", lambda run, seed, config, images: {"fd_clf": 2.0 + seed})

    def draw(folders, figures, parts):
        for group in folders:
            path = figures / study.picture_of(group)
            path.write_text(f"{len(list(figures.iterdir()))}")
            yield ", ".join(group), path

    monkeypatch.setattr(study, "draw_grids", draw)
    page = tmp_path / "page.md"
    page.write_text("above\n{}\n{}\nbelow\n".format(*study.MARKERS))

    def write(seeds, *groups):
        done = [
            study.Cell("s", data, split, method, seed, {})
            for data, split in groups
            for method in ("plain", "better")
            for seed in seeds
        ]
        study.write_results(settings, done, dict.fromkeys(["digits", "fashion_mnist"], (None, None)), tmp_path, page)
        return page.read_text()

    first = write([0, 1, 2], ("digits", "iid"))
    assert "\n6 runs.\n" in first
    drawn = (tmp_path / "page" / "samples-s-digits-iid.png").read_text()
    both = write([0, 1], ("digits", "iid"), ("digits", "two classes each"), ("fashion_mnist", "iid"))
    assert "\n14 runs.\n" in both
    assert [line for line in first.splitlines() if line.startswith("| s |")] == [
        line for line in both.splitlines() if line.startswith("| s | digits | iid")
    ]
    assert (tmp_path / "page" / "samples-s-digits-iid.png").read_text() == drawn, "of the runs in the table"
    pictures = [line.rpartition("/")[2] for line in both.splitlines() if line.startswith("![")]
    assert pictures == [
        f"samples-s-{one}.png)" for one in ("digits-iid", "digits-two_classes_each", "fashion_mnist-iid")
    ]
    assert write([0, 1, 2], ("fashion_mnist", "iid")).count("| 3 | 3 ± ") == 4, "more runs than before are taken"
    assert both.startswith("above\n")
    assert both.endswith("\nbelow\n")


@pytest.mark.nightly
def test_a_small_study_runs_and_is_written(tmp_path, study):
    import study_conditions

    small = study_conditions.read(SCRIPT.with_suffix(".yaml")) | {
        "seeds": [0, 1],
        "base": tree_of(TINY),
        "studies": {
            "few": {
                "base": {"rounds": 2},
                "methods": {"unconditional": {}, "projection own": {}},
                "data": ["digits"],
                "splits": ["iid"],
            }
        },
        "data": {"digits": {"data": {"name": "digits", "limit": 200}}},
    }
    from reproduction_cells import write

    write(small, tmp_path / "small.yaml")
    page = tmp_path / "page.md"
    page.write_text("above\n{}\nstale\n{}\nbelow\n".format(*study_conditions.MARKERS))
    command = [sys.executable, str(SCRIPT), "--settings", "small.yaml", "--out", "runs", "--page", "page.md"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "stale" not in text
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| few")]
    assert {row[3]: row[4] for row in rows} == {"unconditional": "2", "projection own": "2"}
    assert {row[3]: row[-1].rpartition("] ")[2] for row in rows} == {
        "unconditional": "",
        "projection own": "of unconditional",
    }
    trained = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/generator.safetensors")}
    assert len(trained) == 4
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in trained} == trained, "nothing is trained twice"

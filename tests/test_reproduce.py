"""The reproduction's arithmetic, and the whole of it on a grid of four tiny cells."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from ruamel.yaml import YAML

import raygan
from raygan.config import load_config
from raygan.config.load import check_config
from raygan.record.folder import RunFolder
from raygan.report.curves import read_runs
from tests.helpers import TINY, Watch, tiny

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import reproduction_cells
    import reproduction_report

    return reproduction_cells, reproduction_report


@pytest.mark.parametrize("name", ["reproduction", "methods", "methods_32", "compression"])
def test_every_cell_is_a_config_that_loads(scripts, tmp_path, name):
    grid, _ = scripts
    settings = grid.read(SCRIPTS / f"{name}.yaml")
    cells = list(grid.cells(settings))
    assert len({cell.name for cell in cells}) == len(cells) >= 5 * 3
    assert all(settings["baseline"] in study["methods"] for study in settings["studies"].values())
    for cell in cells:
        config = check_config(cell.config)
        assert config.seed == cell.seed
        assert config.selection.name == "all", "links and speeds change the price of a run alone"
        if name == "reproduction":
            steps = config.rounds * config.device_steps
            assert steps == 500, "as many discriminator steps on every device, whatever the method"
    grid.write(cells[0].config, tmp_path / "cell.yaml")
    for words in settings["prices"].values():
        load_config(tmp_path / "cell.yaml", words)


def test_a_run_that_was_interrupted_is_not_finished(scripts, tmp_path):
    grid, _ = scripts
    cell = grid.Cell("s", "digits", "iid", "averaged", 0, tree_of(TINY) | {"seed": 0})
    grid.write(cell.config, tmp_path / "cell.yaml")
    assert not grid.is_finished(cell, tmp_path)

    def interrupt(round):
        if round == 1:
            os.kill(os.getpid(), signal.SIGINT)

    config = load_config(tmp_path / "cell.yaml", ["rounds=40", "eval.every=20"])
    cell.config["rounds"], cell.config["eval"]["every"] = 40, 20
    with pytest.raises(KeyboardInterrupt):
        raygan.train(config, tmp_path / cell.name, watchers=[Watch(interrupt)])
    assert RunFolder(tmp_path / cell.name).generator.exists()
    assert not grid.is_finished(cell, tmp_path)
    raygan.train(config, tmp_path / cell.name, resume=True)
    assert grid.is_finished(cell, tmp_path)


@pytest.mark.parametrize(
    ("folders", "settings", "says"),
    [
        (["airplane"], "reproduction", "all images are of one class"),
        (["train/airplane", "test/airplane"], "reproduction", "train and test are parts of a data set"),
        (["airplane", "bird"], "methods", "methods.yaml has no data set cifar10"),
    ],
)
def test_images_that_could_not_be_measured_are_refused_first(
    scripts, tmp_path, monkeypatch, capsys, folders, settings, says
):
    import reproduce

    for folder in folders:
        (tmp_path / "images" / folder).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "images" / folder / "1.png")
    words = ["--settings", str(SCRIPTS / f"{settings}.yaml"), "--out", str(tmp_path / "runs")]
    words += ["--page", str(tmp_path / "page.md"), "--cifar10", str(tmp_path / "images")]
    monkeypatch.setattr("sys.argv", ["reproduce.py", *words])
    with pytest.raises(SystemExit):
        reproduce.main()
    said = capsys.readouterr().err.splitlines()[-1]
    assert "error: --cifar10: " in said
    assert says in said
    assert not (tmp_path / "runs").exists()


def test_intervals_are_students_over_seeds(scripts):
    _, report = scripts
    centre, low, high = report.interval([1.0, 2.0, 3.0])
    assert centre == 2
    assert high - centre == centre - low == pytest.approx(4.302653 / math.sqrt(3))
    centre, low, high = report.interval([0.5, 2.0], log=True)
    assert centre == pytest.approx(1)
    assert low * high == pytest.approx(1)
    assert report.shown_ratio([]) == "-"
    assert report.shown_ratio([0.5]) == "0.50"


def test_ratios_are_taken_seed_by_seed_and_claims_are_careful(scripts):
    _, report = scripts
    mine = {0: {"sim_s": 1.0}, 1: {"sim_s": 3.0}, 2: {"sim_s": 5.0}}
    assert report.ratios(mine, {0: {"sim_s": 2.0}, 1: {"sim_s": 3.0}}, "sim_s") == [0.5, 1.0]
    assert report.claim([0.5, 0.51, 0.49], 3, 3, 3) == "yes"
    assert report.claim([1.5, 1.51, 1.49], 3, 3, 3) == "no"
    assert report.claim([0.5, 0.9, 1.2], 3, 3, 3) == "open: the interval holds 1"
    assert report.claim([0.5, 0.5], 2, 3, 3) == "no: reached less often"
    assert report.claim([], 2, 0, 3) == "yes: reached more often"
    assert report.claim([], 0, 0, 3) == "open: both reached it in 0 of 3"
    assert report.claim([0.5], 1, 1, 1) == "open: one seed only"
    assert report.shown_ratio([0.0, 0.0]) == "0", "a method that sends nothing"


def test_a_run_costs_what_it_recorded_when_the_price_is_its_own(scripts, tmp_path):
    _, report = scripts
    for words in (["channel.name=wireless", "schedule=parallel"], ["method=centralized"]):
        raygan.train(tiny(*words), tmp_path / words[0])
        (run,) = read_runs([tmp_path / words[0]])
        own, narrow = (report.repriced(run, price) for price in ([], ["channel.name=constant", "channel.uplink_bps=1"]))
        assert own.curve["sim_s"].tolist() == pytest.approx(run.curve["sim_s"].tolist())
        assert (narrow.curve["sim_s"].iloc[-1] > run.curve["sim_s"].iloc[-1]) == (words[0] != "method=centralized")


@pytest.mark.nightly
def test_a_small_grid_runs_resumes_and_is_written_up(tmp_path):
    settings = {
        "seeds": [0, 1],
        "baseline": "fedgan",
        "targets": [0.99999],
        "base": tree_of(TINY) | {"channel": {"name": "wireless"}},
        "data": {"digits": {"data": {"name": "digits", "limit": 200}}},
        "splits": {"iid": {}},
        "methods": {name: {"method": name} for name in ("averaged", "fedgan", "centralized")},
        "studies": {
            "s": {
                "base": {"rounds": 30, "device_optimizer": {"lr": 1e-2}, "generator_optimizer": {"lr": 1e-2}},
                "methods": {"averaged": {}, "fedgan": {}, "centralized": {}},
                "data": ["digits"],
                "splits": ["iid"],
            }
        },
        "prices": {"as run": [], "narrow": ["channel.bandwidth_hz=1e5"]},
    }
    YAML(typ="safe", pure=True).dump(settings, tmp_path / "grid.yaml")
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- written by scripts/reproduce.py: begin -->\nstale text\n<!-- end -->\nbelow\n")

    def go():
        command = [sys.executable, str(SCRIPTS / "reproduce.py"), "--settings", "grid.yaml", "--out", "runs"]
        done = subprocess.run([*command, "--page", "page.md"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return {path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/generator.safetensors")}

    first = go()
    assert len(first) == 6
    unfinished = tmp_path / "runs" / "s-digits-iid-averaged-seed_1"
    before = (unfinished / "generator.safetensors").read_bytes()
    (unfinished / "generator.safetensors").unlink()
    (unfinished / "checkpoints" / "round_000030").rename(tmp_path / "aside")  # as if stopped after round 28
    second = go()
    assert {name for name in first if first[name] != second[name]} == {unfinished.name}, "only what was missing"
    assert (unfinished / "generator.safetensors").read_bytes() == before
    settings["base"]["batch_size"] = 4
    YAML(typ="safe", pure=True).dump(settings, tmp_path / "grid.yaml")
    with pytest.raises(AssertionError, match="was run with another batch_size: move it away"):
        go()
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("<!-- end -->\nbelow\n")
    assert "stale text" not in text
    assert "6 runs, seeds 0, 1." in text
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| s |")]
    costs = {row[3]: row for row in rows if len(row) == 11}
    assert costs.keys() == {"averaged", "fedgan", "centralized"}
    assert costs["averaged"][4] == "2 of 2"
    assert "[" in costs["averaged"][9], "a ratio with its interval"
    assert costs["centralized"][8] == "0", "nothing sent"
    prices = {row[3]: row[4] for row in rows if len(row) == 5}
    assert prices["as run"].startswith("averaged " + costs["averaged"][9])
    assert prices["narrow"] != prices["as run"]
    assert len(list((tmp_path / "page").glob("*.png"))) == 4


def tree_of(words):
    tree = {}
    for word in words:
        key, _, value = word.partition("=")
        *parents, last = key.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = YAML(typ="safe", pure=True).load(value)
    return tree

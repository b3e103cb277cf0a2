"""The reproduction's arithmetic, and the whole of it on a grid of four tiny cells."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from raygan.config import load_config
from tests.helpers import TINY

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import reproduce
    import reproduction_report

    return reproduce, reproduction_report


def test_every_cell_is_a_config_that_loads(scripts, tmp_path):
    reproduce, _ = scripts
    settings = reproduce.read(SCRIPTS / "reproduction.yaml")
    cells = list(reproduce.cells(settings))
    assert len({cell.name for cell in cells}) == len(cells) >= 3 * 3 * 2 * 4
    for cell in cells:
        reproduce.write(cell.config, tmp_path / "cell.yaml")
        config = load_config(tmp_path / "cell.yaml")
        assert config.seed == cell.seed
        steps = config.rounds * config.device_steps
        assert steps == 500, "as many discriminator steps on every device, whatever the method"
    for words in settings["prices"].values():
        load_config(tmp_path / "cell.yaml", words)


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
    assert report.claim("serial", "fedgan", [0.5, 0.51, 0.49], 3, 3) == "yes"
    assert report.claim("serial", "fedgan", [1.5, 1.51, 1.49], 3, 3) == "no"
    assert report.claim("serial", "fedgan", [0.5, 0.9, 1.2], 3, 3) == "open: the interval holds 1"
    assert report.claim("serial", "fedgan", [0.5, 0.5], 2, 3) == "no: not always reached"
    assert report.claim("serial", "fedgan", [0.5, 0.5], 3, 3) == "open: nothing to compare with"


@pytest.mark.slow
def test_a_small_grid_runs_resumes_and_is_written_up(tmp_path):
    settings = {
        "seeds": [0, 1],
        "baseline": "fedgan",
        "targets": [2.0],  # reached at once
        "base": tree_of(TINY) | {"channel": {"name": "wireless"}},
        "data": {"digits": {"data": {"name": "digits", "limit": 200}}},
        "splits": {"iid": {}},
        "methods": {"serial": {"method": "averaged"}, "fedgan": {"method": "fedgan"}},
        "studies": {"s": {"base": {}, "methods": {"serial": {}, "fedgan": {}}, "data": ["digits"], "splits": ["iid"]}},
        "prices": {"as run": [], "narrow": ["channel.bandwidth_hz=1e5"]},
    }
    YAML(typ="safe", pure=True).dump(settings, tmp_path / "grid.yaml")
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- written by scripts/reproduce.py: begin -->\nold\n<!-- end -->\nbelow\n")

    def go():
        command = [sys.executable, str(SCRIPTS / "reproduce.py"), "--settings", "grid.yaml", "--out", "runs"]
        done = subprocess.run([*command, "--page", "page.md"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return {path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/generator.safetensors")}

    first = go()
    assert len(first) == 4
    unfinished = tmp_path / "runs" / "s-digits-iid-serial-seed_1"
    before = (unfinished / "generator.safetensors").read_bytes()
    (unfinished / "generator.safetensors").unlink()
    for path in (unfinished / "checkpoints").glob("*4"):
        path.rename(path.with_name("aside"))  # as if it had been stopped after round 2
    second = go()
    assert {name for name in first if first[name] != second[name]} == {unfinished.name}, "only what was missing"
    assert (unfinished / "generator.safetensors").read_bytes() == before
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("<!-- end -->\nbelow\n")
    assert "old" not in text
    assert "| s | digits | iid | serial | 2 of 2 |" in text
    assert "| s | digits | iid | narrow | serial" in text
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

"""The growth curves: fits, tables and figure from made-up points, and a real run of each kind."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def point(sweep, devices=10, selected=None, width=16, seconds=0.1, private=1e9):
    """A made-up one."""
    from growth_model import ACTORS, Point

    selected = selected or devices
    return Point(
        sweep=sweep,
        devices=devices,
        selected=selected,
        width=width,
        parameters=150 * width**2,
        update_bytes=600 * width**2,
        device_flops=2e6 * width**2,
        server_flops=3e6 * width**2,
        busiest=-(-selected // ACTORS),
        took_part=devices,
        open_s=1.0,
        blocks_s=[seconds, seconds, 9.0],
        spent_s={"down": 0.1 * seconds, "devices": 0.8 * seconds, "host": 0.0, "up": 0.0, "server": 0.1 * seconds},
        private={"driver": 3e8, "WorkerActor": private - 3e8, "raylet": 5e7},
        store_bytes=64 * 1024 * devices,
        saving={"checkpoint": 1_000_000, "private": 2_000_000_000, "stored": 3_000_000} if devices == 20 else None,
    )


@pytest.fixture
def points():
    """A round takes 20 ms and 7 ms a device, or 2 ms without work; networks compute 50 GFLOP/s after 10 ms."""
    found = []
    for devices in (1, 2, 20, 200):
        load = devices + devices % 2
        found.append(point("steps", devices, seconds=0.020 + 0.007 * load, private=9e8 + 3e5 * devices))
        found.append(point("idle", devices, seconds=0.020 + 0.002 * load))
    for width in (4, 16, 64):
        found.append(point("networks", width=width, seconds=0.01 + 13e6 * width**2 / 50e9, private=9e8 + 12e3 * width))
    return found + [point("selected", 500, n, seconds=0.030 + 0.008 * (n + n % 2)) for n in (1, 10, 100)]


def test_a_line_is_found_again():
    from growth_model import linear

    causes = [1e9, 3e9, 5e12]
    fit = linear(causes, [0.02 + 3e-12 * cause for cause in causes])
    assert (fit.fixed, fit.each) == pytest.approx((0.02, 3e-12), rel=1e-9)
    assert fit.bend == pytest.approx(0.02 / 3e-12)
    assert fit.at(1e10) == pytest.approx(0.05)


def test_a_fit_minds_relative_errors():
    from growth_model import linear

    causes = [1, 10, 100, 1000, 10000]
    values = [10 + cause for cause in causes]
    fit = linear(causes, [*values[:-1], 1.1 * values[-1]])
    assert fit.fixed == pytest.approx(10, rel=0.1), "a tenth of the largest value is a hundred times the fixed part"


def test_there_is_no_line_through_points_at_one_place():
    from growth_model import linear

    assert linear([2, 2], [1.0, 3.0]) is None
    assert linear([], []) is None
    assert linear([1, 2], [2.0, 1.0]).bend is None


def test_the_models_find_what_points_were_made_of(points):
    from growth_model import MEMORY, OF_SELECTED, OF_WORK, WITH_STEPS, WITHOUT

    expected = {
        WITH_STEPS: (0.020, 0.007),
        WITHOUT: (0.020, 0.002),
        MEMORY: (9e8, 3e5),
        OF_WORK: (0.01, 1 / 50e9),
        OF_SELECTED: (0.030, 0.008),
    }
    for model, coefficients in expected.items():
        fit = model.fit(points)
        assert (fit.fixed, fit.each) == pytest.approx(coefficients, rel=1e-9)
        assert [model.miss(fit, one) for one in model.of(points)] == pytest.approx([0.0] * len(model.of(points)))


def test_what_is_measured_before_is_reported_again(points, tmp_path):
    from growth import as_json, read
    from growth_report import write_report

    (tmp_path / "growth.json").write_text(json.dumps(as_json(points)))
    assert read(tmp_path / "growth.json") == points
    told = write_report(read(tmp_path / "growth.json"), tmp_path)
    assert "| a round of K devices, one local step each | 20 ms + 7 ms x K | K = 2.86 | +0% at " in told
    assert "| 200 | 1.42 | +0% | 142.0 | 1,136.0 |" in told
    assert "| 1.0 | 2,000.0 | 3.0 |\n" in told
    assert (tmp_path / "growth.md").read_text() == told + "\n"
    assert (tmp_path / "growth.png").stat().st_size > 30_000


@pytest.mark.parametrize("kept", [[], ["steps"], ["networks"]])
def test_some_of_the_sweeps_will_do(points, tmp_path, kept):
    from growth_report import write_report

    some = [one for one in points if one.sweep in kept][:1]
    assert "### What is linear in what" in write_report(some, tmp_path)
    assert (tmp_path / "growth.png").exists()


def test_a_point_is_what_was_played(tmp_path):
    from growth import SAMPLES, Case, measured

    def played(case):
        (folder := tmp_path / case.sweep).mkdir()
        return measured(case, folder, 0.01, ["engine.executor=inline", "engine.devices_per_actor=2"])

    whole = played(Case("steps", 3, width=4))
    assert (whole.selected, whole.took_part, whole.busiest, whole.load) == (3, 3, 2.0, 4.0)
    assert whole.update_bytes == 4 * whole.parameters
    assert whole.device_flops > SAMPLES * whole.parameters
    assert whole.seconds > 0
    assert sum(whole.spent_s.values()) == pytest.approx(whole.seconds, rel=0.5)
    assert 0 < whole.memory == whole.private["driver"]
    assert whole.saving["checkpoint"] > 3 * 2 * whole.update_bytes, "two moments of each device"
    assert whole.saving["private"] > 0.5 * whole.memory
    some = played(Case("selected", 4, width=4, selected=1))
    assert (some.selected, some.busiest, some.saving) == (1, 1.0, None)
    idle = played(Case("idle", 1, width=4))
    assert (idle.device_flops, idle.server_flops) == (0, whole.server_flops)
    json.dumps(asdict(idle))


def test_points_are_played_one_by_one_and_stacked_in_turns(tmp_path):
    from growth import cases, measured_in_turns

    asked = Namespace(devices=[], widths=[], selected=[], points=[3, 500], stacked=50)
    few, many = cases(asked)
    assert [(case.sweep, case.stacked) for case in few] == [("points", 1), ("stacked", 2)]
    assert [(case.sweep, case.stacked) for case in many] == [("points", 1), ("stacked", 50)]
    inline = ["engine.executor=inline", "engine.devices_per_actor=4"]
    alone, stacked = measured_in_turns(few, tmp_path, 0.01, [inline, inline])
    assert (alone.devices, alone.stacked, stacked.stacked) == (3, 1, 2)
    assert len(alone.blocks_s) == len(stacked.blocks_s) > 0
    assert alone.parameters == stacked.parameters
    assert alone.device_flops == stacked.device_flops


def test_stacking_is_compared_block_by_block():
    from growth_report import turns_table

    one, other = point("points", 10, seconds=0.2), replace(point("stacked", 10, seconds=0.1), stacked=5)
    assert "| 10 | 5 | 0.2 | 0.1 | 2.00 (1.00 to 2.00) |" in list(turns_table([one, other]))
    assert not list(turns_table([point("steps")]))


@pytest.mark.nightly
def test_growth_from_end_to_end(tmp_path):
    words = ["--devices", "1", "3", "--widths", "4", "--selected", "2", "--population", "5", "--points", "3"]
    words += ["--seconds", "0.1"]
    command = [sys.executable, str(BENCHMARKS / "growth.py"), "--out", str(tmp_path), *words]
    paths = os.pathsep.join([str(BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    assert "### n devices of a population" in done.stdout
    (tmp_path / "growth.png").unlink()
    points = json.loads((tmp_path / "growth.json").read_text())["points"]
    sweeps = ["steps", "steps", "idle", "idle", "networks", "selected", "points", "stacked"]
    assert [one["sweep"] for one in points] == sweeps
    points = points[:6]
    assert all(one["private"].keys() >= {"driver", "WorkerActor", "ServerActor", "RecorderActor"} for one in points)
    assert all(one["store_bytes"] >= one["devices"] * 32 * 1024 for one in points)
    again = subprocess.run(
        [*command[:2], "--draw", str(tmp_path / "growth.json")],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
    )
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "growth.png").exists()

"""The GPU check: all of it on a CPU, and what counts as a failure."""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raygan.config import load_config

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def part(monkeypatch):
    """A part's module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: importlib.import_module(f"gpu_{name}")


def test_bytes_that_differ_do_not_hold(part):
    bits = part("bits")
    same = {name: {"inline": "a", "actors": "a"} for name in bits.METHODS}
    assert bits.passed({"digests": same})
    assert not bits.passed({"digests": same | {"mdgan": {"inline": "a", "actors": "b"}}})
    assert not bits.passed({"digests": {"mdgan": same["mdgan"]}}), "not all were come to"
    assert not bits.passed({"digests": same, "not stacked": {"mdgan, stacked": "for some reason"}})
    (line,) = bits.summary({"digests": {"mdgan": {"inline": "a", "actors": "b"}}})
    assert line == "* mdgan: NOT THE SAME: inline; actors"


def test_a_share_that_is_not_kept_does_not_hold(part):
    placement = part("placement")
    more = {"a device asks for 1.1 of its share": "refused: CUDA out of memory", "all play on": {}}
    found = {"one more": {"status": 2, "said": "raygan: engine: 11"}, "more than its share": more}
    assert placement.passed(found)
    granted = more | {"a device asks for 1.1 of its share": "granted"}
    assert not placement.passed(found | {"more than its share": granted})
    assert not placement.passed(found | {"one more": {"status": 0, "said": ""}})


def test_other_maths_and_lost_engines_do_not_hold(part):
    question = part("question")
    assert not question.passed({"left out": "no images"})
    assert not question.passed({"serial": {"curve": []}})
    assert question.passed({"serial": {"curve": [(0, 0.0, 3.0)]}})


def test_stacked_devices_are_packed_in_all_ways(part):
    bits = part("bits")
    for name in bits.METHODS:
        configs = [load_config(None, [*bits.METHODS[name], *words]) for words in bits.places(name, tiny=False).values()]
        packed = {config.engine.devices_per_actor for config in configs}
        assert packed == ({2, 4} if name.endswith("stacked") else {1, 2}), name
        with_ray = {config.engine.executor for config in configs} == {"inline", "ray"}
        assert with_ray or name in ("averaged serial, wgan_gp, stacked", "mdgan, stacked", "fedgan, stacked")


def test_the_largest_group_is_measured_first(part):
    speed = part("speed")
    _, work, engines = speed.CASES[0]
    assert (work.devices, engines[0]) == (128, "packed:1:stacked128")
    assert {"packed:1", "packed:1:stacked8", "packed:1:stacked32"} <= set(engines)


def test_the_gpu_is_watched_while_one_engine_plays(part, tmp_path, monkeypatch):
    parts, played = part("parts"), []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert parts.utilisation(played.append, s_per_round=0.5, seconds=3.0) is None
    assert played == [6]
    told = "\n".join(["0"] * 10 + ["[N/A]", "40", "60"])
    (smi := tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{told}'\n")
    smi.chmod(0o755)
    assert parts.utilisation(lambda rounds: time.sleep(0.5), s_per_round=1.0, seconds=1.0) == 50.0


@pytest.mark.nightly
def test_all_of_it_on_a_cpu(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "gpu_check.py"), "--tiny", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (done.stdout, (tmp_path / "log.txt").read_text())
    found = json.loads((tmp_path / "results.json").read_text())
    assert {part["ended"] for name, part in found.items() if name != "machine"} == {"done"}
    places = found["bits"]["found"]["digests"]["averaged serial"]
    assert {"inline", "packed", "actors", "actors, one killed", "actors, stopped and resumed"} <= places.keys()
    stacked = found["bits"]["found"]["digests"]["averaged serial, stacked"]
    assert stacked.keys() == {"inline", "inline without graphs", "inline, in twos", "packed"}
    many, few = found["speed"]["found"].values()
    assert many["engines"].keys() == {"floor", "packed:1", "packed:1:stacked4"}
    assert few["engines"].keys() == {"floor", "naive", "packed"}
    assert found["placement"]["found"]["one more"]["said"].startswith("raygan: engine: 4 device actors")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fd_clf.png",
        "grids.png",
        "log.txt",
        "results.json",
        "summary.md",
    ]

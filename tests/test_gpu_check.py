"""The GPU check: all of it on a CPU, and what counts as a failure."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.nightly
def test_all_of_it_on_a_cpu(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "gpu_check.py"), "--tiny", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (done.stdout, (tmp_path / "log.txt").read_text())
    found = json.loads((tmp_path / "results.json").read_text())
    assert {part["ended"] for name, part in found.items() if name != "machine"} == {"done"}
    places = found["bits"]["found"]["digests"]["averaged serial"]
    assert {"inline", "packed", "actors", "actors, one killed", "actors, stopped and resumed"} <= places.keys()
    (case,) = found["speed"]["found"].values()
    assert case["engines"].keys() == {"floor", "naive", "packed"}
    assert found["placement"]["found"]["one more"]["said"].startswith("raygan: engine: 4 device actors")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fd_clf.png",
        "grids.png",
        "log.txt",
        "results.json",
        "summary.md",
    ]

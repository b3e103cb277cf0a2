"""Runs with stacked devices end where those of one by one do, to the spread over seeds."""

import importlib
import math
from argparse import Namespace
from pathlib import Path
from statistics import fmean, variance

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SHORT = {"devices": 4, "rounds": 2, "groups": [1, 2], "seeds": [0, 1], "measures": ["sliced_wasserstein"]}
LONG = {"devices": 20, "rounds": 300, "groups": [1, 10], "seeds": [0, 1, 2, 3, 4]}


@pytest.fixture
def seeds(monkeypatch):
    """The benchmark's module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("stacked_seeds")


def asked(**more):
    return Namespace(preset="gaussians", words=[], **more)


def test_the_table_tells_the_spread_and_the_difference(seeds):
    runs = {"1": [{"a": 1.0}, {"a": 3.0}], "10": [{"a": 1.5}, {"a": 4.5}]}
    _, _, alone, stacked = seeds.table(runs)
    assert alone == "| `a` | 1 | 2 (1 to 3) | 1.41 | - | - |"
    assert stacked == "| `a` | 10 | 3 (1.5 to 4.5) | 2.12 | +1 | 0.707 |"


def test_runs_that_differ_by_rounding_are_alike_at_first(seeds, tmp_path):
    runs = seeds.played(asked(**SHORT, nudge=1e-6), tmp_path)
    assert list(runs) == ["1", "2", "1, nudged"]
    alone, stacked, nudged = ([run["sliced_wasserstein"] for run in found] for found in runs.values())
    assert stacked == pytest.approx(alone, rel=1e-3)
    assert nudged == pytest.approx(alone, rel=1e-3)
    assert alone[0] != pytest.approx(alone[1], rel=1e-3), "another seed"


@pytest.mark.nightly
def test_whole_runs_come_to_the_same_to_the_spread_over_seeds(seeds, tmp_path):
    whole = asked(**LONG, nudge=0.0, measures=["sliced_wasserstein", "modes_found"])
    means, errors = [], []
    for runs in seeds.played(whole, tmp_path).values():
        values = [run["sliced_wasserstein"] for run in runs]
        means.append(fmean(values))
        errors.append(variance(values) / len(values))
        assert fmean(run["modes_found"] for run in runs) >= 6
    assert abs(means[0] - means[1]) < 3 * math.sqrt(sum(errors))
    assert max(means) < 0.3, "they have learned: the first generators are above 0.6"

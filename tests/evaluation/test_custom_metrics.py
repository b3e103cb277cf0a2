"""Metrics of a user's own: what is taken of them, and what is said of one that is wrong."""

from typing import ClassVar

import numpy as np
import pytest
import torch

import raygan
from raygan.metrics.base import Metric
from tests.errors import raises
from tests.helpers import tiny

HERE = "tests.evaluation.test_custom_metrics"


class Returns(Metric):
    of = "samples"
    value = None

    def measure(self, generated):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Good(Returns):
    value: ClassVar = {"a": np.float32(0.5), "b": torch.tensor([2.0]), "c": [1, np.float64(2)], "d": 3}


class OfFeatures(Good):
    of = "features"


class OfPixels(Returns):
    of = "pixels"


class NoOf(Metric):
    def measure(self, generated):
        return {}


WRONG = {
    "Number": (0.5, "result", "a float"),
    "Text": ({"a": "good"}, "result", "a='good'"),
    "Array": ({"a": np.zeros(3)}, "result", "a=array([0., 0., 0.])"),
    "Nan": ({"a": [1.0, float("nan")]}, "result", "a=nan"),
    "Truth": ({"a": True}, "result", "a=True"),
    "Round": ({"round": 77}, "twice", "'round'"),
    "Late": ({"late": 1.5}, "twice", "'late'"),
    "Fid": ({"fid": 1.0}, "twice", "'fid'"),
    "Raw": ({"a_raw": 1.0}, "twice", "'a_raw'"),
}
for _name, (_value, *_) in WRONG.items():
    globals()[_name] = type(_name, (Returns,), {"value": _value})


class Fd(OfFeatures):
    value: ClassVar = {"fd": 1.0}


class Fails(Returns):
    value = ZeroDivisionError("no samples")


def test_numbers_of_any_kind_are_recorded_as_plain_ones(tmp_path):
    words = [f"eval.metrics=[{HERE}:Good,{HERE}:OfFeatures]", "rounds=1"]
    row = raygan.train(tiny(*words), tmp_path / "run", watchers=[]).rows[-1]
    assert {
        "a": 0.5,
        "b": 2.0,
        "c": [1, 2.0],
        "d": 3,
        "a_raw": 0.5,
        "a_clf": 0.5,
        "c_clf": [1, 2],
    }.items() <= row.items()
    assert "c_raw" not in row


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_recorded_is_one_line_that_names_the_metric(name, tmp_path):
    _, code, shown = WRONG[name]
    with raises("eval.metrics", code, f"{HERE}:{name}", shown):
        raygan.train(tiny(f"eval.metrics={HERE}:{name}", "rounds=1"), tmp_path / "run", watchers=[])


def test_what_only_features_can_be_called_is_taken_too(tmp_path):
    with raises("eval.metrics", "twice", "'fd'"):
        raygan.train(tiny(f"eval.metrics={HERE}:Fd", "rounds=1"), tmp_path / "run", watchers=[])


def test_one_that_fails_names_itself(tmp_path):
    with raises("eval.metrics", "failed", f"{HERE}:Fails", "ZeroDivisionError: no samples", kind=raygan.RunError):
        raygan.train(tiny(f"eval.metrics={HERE}:Fails", "rounds=1"), tmp_path / "run", watchers=[])


@pytest.mark.parametrize(
    ("name", "about"),
    [
        (f"{HERE}:Nobody", ("eval.metrics", "import")),
        ("nope:X", ("eval.metrics", "import", "'nope:X'")),
        (f"{HERE}:NoOf", ("eval.metrics", "kind", "NoOf.of", "None")),
        (f"{HERE}:OfPixels", ("eval.metrics", "kind", "'pixels'")),
        ("pathlib:Path", ("eval.metrics", "kind", "raygan.metrics.base.Metric")),
    ],
)
def test_a_wrong_name_is_found_before_anything_begins(name, about, tmp_path):
    with raises(*about):
        raygan.train(tiny(f"eval.metrics={name}"), tmp_path / "run", watchers=[])
    assert not (tmp_path / "run").exists()


def test_without_need_of_a_classifier_none_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("raygan.evaluation.evaluator.train_classifier", None)
    row = raygan.train(tiny("eval.metrics=sliced", "rounds=1"), tmp_path / "run", watchers=[]).rows[-1]
    assert "classifier" not in row
    assert row["sliced_wasserstein"] > 0

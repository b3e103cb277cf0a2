"""Metrics of a user's own: what is taken of them, and what is said of one that is wrong."""

from typing import ClassVar

import numpy as np
import pytest
import torch

import raygan
from raygan.metrics.base import Metric
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
    "Number": (0.5, "Number returned a float; values by name are needed"),
    "Text": ({"a": "good"}, r"Text returned a='good'; a finite number or a list of such is needed"),
    "Array": ({"a": np.zeros(3)}, r"Array returned a=array\(.*; a finite number or"),
    "Nan": ({"a": [1.0, float("nan")]}, r"Nan returned a=nan; a finite number or"),
    "Truth": ({"a": True}, r"Truth returned a=True; a finite number or"),
    "Round": ({"round": 77}, "Round returned a value named 'round'; that is taken, take another name"),
    "Late": ({"late": 1.5}, "named 'late'"),
    "Fid": ({"fid": 1.0}, "named 'fid'"),
    "Raw": ({"a_raw": 1.0}, "named 'a_raw'"),
}
for _name, (_value, _) in WRONG.items():
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
    with pytest.raises(raygan.InputError, match=rf"eval\.metrics: {HERE}:.*{WRONG[name][1]}"):
        raygan.train(tiny(f"eval.metrics={HERE}:{name}", "rounds=1"), tmp_path / "run", watchers=[])


def test_what_only_features_can_be_called_is_taken_too(tmp_path):
    with pytest.raises(raygan.InputError, match="named 'fd'"):
        raygan.train(tiny(f"eval.metrics={HERE}:Fd", "rounds=1"), tmp_path / "run", watchers=[])


def test_one_that_fails_names_itself(tmp_path):
    with pytest.raises(raygan.RunError, match=rf"eval\.metrics: {HERE}:Fails failed: ZeroDivisionError: no samples"):
        raygan.train(tiny(f"eval.metrics={HERE}:Fails", "rounds=1"), tmp_path / "run", watchers=[])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{HERE}:Nobody", "cannot import"),
        ("nope:X", "cannot import 'nope:X'"),
        (f"{HERE}:NoOf", "NoOf.of says which rows it is given: samples, features, logits; it is None"),
        (f"{HERE}:OfPixels", "it is 'pixels'"),
        ("pathlib:Path", "a class derived from raygan.metrics.base.Metric is needed"),
    ],
)
def test_a_wrong_name_is_found_before_anything_begins(name, message, tmp_path):
    with pytest.raises(raygan.InputError, match=message):
        raygan.train(tiny(f"eval.metrics={name}"), tmp_path / "run", watchers=[])
    assert not (tmp_path / "run").exists()


def test_without_need_of_a_classifier_none_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("raygan.evaluation.evaluator.train_classifier", None)
    row = raygan.train(tiny("eval.metrics=sliced", "rounds=1"), tmp_path / "run", watchers=[]).rows[-1]
    assert "classifier" not in row
    assert row["sliced_wasserstein"] > 0

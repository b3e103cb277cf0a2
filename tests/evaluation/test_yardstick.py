"""The classifier that a run is measured with: kept with it, and given to others."""

import json
import shutil

import pandas as pd
import pytest

import raygan
from raygan.cli import run
from tests.errors import raises
from tests.helpers import Watch, tiny


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    """Two runs measured with different classifiers."""
    root = tmp_path_factory.mktemp("yardsticks")
    for name, epochs in {"a": 1, "b": 2}.items():
        words = (f"eval.classifier_epochs={epochs * 200}", "data.limit=100", "rounds=2", f"seed={epochs}")
        raygan.train(tiny(*words), root / name, watchers=[])
    return root


def rows_of(folder):
    return raygan.open_run(folder).evaluations


def test_what_a_distance_is_worth_stands_beside_it(finished):
    row = rows_of(finished / "a")[-1]
    assert row["classifier_held_out"] == 20, "a fifth of every class"
    assert 0.5 < row["classifier_accuracy"] <= 1
    assert row["floor_images"] == 50
    assert row["fd_clf"] > row["fd_clf_floor"] > 0
    assert row["yardstick"] == "FD-clf is no yardstick here: 100 images are fewer than its 128 features"
    whole = json.loads((finished / "a" / "evaluation.json").read_text())
    assert whole["fd_clf_floor"] == row["fd_clf_floor"]
    assert whole["classifier_accuracy"] == row["classifier_accuracy"]


def test_it_is_said_once_that_a_distance_tells_little(tmp_path):
    watch = Watch()
    raygan.train(tiny("data.limit=100", "rounds=2"), tmp_path / "run", watchers=[watch])
    assert sum("is no yardstick here" in text for text in watch.phases) == 1


def test_a_run_keeps_its_classifier_and_is_measured_with_it_again(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("raygan.evaluation.evaluator.train_classifier", None)
    assert run(["evaluate", str(finished / "a")]) == 0
    again = json.loads(capsys.readouterr().out)
    last = rows_of(finished / "a")[-1]
    assert (again["classifier"], again["ema"]["fd_clf"]) == (last["classifier"], last["fd_clf"])
    shutil.copytree(finished / "a", tmp_path / "a")
    config = raygan.load_config(tmp_path / "a" / "config.yaml", ["rounds=3"])
    raygan.train(config, tmp_path / "a", resume=True, watchers=[])
    assert {row["classifier"] for row in rows_of(tmp_path / "a")} == {last["classifier"]}


def test_a_run_is_measured_with_a_classifier_that_it_is_given(finished, tmp_path, monkeypatch):
    monkeypatch.setattr("raygan.evaluation.evaluator.train_classifier", None)
    theirs = (finished / "b" / "classifier.safetensors").read_bytes()
    for name, given in {"folder": finished / "b", "file": finished / "b" / "classifier.safetensors"}.items():
        words = ("rounds=1", "data.limit=100", f"eval.classifier={given}")
        raygan.train(tiny(*words), tmp_path / name, watchers=[])
        assert (tmp_path / name / "classifier.safetensors").read_bytes() == theirs
        assert rows_of(tmp_path / name)[-1]["classifier"] == rows_of(finished / "b")[-1]["classifier"]


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ("absent", ("eval.classifier", "damaged", "absent")),
        ("config.yaml", ("eval.classifier", "damaged", "classifier.safetensors")),
    ],
)
def test_what_is_no_classifier_is_refused_before_anything_begins(finished, tmp_path, given, about):
    with raises(*about):
        raygan.train(tiny(f"eval.classifier={finished / 'a' / given}"), tmp_path / "run", watchers=[])
    assert not (tmp_path / "run").exists()


def test_a_classifier_of_other_data_is_refused(finished, tmp_path):
    words = ("data.name=tests.own:stripes", "data.options.width=2", "data.limit=null")
    with raises("eval.classifier", "mismatch", "1 channels", "10 classes", "2"):
        raygan.train(tiny(*words, f"eval.classifier={finished / 'a'}"), tmp_path / "run", watchers=[])


def test_runs_of_different_classifiers_are_measured_anew_with_one(finished, tmp_path, capsys):
    runs, page = [str(finished / "a"), str(finished / "b")], tmp_path / "page.html"
    assert run(["compare", *runs, "--out", str(page)]) == 2
    assert "measured with classifier" in capsys.readouterr().err
    assert run(["compare", *runs, "--classifier", runs[0], "--target", "9", "--out", str(page)]) == 2
    assert run(["compare", *runs, "--classifier", runs[0], "--out", str(page)]) == 0
    table = pd.read_csv(tmp_path / "page.csv").set_index("run")
    assert table.loc["a", "last fd_clf"] == pytest.approx(rows_of(finished / "a")[-1]["fd_clf"])
    assert table.loc["b", "last fd_clf"] != pytest.approx(rows_of(finished / "b")[-1]["fd_clf"])
    assert not [column for column in table if "target" in column]
    assert "measured anew" in page.read_text()

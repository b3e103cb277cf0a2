"""Runs with a class condition, from the command to samples of a chosen class."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import raygan
from raygan.cli import cli
from raygan.evaluation.by_class import ByClass
from tests.errors import raises, refuses
from tests.helpers import tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return raygan.train(tiny("gan.condition=projection"), tmp_path_factory.mktemp("run") / "run")


def test_a_trained_generator_makes_samples_of_a_class(run):
    generator = run.load_generator()
    assert generator.classes == 10
    threes = generator.sample(4, seed=5, labels=3)
    assert torch.equal(threes, generator.sample(4, seed=5, labels=[3] * 4))
    assert torch.equal(threes, generator.sample(4, seed=5, labels=np.array([3] * 4)))
    assert not torch.equal(threes, generator.sample(4, seed=5, labels=4))
    mixed = generator.sample(4, seed=5, labels=[4, 4, 4, 3])
    assert torch.equal(mixed[:3], generator.sample(4, seed=5, labels=4)[:3])
    assert torch.allclose(mixed[3], threes[3], atol=1e-6)
    assert torch.equal(generator.sample(600, seed=1), generator.sample(600, seed=1))


@pytest.mark.parametrize(
    ("labels", "values"),
    [(10, (10, "0 to 9")), (-1, (-1, "0 to 9")), ([1, 2], ("4 of them",)), ([0.5] * 4, ("4 of them",))],
)
def test_wrong_labels_are_refused(run, labels, values):
    with raises("labels", "value", *values):
        run.load_generator().sample(4, labels=labels)


def sampling(folder, out):
    return ["sample", str(folder), "--count", "4", "--out", str(out)]


def sampled(folder, out, *words):
    return CliRunner().invoke(cli, [*sampling(folder, out), *words])


def test_samples_of_a_class_on_the_command_line(run, tmp_path):
    assert sampled(run.out, tmp_path / "3.png", "--class", "3").exit_code == 0
    assert sampled(run.out, tmp_path / "4.png", "--class", "4").exit_code == 0
    assert (tmp_path / "3.png").read_bytes() != (tmp_path / "4.png").read_bytes()
    refuses([*sampling(run.out, tmp_path / "x.png"), "--class", "ten"], "--class", "unknown", "'ten'", "0, 1, 2")


def test_a_generator_without_a_condition_has_no_classes(tmp_path):
    plain = raygan.train(tiny("rounds=1"), tmp_path / "plain")
    with raises("labels", "conflict", "gan.condition=none"):
        plain.load_generator().sample(4, labels=3)
    refuses([*sampling(plain.out, tmp_path / "x.png"), "--class", "3"], "--class", "conflict", "gan.condition=none")


def test_the_log_has_the_class_counts_once(run):
    rounds = [row for row in run.rows if row["round"] > 0]
    assert rounds[0]["bytes_up"] - rounds[1]["bytes_up"] == 3 * 10 * 4  # devices, classes, bytes of a number
    assert rounds[1]["bytes_up"] == rounds[2]["bytes_up"]


def test_a_run_is_evaluated_again_with_its_condition(run):
    found = CliRunner().invoke(cli, ["evaluate", str(run.out)], catch_exceptions=False)
    again, before = json.loads(found.output), json.loads((run.out / "evaluation.json").read_text())
    assert again["ema"]["fd_clf"] == pytest.approx(before["ema"]["fd_clf"], rel=1e-6)


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["gan.class_weights=[1,2,3]"], ("gan.class_weights", "mismatch", "3", "10")),
        (["method=mdgan", "gan.fake_classes=own"], ("gan.fake_classes", "conflict", "own", "mdgan")),
        (["gan.generator=tests.run.nets:NoLabels"], ("gan.generator", "failed", "with their classes")),
        (["gan.discriminator=tests.run.nets:OnlyLogits"], ("gan.discriminator", "result", "Tensor", "tuple")),
        (["gan.discriminator=tests.run.nets:FewScores"], ("gan.discriminator", "result", "(8, 3)", "(8, 10)")),
    ],
)
def test_wrong_settings_are_one_line_before_the_start(words, about, tmp_path):
    with raises(*about):
        raygan.train(tiny("gan.condition=auxiliary", *words), tmp_path / "run")


def test_data_of_one_class_has_no_condition(tmp_path):
    np.savez(tmp_path / "images.npz", images=np.zeros((40, 16, 16), np.uint8))
    words = ["data.name=npz", f"data.root={tmp_path / 'images.npz'}", "data.limit=null"]
    config = tiny("gan.condition=projection", *words)
    with raises("gan.condition", "few", "projection", "npz"):
        raygan.train(config, tmp_path / "run")


def test_an_exported_generator_takes_labels(run, tmp_path):
    words = ["export", str(run.out), "--to", "torchscript", "--out", str(tmp_path / "model")]
    assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
    with pytest.warns(FutureWarning):
        exported = torch.jit.load(str(tmp_path / "model" / "generator.pt"))
    z, labels = torch.randn(7, 8), torch.tensor([0, 9, 3, 3, 1, 2, 4])
    assert torch.allclose(exported(z, labels), run.load_generator()(z, labels), atol=1e-5)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "generator(torch.randn(16, 8), torch.arange(16) % 10)" in card
    assert "Labels are the classes of the samples, (N,) int64 from 0 to 9, of 0, 1, 2" in card


def test_a_run_measures_whether_samples_are_of_their_class(run):
    last = run.evaluations[-1]
    assert 0 <= last["class_accuracy"] <= 1
    assert len(last["class_fd_clf"]) == 10
    known = [value for value in last["class_fd_clf"] if value is not None]
    assert last["fd_clf_classes"] == pytest.approx(sum(known) / len(known))
    assert {"class_accuracy_raw", "fd_clf_classes_raw"} < set(last)


def test_real_images_are_of_their_own_class_and_no_other():
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = torch.from_numpy(random.standard_normal((60, 4)) + 5 * labels[:, None])
    logits = torch.eye(3)[torch.from_numpy(labels)]
    right = ByClass(features, labels, torch.from_numpy(labels), 3).measure(features, logits)
    assert right["class_accuracy"] == 1
    assert right["class_fd_clf"] == pytest.approx([0, 0, 0], abs=1e-4)
    shifted = torch.from_numpy((labels + 1) % 3)
    wrong = ByClass(features, labels, shifted, 3).measure(features, logits)
    assert wrong["class_accuracy"] == 0
    assert wrong["fd_clf_classes"] > 90  # means are 5 apart in each of 4 features, or 10: squares of 100 and 400
    none = ByClass(features, labels, torch.zeros(60, dtype=torch.int64), 4).measure(features, logits)
    assert none["class_fd_clf"][1:] == [None] * 3


def test_a_runs_own_samples_are_of_a_class(run):
    assert np.array_equal(run.samples(4, labels=3), run.samples(4, labels=[3] * 4))
    assert not np.array_equal(run.samples(4, labels=3), run.samples(4, labels=4))

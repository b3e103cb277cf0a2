"""What a run leaves beside its numbers: what was measured when it was over, what the data was, and what happened."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image

import raygan
from raygan.components import METRICS
from raygan.data import load_data
from raygan.evaluation.evaluator import Evaluator
from raygan.evaluation.final import DEVICES, by_device, evaluate_run, memorised
from raygan.metrics.classifier import scale
from raygan.record.folder import RunFolder
from raygan.report.record import read_record
from raygan.report.run.words import how_it_stands
from tests.errors import raises
from tests.fixed import Fixed
from tests.helpers import tiny

ALL = [f"eval.metrics=[{','.join(METRICS)}]", "eval.nearest=3"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    words = ["data.partition.name=classes", "data.partition.per_device=4", *ALL]
    return raygan.train(tiny(*words), tmp_path_factory.mktemp("closing") / "run", watchers=[])


def read(path):
    return json.loads(path.read_text())


def test_the_last_generator_is_measured_as_evaluate_measures_it_again(finished):
    folder = RunFolder(finished.out)
    written = read(folder.evaluation)
    assert written == json.loads(json.dumps(evaluate_run(folder.read_config(), finished.out, None)))
    last = finished.rows[-1]
    assert written["round"] == last["round"] == 4
    for name, value in written["ema"].items():
        assert last[name] == value
    for name, value in written["raw"].items():
        assert name == "class_shares" or last[f"{name}_raw"] == value
    of_features = {f"{name}_clf" for name in ("fd", "kd", "precision", "recall", "density", "coverage")}
    assert of_features | {"classifier_score", "sliced_wasserstein", "classes_found"} <= written["ema"].keys()
    assert {"eval_samples": 50, "eval_seed": 0, "compared_images": 50, "reference_images": 200}.items() <= last.items()
    assert len(last["classifier"]) == 16


def test_evaluate_trains_the_classifier_where_no_cache_has_it(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYGAN_CACHE", str(tmp_path))
    folder = RunFolder(finished.out)
    assert evaluate_run(folder.read_config(), finished.out, None)["ema"] == read(folder.evaluation)["ema"]


def test_a_generator_whose_samples_are_not_finite_is_not_measured():
    config = tiny()
    images = load_data(config.data, seed=0)
    generator = Fixed(torch.full((1, 1, 16, 16), torch.nan))
    with raises("generator_optimizer.lr", "not_finite", kind=raygan.RunError):
        Evaluator(config, images).measure(generator)


def test_the_picture_has_a_row_per_sample(finished):
    samples = finished.samples(3)
    sheet = np.asarray(Image.open(RunFolder(finished.out).nearest))
    factor = sheet.shape[0] // (3 * 17 + 1)
    small = sheet[::factor, ::factor]
    assert small.shape == (3 * 17 + 1, 4 * 17 + 1)
    assert np.array_equal(small[1:17, 1:17], samples[0])
    data = load_data(tiny().data, seed=0).images[:, 0]
    assert (data == small[1:17, 18:34]).all(axis=(1, 2)).any(), "beside it there is a training image"


def test_each_device_is_measured_against_its_own_shard(finished):
    devices = read(RunFolder(finished.out).evaluation)["devices"]
    assert len(devices["fd_clf"]) == 3
    assert devices["mean_fd_clf"] == pytest.approx(np.mean(devices["fd_clf"]))
    assert devices["pooled_fd_clf"] == finished.rows[-1]["fd_clf"]


def test_a_generator_of_one_devices_images_is_nearest_to_it():
    config = tiny("data.partition.name=classes", "data.partition.per_device=4", "eval.samples=60", *ALL)
    images = load_data(config.data, seed=0)
    evaluator = Evaluator(config, images)
    shard = raygan.data.split(images.labels, 3, config.data.partition, 0)[1]
    generator = Fixed(scale(images.images[shard]))
    devices = by_device(config, images, evaluator, generator, evaluator.measure(generator))["devices"]
    assert np.argmin(devices["fd_clf"]) == 1
    assert devices["fd_clf"][1] < devices["pooled_fd_clf"] < devices["mean_fd_clf"]
    assert by_device(config, images, evaluator, generator, {}) == {}, "without FD-clf"
    lonely = tiny("devices=150", "eval.samples=60")
    found = by_device(lonely, images, evaluator, generator, evaluator.measure(generator))["devices"]
    assert len(found["fd_clf"]) == DEVICES
    assert found["fd_clf"].count(None) == 50, "a hundred of 150 have one sample"
    assert np.isfinite(found["mean_fd_clf"])


def test_what_was_learned_by_heart_is_seen():
    config = tiny("eval.nearest=5")
    images = load_data(config.data, seed=0)
    facts, picture = memorised(config, images, Fixed(scale(images.images[7:12])))
    assert facts["nearest"]["distances"] == [0.0] * 5
    assert facts["nearest"]["ratio_median"] == 0
    assert picture.width > picture.height / 2
    noise, _ = memorised(config, images, Fixed(torch.zeros(5, 1, 16, 16)))
    assert noise["nearest"]["ratio_median"] > 1
    assert memorised(tiny("eval.nearest=0"), images, Fixed(scale(images.images))) == ({}, None)


def test_what_the_data_is_and_who_holds_what(finished):
    about = read(RunFolder(finished.out).data)
    assert (about["name"], about["samples"], about["shape"], about["devices"]) == ("digits", 200, [1, 16, 16], 3)
    assert about["classes"] == [str(digit) for digit in range(10)]
    assert about["class_counts"] == [20] * 10
    counts = np.array(about["device_class_counts"])
    assert counts.sum(axis=0).tolist() == about["class_counts"]
    assert ((counts > 0).sum(axis=1) <= 4).all()
    assert about["digest"] == read(RunFolder(finished.out).environment)["data_digest"]


def test_what_happened_is_noted(tmp_path):
    out = tmp_path / "run"
    raygan.train(tiny("rounds=2"), out, watchers=[])
    assert not RunFolder(out).events.exists()
    resumed = raygan.train(tiny("rounds=4"), out, resume=True, watchers=[])
    (line,) = RunFolder(out).events.read_text().splitlines()
    assert {"round": 2, "what": "going on after round 2"}.items() <= json.loads(line).items()
    assert read(RunFolder(out).evaluation)["round"] == resumed.round == 4


def test_a_run_stopped_between_evaluations_is_not_measured_for_it(tmp_path):
    from tests.helpers import Watch

    def stop(round):
        if round == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        raygan.train(tiny("rounds=40", "eval.every=20"), tmp_path / "run", watchers=[Watch(stop)])
    stopped = raygan.open_run(tmp_path / "run")
    assert 0 < stopped.round < 20
    assert stopped.generator.exists()
    assert not RunFolder(stopped.out).evaluation.exists()
    assert how_it_stands(read_record(stopped.out)).startswith(f"Interrupted after round {stopped.round} of 40, its")


def test_centralized_and_mixtures_have_what_applies_to_them(tmp_path):
    pooled = raygan.train(tiny("method=centralized", *ALL), tmp_path / "pooled", watchers=[])
    assert "devices" not in read(RunFolder(pooled.out).evaluation)
    assert read(RunFolder(pooled.out).data)["devices"] == 1
    mlp = ["gan.generator=mlp", "gan.discriminator=mlp"]
    mixture = raygan.train(tiny("data.name=gaussians", *mlp, *ALL), tmp_path / "mixture", watchers=[])
    written = read(RunFolder(mixture.out).evaluation)
    assert written["ema"].keys() == {"modes_found", "high_quality", "reverse_kl", "sliced_wasserstein"}
    assert not {"devices", "nearest"} & written.keys()
    assert not RunFolder(mixture.out).nearest.exists()

"""A whole inline run: what it leaves behind, how it stops and goes on."""

import gc
import json
import threading
import warnings
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

import raygan
from raygan import RunError
from raygan.record.generator_file import read_generator, sealed
from raygan.report.tensorboard import TensorBoardMirror
from tests.errors import raises
from tests.helpers import Watch, same_generator, tiny


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    return raygan.train(tiny(), tmp_path_factory.mktemp("runs") / "run")


def curve(folder, name):
    """A scalar by its rounds, as TensorBoard reads it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorboard's own
        events.Reload()
    return {event.step: event.value for event in events.Scalars(name)}


def test_the_run_folder_is_as_designed(finished):
    names = {path.relative_to(finished.out).as_posix() for path in finished.out.rglob("*") if path.is_file()}
    assert {
        "config.yaml",
        "environment.json",
        "rounds.jsonl",
        "samples/round_000000.png",
        "samples/round_000002.png",
        "samples/round_000004.png",
        "checkpoints/round_000004/manifest.json",
        "generator.safetensors",
    } <= names
    assert any(name.startswith("tensorboard/") for name in names)
    assert raygan.load_config(finished.out / "config.yaml") == tiny()


def test_a_line_per_round_with_measurements_where_due(finished):
    rows = finished.rows
    assert [row["round"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["round"] for row in finished.evaluations] == [0, 2, 4]
    assert all({"wall_s", "devices", "bytes_up", "bytes_down", "d_loss", "g_loss"} <= row.keys() for row in rows[1:])
    measured = finished.evaluations[-1]
    assert {"fd_clf", "fd_clf_raw", "classes_found", "class_shares", "eval_samples", "classifier"} <= measured.keys()
    assert measured["eval_samples"] == 50
    assert sum(measured["class_shares"]) == pytest.approx(1, abs=1e-2)
    assert [row["wall_s"] for row in rows] == sorted(row["wall_s"] for row in rows)
    for before, row in pairwise(rows):
        assert min(row["spent_s"].values()) >= 0
        assert sum(row["spent_s"].values()) <= row["wall_s"] - before["wall_s"] + 2e-3  # both are rounded


def test_bytes_are_parameters_times_four(finished):
    trained = read_generator(finished.generator)
    row = finished.rows[1]
    up = row["bytes_up"] / 4 / 3
    assert row["bytes_down"] / 4 / 3 == trained.network.num_parameters + up


def test_tensorboard_has_the_curves(finished):
    assert list(curve(finished.out, "d_loss")) == [1, 2, 3, 4]
    assert list(curve(finished.out, "fd_clf")) == [0, 2, 4]


def test_tensorboard_reads_each_line_once_and_whole(tmp_path):
    rounds, evaluations = tmp_path / "rounds.jsonl", tmp_path / "evaluations.jsonl"
    mirror = TensorBoardMirror(tmp_path, first_round=2, late=[1])
    rounds.write_text('{"round": 1, "d_loss": 1.0}\n{"round": 2, "d_loss": 2.0}\n{"round": 3, ')
    evaluations.write_text('{"round": 0, "fd_clf": 9.0}\n{"round": 1, "fd_clf": 8.0}\n')
    mirror._update()
    with rounds.open("a") as file:
        file.write('"d_loss": 3.0}\n')
    mirror._update()
    mirror._update()
    mirror.close()
    assert curve(tmp_path, "d_loss") == {2: 2.0, 3: 3.0}
    assert curve(tmp_path, "fd_clf") == {1: 8.0}, "it was late"


def test_rounds_that_are_played_again_are_drawn_once(tmp_path):
    for first, loss in ((0, 1.0), (2, 5.0)):
        lines = [{"round": round, "d_loss": loss + round} for round in range(first, 4)]
        (tmp_path / "rounds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        TensorBoardMirror(tmp_path, first).close()
    assert curve(tmp_path, "d_loss") == {0: 1.0, 1: 2.0, 2: 7.0, 3: 8.0}


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_that_is_over_holds_no_files_and_threads(tmp_path, fails):
    def open_files():
        return [str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]

    def held():
        gc.collect()  # queues are closed by it
        return len(open_files()), threading.active_count()

    def run(number):
        with pytest.raises(RunError) if fails else nullcontext():
            raygan.train(tiny(*["method=tests.own:raises"] * fails), tmp_path / str(number))

    run(0)  # what is imported in passing
    before = held()
    run(1)
    assert [file for file in open_files() if file.startswith(str(tmp_path))] == []
    assert held() == before


def test_the_generator_file_rebuilds_both_generators(finished):
    raw, ema = (read_generator(finished.generator, weights) for weights in ("raw", "ema"))
    assert not np.array_equal(raw.network.dump(), ema.network.dump())
    assert raw.shape == (1, 16, 16)
    assert raw.round == 4
    with safe_open(finished.generator, "numpy") as file:
        assert set(json.loads(file.metadata()["raygan"])) == {"format", "gan", "shape", "round", "checksum"}


def test_the_grid_is_a_picture(finished):
    with Image.open(finished.picture) as picture:
        assert picture.mode == "L"
        assert min(picture.size) > 500


def test_the_same_config_gives_the_same_bytes_and_another_seed_others(finished, tmp_path):
    assert same_generator(raygan.train(tiny(), tmp_path / "again"), finished)
    assert not same_generator(raygan.train(tiny("seed=1"), tmp_path / "other"), finished)


def test_a_run_that_diverges_says_where_and_keeps_what_it_has(tmp_path):
    words = "device_optimizer.name=sgd device_optimizer.lr=1e4 gan.discriminator_norm=none gan.loss=least_squares"
    config = tiny(*words.split(), "rounds=30", "checkpoint.every=1")
    with raises("round 2, device 0", "not_finite", "round_000001", kind=raygan.RunError):
        raygan.train(config, tmp_path / "run")
    assert (tmp_path / "run" / "config.yaml").exists()


def test_two_d_mixtures_count_modes(tmp_path):
    words = ["data.name=gaussians", "gan.generator=mlp", "gan.discriminator=mlp", "rounds=2"]
    last = raygan.train(tiny(*words), tmp_path / "run").evaluations[-1]
    assert {"modes_found", "high_quality", "reverse_kl", "modes_found_raw"} <= last.keys()
    assert "fd_clf" not in last


def test_a_single_class_has_no_classifier(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(30, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "one.npz", images=images, labels=np.zeros(30, int))
    config = tiny("data.name=npz", f"data.root={tmp_path / 'one.npz'}", "data.size=16", "rounds=2")
    result = raygan.train(config, tmp_path / "run")
    assert "fd_clf" not in result.evaluations[-1]
    assert result.picture.exists()


def test_watchers_hear_of_everything(tmp_path):
    watch = Watch()
    raygan.train(tiny(), tmp_path / "run", watchers=[watch])
    assert watch.rounds == [0, 1, 2, 3, 4]
    assert watch.evaluated == [0, 2, 4]
    starting = ["importing torch", "loading digits", "starting in this process", "measuring round 0, and training"]
    assert watch.phases == starting


def test_an_empty_out_folder_of_the_users_survives_a_wrong_config(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(raygan.InputError):
        raygan.train(tiny("data.name=npz", "data.root=/no.npz"), tmp_path / "mine")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    assert not any((tmp_path / "mine").iterdir())


def test_a_flipped_bit_in_a_generators_tensors_is_noticed(finished, tmp_path):
    content = bytearray(finished.generator.read_bytes())
    content[-1] ^= 1
    damaged = tmp_path / "generator.safetensors"
    damaged.write_bytes(content)
    with raises("generator.safetensors", "damaged"):
        read_generator(damaged)


def test_a_generator_file_that_names_foreign_code_is_not_followed(finished, tmp_path):
    from safetensors.numpy import load_file, save_file

    about = {
        "format": 2,
        "gan": tiny("gan.generator=tests.own:touches").gan.model_dump(mode="json"),
        "shape": [1, 16, 16],
        "round": 4,
    }
    crafted = tmp_path / "generator.safetensors"
    tensors = load_file(finished.generator)
    save_file(tensors, crafted, sealed(about, tensors))
    with raises("generator.safetensors", "unsafe", "gan.generator=tests.own:touches"):
        read_generator(crafted)
    with raises("gan.generator", "kind"):
        read_generator(crafted, own="tests.own:touches")


def test_a_network_of_ones_own_comes_back_when_it_is_named_again(tmp_path):
    config = tiny("gan.generator=tests.own:Generator", "rounds=1")
    result = raygan.train(config, tmp_path / "run")
    assert read_generator(result.generator, own="tests.own:Generator").round == 1

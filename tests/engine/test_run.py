"""A whole inline run: what it leaves behind, how it stops and goes on."""

import json
import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

import raygan
from raygan.engine.generator_file import load_generator, sealed
from raygan.run_folder import RunFolder
from tests.helpers import tiny


class Watch:
    """Counts what it is told, and calls `act` when a round is over."""

    def __init__(self, act=lambda round: None):
        self.rounds, self.evaluated, self.phases, self.act = [], [], [], act

    def on_phase(self, text):
        self.phases.append(text)

    on_event = on_phase

    def on_round(self, row):
        self.rounds.append(row["round"])
        self.act(row["round"])

    def on_evaluation(self, round, metrics):
        self.evaluated.append(round)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    return raygan.train(tiny(), tmp_path_factory.mktemp("runs") / "run")


def test_the_run_folder_is_as_designed(finished):
    names = {path.relative_to(finished.out).as_posix() for path in finished.out.rglob("*") if path.is_file()}
    assert {
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
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


def test_bytes_are_parameters_times_four(finished):
    trained = load_generator(finished.generator)
    row = finished.rows[1]
    up = row["bytes_up"] / 4 / 3
    assert row["bytes_down"] / 4 / 3 == trained.network.num_parameters + up


def test_tensorboard_has_the_curves(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished.out / "tensorboard"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorboard's own
        events.Reload()
    assert [event.step for event in events.Scalars("d_loss")] == [1, 2, 3, 4]
    assert [event.step for event in events.Scalars("fd_clf")] == [0, 2, 4]


def test_the_generator_file_rebuilds_both_generators(finished):
    raw, ema = (load_generator(finished.generator, weights) for weights in ("raw", "ema"))
    assert not np.array_equal(raw.network.dump(), ema.network.dump())
    assert raw.shape == (1, 16, 16)
    assert raw.round == 4
    with safe_open(finished.generator, "numpy") as file:
        assert set(json.loads(file.metadata()["raygan"])) == {"format", "gan", "shape", "round", "checksum"}


def test_the_grid_is_a_picture(finished):
    with Image.open(finished.picture) as picture:
        assert picture.mode == "L"
        assert min(picture.size) > 500


def same_generator(left, right):
    return left.generator.read_bytes() == right.generator.read_bytes()


def test_the_same_config_gives_the_same_bytes_and_another_seed_others(finished, tmp_path):
    assert same_generator(raygan.train(tiny(), tmp_path / "again"), finished)
    assert not same_generator(raygan.train(tiny("seed=1"), tmp_path / "other"), finished)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_then_resumed_is_undisturbed(finished, tmp_path, number):
    watch = Watch(lambda round: os.kill(os.getpid(), number) if round == 1 else None)
    stopped = raygan.train(tiny(), tmp_path / "run", watchers=[watch])
    assert stopped.stopped_by == number
    assert stopped.round < 4
    resumed = raygan.train(tiny(), tmp_path / "run", resume=True)
    assert resumed.round == 4
    assert same_generator(resumed, finished)
    assert [row["round"] for row in resumed.rows] == [0, 1, 2, 3, 4]
    assert [row.get("fd_clf") for row in resumed.rows] == [row.get("fd_clf") for row in finished.rows]


def test_more_rounds_later_are_the_same_as_at_once(finished, tmp_path):
    raygan.train(tiny("rounds=2"), tmp_path / "run")
    assert same_generator(raygan.train(tiny(), tmp_path / "run", resume=True), finished)


def test_a_damaged_checkpoint_is_passed_over(finished, tmp_path):
    raygan.train(tiny("rounds=3", "checkpoint.every=1"), tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "round_000003" / "server.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    watch = Watch()
    resumed = raygan.train(tiny(), tmp_path / "run", resume=True, watchers=[watch])
    assert any("round_000003: damaged, passed over" in text for text in watch.phases)
    assert "going on after round 2" in watch.phases
    assert same_generator(resumed, finished)


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    result = raygan.train(tiny("checkpoint.every=1", "checkpoint.keep=2"), tmp_path / "run")
    assert sorted(path.name for path in (result.out / "checkpoints").iterdir()) == ["round_000003", "round_000004"]


def test_resuming_with_other_numbers_is_refused_by_key(finished, tmp_path):
    raygan.train(tiny("rounds=2"), tmp_path / "run")
    with pytest.raises(raygan.InputError, match=r"batch_size \(8 before, 9 now\)"):
        raygan.train(tiny("batch_size=9"), tmp_path / "run", resume=True)
    raygan.train(tiny("engine.devices_per_actor=3"), tmp_path / "run", resume=True)


@pytest.mark.parametrize("method", ["averaged", "centralized"])
def test_a_config_altered_in_the_run_folder_is_not_believed(tmp_path, method):
    raygan.train(tiny("rounds=2", f"method={method}", "selection.deadline_s=9"), tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    asked = path.read_text()
    path.write_text(asked.replace("lr: 0.002", "lr: 0.006", 1))
    before = sorted(file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file())
    with pytest.raises(raygan.InputError, match=r"other values of device_optimizer\.lr \(0\.002 before, 0\.006 now\)"):
        raygan.train(raygan.load_config(path, ["rounds=4"]), tmp_path / "run", resume=True)
    assert sorted(file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()) == before
    path.write_text(asked)
    assert raygan.train(raygan.load_config(path, ["rounds=4"]), tmp_path / "run", resume=True).round == 4


def test_resuming_on_other_data_is_refused(tmp_path):
    path, labels = tmp_path / "set.npz", np.arange(40) % 2
    images = np.random.default_rng(0).integers(256, size=(40, 16, 16), dtype=np.uint8)
    np.savez(path, images=images, labels=labels)
    words = ["data.name=npz", f"data.root={path}", "data.size=16"]
    raygan.train(tiny(*words, "rounds=2"), tmp_path / "run")
    np.savez(path, images=images ^ 1, labels=labels)
    with pytest.raises(raygan.InputError, match="the data is not what the run began with"):
        raygan.train(tiny(*words), tmp_path / "run", resume=True)


def test_a_damaged_environment_is_named(tmp_path):
    raygan.train(tiny("rounds=2"), tmp_path / "run")
    (tmp_path / "run" / "environment.json").write_text("{")
    with pytest.raises(raygan.InputError, match=r"environment\.json: not the record that raygan wrote"):
        raygan.train(tiny(), tmp_path / "run", resume=True)


def test_a_run_that_diverges_says_where_and_keeps_what_it_has(tmp_path):
    words = "device_optimizer.name=sgd device_optimizer.lr=1e4 gan.discriminator_norm=none gan.loss=least_squares"
    config = tiny(*words.split(), "rounds=30", "checkpoint.every=1")
    with pytest.raises(raygan.RunError, match=r"round \d, device 0: the update has diverged.*round_"):
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
    assert watch.phases[-1] == "training"


def test_a_failed_round_leaves_no_later_checkpoint_and_all_earlier_rows(tmp_path, monkeypatch):
    from raygan.engine.parties import Device

    original = Device.update

    def update(self, side, round, down):
        if round == 3 and self.shard.device == 1:
            raise RuntimeError("on purpose")
        return original(self, side, round, down)

    monkeypatch.setattr(Device, "update", update)
    with pytest.raises(raygan.RunError, match=r"RuntimeError: on purpose \(the state is kept up to round_000002"):
        raygan.train(tiny("checkpoint.every=1"), tmp_path / "run")
    assert "on purpose" in (tmp_path / "run" / "error.txt").read_text()
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["round"] for row in rows] == [0, 1, 2]


def test_a_run_that_failed_behind_its_last_round_can_be_finished(finished, tmp_path, monkeypatch):
    from raygan.engine.recorder import Recorder

    def full(self, round, generators):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "export", full)
        with pytest.raises(raygan.RunError, match="No space left"):
            raygan.train(tiny(), tmp_path / "run")
    assert same_generator(raygan.train(tiny(), tmp_path / "run", resume=True), finished)
    with pytest.raises(raygan.InputError, match="has played 4 of 4 rounds"):
        raygan.train(tiny(), tmp_path / "run", resume=True)


@pytest.mark.parametrize("times", [1, 2])
def test_a_process_may_be_lost_while_the_run_is_started_again(times, finished, tmp_path, monkeypatch):
    from raygan.engine.inline import InlineExecutor
    from raygan.errors import ProcessLostError

    class Machine(InlineExecutor):
        """Gone once, in round 3; it takes the cluster some `times` to notice."""

        lost_at, starts = [3], 0

        def __init__(self, *args):
            Machine.starts += 1
            if 2 <= Machine.starts < 2 + times:
                raise ProcessLostError("device 0: the node is gone")
            super().__init__(*args)

        def play(self, round, *args):
            if round in self.lost_at:
                self.lost_at.remove(round)
                raise ProcessLostError("device 0: the node is gone")
            return super().play(round, *args)

    monkeypatch.setattr("raygan.engine.inline.InlineExecutor", Machine)
    if times == 1:
        assert same_generator(raygan.train(tiny(), tmp_path / "run"), finished)
    else:
        with pytest.raises(raygan.RunError, match=r"so were those that were started again, 2 times .*round_000002"):
            raygan.train(tiny(), tmp_path / "run")


def test_a_process_may_be_lost_when_all_is_done(finished, tmp_path, monkeypatch):
    from raygan.engine.inline import InlineExecutor
    from raygan.errors import ProcessLostError

    class Machine(InlineExecutor):
        """Gone once, when generator.safetensors has been written."""

        exports = 0

        def export(self):
            done = super().export()
            Machine.exports += 1
            if Machine.exports == 1:
                raise ProcessLostError("the recorder: the node is gone")
            return done

    monkeypatch.setattr("raygan.engine.inline.InlineExecutor", Machine)
    assert same_generator(raygan.train(tiny(), tmp_path / "run"), finished)


def test_a_full_disk_cuts_no_line_off(tmp_path):
    """A limit on the size of files stands for a full disk: both take part of what is written."""
    script = """
import resource, signal, sys
from pathlib import Path
from raygan.run_folder import RunFolder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
folder = RunFolder(Path(sys.argv[1]))
try:
    for round in range(100):
        folder.append({"round": round, "wall_s": 0.0, "sim_s": 0.0})
except OSError:
    print(round)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    rows = RunFolder(tmp_path).rows()
    assert (tmp_path / "metrics.jsonl").read_text().endswith("}\n")
    assert len(rows) == int(done.stdout) > 0


def test_what_a_killed_run_had_half_written_is_swept(tmp_path):
    raygan.train(tiny("rounds=2"), tmp_path / "run")
    half = tmp_path / "run" / ".generator.safetensors.x1.safetensors"
    half.touch()
    raygan.train(tiny("rounds=3"), tmp_path / "run", resume=True)
    assert not half.exists()


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
    with pytest.raises(raygan.InputError, match=r"generator\.safetensors: .*does not match its checksum"):
        load_generator(damaged)


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
    with pytest.raises(raygan.InputError, match=r"if you trust that code, add gan\.generator=tests\.own:touches"):
        load_generator(crafted)
    with pytest.raises(raygan.InputError, match="is a function"):
        load_generator(crafted, own="tests.own:touches")


def test_a_network_of_ones_own_comes_back_when_it_is_named_again(tmp_path):
    config = tiny("gan.generator=tests.own:Generator", "rounds=1")
    result = raygan.train(config, tmp_path / "run")
    assert load_generator(result.generator, own="tests.own:Generator").round == 1

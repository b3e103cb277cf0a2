"""How a run stops, fails and goes on: interrupted, damaged, on a full disk, with processes lost; all inline."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import raygan
from raygan.data import load_data
from raygan.errors import Terminated
from raygan.evaluation import recorder as evaluation
from raygan.evaluation.recorder import Recorder
from raygan.record.checkpoint import Snapshot, save_snapshot
from raygan.record.folder import RunFolder
from raygan.record.settings import lasting
from tests.errors import raises
from tests.helpers import Watch, same_generator, tiny


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    return raygan.train(tiny(), tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_then_resumed_is_undisturbed(finished, tmp_path, number):
    watch = Watch(lambda round: os.kill(os.getpid(), number) if round == 1 else None)
    with pytest.raises(KeyboardInterrupt) as caught:
        raygan.train(tiny(), tmp_path / "run", watchers=[watch])
    assert isinstance(caught.value, Terminated) is (number == signal.SIGTERM)
    assert raygan.open_run(tmp_path / "run").round < 4
    resumed = raygan.train(tiny(), tmp_path / "run", resume=True)
    assert resumed.round == 4
    assert same_generator(resumed, finished)
    assert [row["round"] for row in resumed.rows] == [0, 1, 2, 3, 4]
    assert [row.get("fd_clf") for row in resumed.rows] == [row.get("fd_clf") for row in finished.rows]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["round", "evaluation", "export"])
def test_a_signal_after_the_last_round_is_not_swallowed(finished, tmp_path, monkeypatch, number, when):
    """A loop over runs is to end, though there was nothing left to cut short."""
    watch, export = Watch(), Recorder.export
    if when == "export":
        monkeypatch.setattr(Recorder, "export", lambda *given: (os.kill(os.getpid(), number), export(*given)))
    elif when == "round":
        watch.act = lambda round: os.kill(os.getpid(), number) if round == 4 else None
    else:
        watch.on_evaluation = lambda round, metrics: os.kill(os.getpid(), number) if round == 4 else None
    with pytest.raises(KeyboardInterrupt) as caught:
        raygan.train(tiny(), tmp_path / "run", watchers=[watch])
    assert isinstance(caught.value, Terminated) is (number == signal.SIGTERM)
    assert not [text for text in watch.phases if "stopping after" in text]
    assert raygan.open_run(tmp_path / "run").complete
    assert same_generator(raygan.open_run(tmp_path / "run"), finished)


def test_sigterm_before_there_is_anything_to_save_ends_it_at_once(tmp_path):
    watch = Watch()
    watch.on_phase = lambda text: os.kill(os.getpid(), signal.SIGTERM)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated):
        raygan.train(tiny(), tmp_path / "run", watchers=[watch])
    assert not (tmp_path / "run").exists()
    assert signal.getsignal(signal.SIGTERM) is before


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
    with raises("--resume", "conflict", "batch_size (8 before, 9 now)"):
        raygan.train(tiny("batch_size=9"), tmp_path / "run", resume=True)
    raygan.train(tiny("engine.devices_per_actor=3"), tmp_path / "run", resume=True)


@pytest.mark.parametrize("method", ["averaged", "centralized"])
def test_a_config_altered_in_the_run_folder_is_not_believed(tmp_path, method):
    raygan.train(tiny("rounds=2", f"method={method}", "selection.deadline_s=9"), tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    asked = path.read_text()
    path.write_text(asked.replace("lr: 0.002", "lr: 0.006", 1))
    before = sorted(file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file())
    with raises("--resume", "conflict", "device_optimizer.lr (0.002 before, 0.006 now)"):
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
    with raises("--resume", "mismatch"):
        raygan.train(tiny(*words), tmp_path / "run", resume=True)


def test_a_damaged_environment_is_named(tmp_path):
    raygan.train(tiny("rounds=2"), tmp_path / "run")
    (tmp_path / "run" / "environment.json").write_text("{")
    with raises("environment.json", "damaged"):
        raygan.train(tiny(), tmp_path / "run", resume=True)


def test_a_failed_round_leaves_no_later_checkpoint_and_all_earlier_rows(tmp_path, monkeypatch):
    from raygan.round.worker import Worker

    original = Worker.update

    def update(self, device, round, *arguments):
        if round == 3 and device == 1:
            raise RuntimeError("on purpose")
        return original(self, device, round, *arguments)

    monkeypatch.setattr(Worker, "update", update)
    with raises("RuntimeError", None, "on purpose", "round_000002", kind=raygan.RunError):
        raygan.train(tiny("checkpoint.every=1"), tmp_path / "run")
    assert "on purpose" in (tmp_path / "run" / "error.txt").read_text()
    rows = (tmp_path / "run" / "rounds.jsonl").read_text().splitlines()
    assert [json.loads(row)["round"] for row in rows] == [0, 1, 2]


def test_a_run_that_failed_behind_its_last_round_can_be_finished(finished, tmp_path, monkeypatch):
    from raygan.evaluation.recorder import Recorder

    def full(self, round, generators):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "export", full)
        with pytest.raises(raygan.RunError, match="No space left"):
            raygan.train(tiny(), tmp_path / "run")
    assert same_generator(raygan.train(tiny(), tmp_path / "run", resume=True), finished)
    watch = Watch()
    with raises("--resume", "finished", "4 of 4 rounds"):
        raygan.train(tiny(), tmp_path / "run", resume=True, watchers=[watch])
    assert not [text for text in watch.phases if text.startswith("going on")]


@pytest.mark.parametrize("times", [1, 2])
def test_a_process_may_be_lost_while_the_run_is_started_again(times, finished, tmp_path, monkeypatch):
    from raygan.errors import ProcessLostError
    from raygan.executors.in_process import InProcess

    class Machine(InProcess):
        """Gone once, in round 3; it takes the cluster some `times` to notice."""

        lost_at, starts = [3], 0

        def __init__(self, *args):
            Machine.starts += 1
            if 2 <= Machine.starts < 2 + times:
                raise ProcessLostError("device 0: the node is gone")
            super().__init__(*args)

        def lost(self, processes):
            return list(processes)

        def call(self, process, method, *arguments, **how):
            if method == "update_devices" and arguments[0] in self.lost_at:
                self.lost_at.remove(arguments[0])
                raise ProcessLostError("device 0: the node is gone")
            return super().call(process, method, *arguments, **how)

    monkeypatch.setattr("raygan.executors.in_process.InProcess", Machine)
    if times == 1:
        assert same_generator(raygan.train(tiny(), tmp_path / "run"), finished)
    else:
        with pytest.raises(raygan.RunError, match=r"2 times.*round_000002"):
            raygan.train(tiny(), tmp_path / "run")


def test_what_is_lost_three_times_at_the_same_place_ends_the_run(tmp_path, monkeypatch):
    from raygan.errors import ProcessLostError
    from raygan.executors.in_process import InProcess

    class Machine(InProcess):
        """Gone whenever round 3 comes."""

        def call(self, process, method, *arguments, **how):
            if method == "update_devices" and arguments[0] == 3:
                raise ProcessLostError("device 0: the node is gone")
            return super().call(process, method, *arguments, **how)

    monkeypatch.setattr("raygan.executors.in_process.InProcess", Machine)
    with raises("device 0", None, "round 2", "round_000002", kind=raygan.RunError):
        raygan.train(tiny(), tmp_path / "run")
    assert RunFolder(tmp_path / "run").log.last_round() == 2, "what was done is kept"
    assert "ProcessLostError" in (tmp_path / "run" / "error.txt").read_text()


def test_a_process_may_be_lost_when_all_is_done(finished, tmp_path, monkeypatch):
    from raygan.errors import ProcessLostError
    from raygan.executors.in_process import InProcess

    class Machine(InProcess):
        """Gone once, when generator.safetensors has been written."""

        exports = 0

        def call(self, process, method, *arguments, **how):
            done = super().call(process, method, *arguments, **how)
            if method == "export":
                Machine.exports += 1
                if Machine.exports == 1:
                    raise ProcessLostError("the recorder: the node is gone")
            return done

    monkeypatch.setattr("raygan.executors.in_process.InProcess", Machine)
    assert same_generator(raygan.train(tiny(), tmp_path / "run"), finished)


def test_a_full_disk_cuts_no_line_off(tmp_path):
    """A limit on the size of files stands for a full disk: both take part of what is written."""
    script = """
import resource, signal, sys
from pathlib import Path
from raygan.record.log import MetricsLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
log = MetricsLog(Path(sys.argv[1]))
try:
    for round in range(100):
        log.append_round({"round": round, "wall_s": 0.0, "sim_s": 0.0})
except OSError:
    print(round)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    rows = RunFolder(tmp_path).log.rows()
    assert (tmp_path / "rounds.jsonl").read_text().endswith("}\n")
    assert len(rows) == int(done.stdout) > 0


def test_what_a_killed_run_had_half_written_is_swept(tmp_path):
    raygan.train(tiny("rounds=2"), tmp_path / "run")
    half = tmp_path / "run" / ".generator.safetensors.x1.safetensors"
    half.touch()
    raygan.train(tiny("rounds=3"), tmp_path / "run", resume=True)
    assert not half.exists()


def test_generators_are_kept_while_another_rounds_are_dropped(tmp_path, monkeypatch):
    """The driver removes the folder of what is kept just when the recorder writes there."""
    folder, config = RunFolder(tmp_path / "run"), tiny("data.limit=60")
    folder.create(config)
    recorder = Recorder(config, lasting(config), folder.root, load_data(config.data, config.seed), first_round=0)
    writes, write = [], evaluation.write_whole

    def dropped_meanwhile(path, how):
        writes.append(path)
        if len(writes) == 1:
            folder.drop_pending(1)
        write(path, how)

    monkeypatch.setattr(evaluation, "write_whole", dropped_meanwhile)
    recorder.keep(2, {"ema": np.zeros(3, np.float32)})
    assert folder.pending_rounds() == [2]
    assert len(writes) == 2


def test_a_lost_device_does_not_come_back_from_a_later_round_of_an_earlier_try(tmp_path):
    folder, config = RunFolder(tmp_path / "run"), tiny("data.limit=60")
    folder.create(config)
    images = load_data(config.data, config.seed)
    for round in (4, 8):
        save_snapshot(folder.checkpoints, Snapshot(round, {}, {1: {"optimizer": np.full(2, round, np.float32)}}))
    recorder = Recorder(config, lasting(config), folder.root, images, first_round=5)
    assert recorder.saved_states([1])[1]["optimizer"].tolist() == [4, 4]
    recorder.save(6, {}, [{1: {"optimizer": np.full(2, 6, np.float32)}}], {})
    assert recorder.saved_states([0, 1]) == {1: {"optimizer": pytest.approx([6, 6])}}
    assert Recorder(config, lasting(config), folder.root, images, first_round=0).saved_states([1]) == {}

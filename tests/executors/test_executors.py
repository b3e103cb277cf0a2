"""Where things run never changes what they compute; and what passes through the driver."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from time import monotonic

import pytest

import raygan
import raygan.record.folder
from raygan.executors.executor import Executor
from tests.errors import raises
from tests.helpers import Watch, same_generator, tiny
from tests.processes import descendants

pytestmark = pytest.mark.ray


def ray_run(out, *words):
    return raygan.train(tiny("engine.executor=ray", *words), out)


SHAPES = {"one actor per device": "engine.devices_per_actor=1", "packed": "engine.devices_per_actor=2"}


RUNS = {
    "averaged": ["schedule=serial", "averaged.weights=shard"],
    "mdgan": ["method=mdgan", "mdgan.batches=2", "mdgan.swap_epochs=0.25"],
    "classes": ["gan.condition=projection", "gan.fake_classes=global"],
    "asynchronous": [
        *("schedule=asynchronous", "asynchronous.buffer=2", "averaged.upload=delta", "rounds=8"),
        *("compute.device_flops=[1e9, 2e9, 5e9]", "channel.name=wireless"),
    ],
    "classes of mdgan": [
        "method=mdgan",
        "gan.condition=auxiliary",
        "gan.auxiliary_loss=d2d_ce",
        "mdgan.swap_epochs=0.25",
    ],
    "private": ["privacy.name=user", "selection.name=poisson", "selection.count=2", "data.held_out=0.5"],
    "secagg": ["aggregation.secure.name=secagg", "channel.name=wireless"],
}
"""One that averages and one that exchanges, without and with class conditions; `test_executor.py` has every method,
without Ray."""


SLOW = "asynchronous", "classes of mdgan", "private", "secagg"
NIGHTLY = "mdgan", "classes"
"""What "classes of mdgan" has of both, on Ray."""


@pytest.mark.parametrize(
    "run",
    [
        "averaged",
        *(pytest.param(run, marks=pytest.mark.slow) for run in SLOW),
        *(pytest.param(run, marks=pytest.mark.nightly) for run in NIGHTLY),
    ],
)
def test_inline_ray_and_packed_give_the_same_bytes(run, tmp_path, cluster):
    import ray

    words = (*RUNS[run], "data.partition.name=dirichlet")
    inline = raygan.train(tiny(*words), tmp_path / "inline")
    expected = inline.generator.read_bytes()
    for name, packing in SHAPES.items():
        on_ray = ray_run(tmp_path / name, *words, packing)
        assert on_ray.generator.read_bytes() == expected, name
        assert [without_time(row) for row in on_ray.rows] == [without_time(row) for row in inline.rows]
        assert on_ray.picture.read_bytes() == inline.picture.read_bytes()
        assert ray.is_initialized(), "a Ray that the run did not start is not ended by it"


def test_a_run_goes_on_under_another_executor(tmp_path, cluster):
    words = RUNS["mdgan"]
    undisturbed = raygan.train(tiny(*words), tmp_path / "undisturbed")
    raygan.train(tiny(*words, "rounds=2"), tmp_path / "run")
    on_ray = ("engine.executor=ray", "engine.devices_per_actor=2")
    resumed = raygan.train(tiny(*words, *on_ray), tmp_path / "run", resume=True)
    assert resumed.generator.read_bytes() == undisturbed.generator.read_bytes()
    assert [without_time(row) for row in resumed.rows] == [without_time(row) for row in undisturbed.rows]


def test_swaps_happen_in_the_mdgan_run(tmp_path):
    rows = raygan.train(tiny(*RUNS["mdgan"]), tmp_path / "run").rows
    assert {row["bytes_swap"] > 0 for row in rows[1:]} == {True, False}


def test_another_address_than_the_process_uses_is_refused(tmp_path, cluster):
    with raises("engine.address", None, "127.0.0.1:1", "already uses"):
        ray_run(tmp_path / "run", "engine.address=127.0.0.1:1")


ROLES = {"WorkerActor": "device ", "ServerActor": "server", "RecorderActor": "the recorder"}


class Killer:
    """Kills (as the kernel would) the process of an actor when a round is over; so many times."""

    def __init__(self, actor, round, times=1):
        self.actor, self.round, self.times, self.said = actor, round, times, []

    def on_phase(self, text):
        self.said.append(text)

    on_event = on_phase

    def on_evaluation(self, round, metrics):
        pass

    def on_checkpoint(self, round):
        pass

    def on_round(self, row):
        if row["round"] == self.round and self.times:
            self.times -= 1
            ours = descendants()  # nobody else's Ray
            victims = [process for process in ours if self.actor in " ".join(process.cmdline())]
            assert victims
            victims[0].kill()


@pytest.mark.slow
@pytest.mark.parametrize("actor", ROLES)
def test_a_dead_process_is_replaced_and_the_numbers_stay(actor, tmp_path, cluster):
    words = ["devices=2", "rounds=12", "checkpoint.every=2", "eval.every=2", "selection.name=round_robin"]
    words += ["selection.count=1", "averaged.buffers=local", "gan.discriminator_norm=batch"]
    killer = Killer(f"ray::{actor}", 5)
    result = raygan.train(tiny("engine.executor=ray", *words), tmp_path / "run", watchers=[killer])
    assert any(line.startswith(ROLES[actor]) and "the process died" in line for line in killer.said), "and it is named"
    assert killer.said[-1] == "training", "for the second time"
    undisturbed = raygan.train(tiny(*words), tmp_path / "undisturbed")
    assert result.generator.read_bytes() == undisturbed.generator.read_bytes()
    assert [without_time(row) for row in result.rows] == [without_time(row) for row in undisturbed.rows]


class SeveralKillers(Killer):
    """One after the other."""

    def __init__(self, *killers):
        super().__init__("", 0)
        self.killers = killers

    def on_round(self, row):
        for killer in self.killers:
            killer.on_round(row)


@pytest.mark.slow
def test_a_lost_device_may_be_left_out_until_it_is_back(tmp_path, cluster):
    words = ["engine.on_device_failure=drop", "rounds=40", "checkpoint.every=2", "eval.every=20"]
    words.append("engine.cpus_per_device=5")  # with the server's, three of them hold all CPUs there are
    killers = SeveralKillers(Killer("ray::WorkerActor", 5), Killer("ray::WorkerActor", 25))
    result = raygan.train(tiny("engine.executor=ray", *words), tmp_path / "run", watchers=[killers])
    told = " ".join(killers.said)
    assert re.search(r"without device (\d) \(device \1: the process died", told)
    assert "starting again" not in told, "the run went on"
    rows = result.rows
    assert [row["round"] for row in rows] == list(range(41))
    dropped = [row["round"] for row in rows[1:] if row["dropped"]]
    assert 2 <= len(dropped) <= 8, "the rounds under way at each loss"
    assert all(
        "the process died" in reason or "its process died" in reason
        for row in rows[1:]
        for reason in row["dropped"].values()
    )
    assert all(0 < len(rows[round]["dropped"]) <= 2 for round in dropped)
    assert "d_loss" in rows[-1]
    assert not rows[-1]["dropped"]


@pytest.mark.slow
def test_what_is_raised_in_a_process_is_one_line_and_its_traceback_is_kept(tmp_path, cluster):
    with raises("round 2, device 0", "failed", "RuntimeError: on purpose", kind=raygan.RunError):
        ray_run(tmp_path / "run", "method=tests.own:raises")
    assert "in poisoned" in (tmp_path / "run" / "error.txt").read_text()


@pytest.mark.nightly
def test_a_device_that_always_dies_ends_the_run(tmp_path, cluster):
    words = ["method=tests.own:dies", "devices=2", "rounds=50", "checkpoint.every=2"]
    with raises("device 0", None, "third time", "state is kept", kind=raygan.RunError):
        ray_run(tmp_path / "run", *words)
    assert "ActorDiedError" in (tmp_path / "run" / "error.txt").read_text()


def without_time(row):
    return {name: value for name, value in row.items() if name not in ("wall_s", "spent_s")}


@pytest.mark.parametrize(
    ("method", "one_round"),
    [
        (["method=averaged"], 3_000_000),
        # Two devices' states of 1.6 MB change places.
        pytest.param(["method=mdgan", "mdgan.swap_epochs=0.1"], 5_000_000, marks=pytest.mark.nightly),
        # What the slow device started from, and its update, lie there while the other is in many versions.
        pytest.param(
            ["schedule=asynchronous", "compute.device_flops=[10e9, 0.7e9]"], 5_000_000, marks=pytest.mark.slow
        ),
    ],
    ids=["averaged", "mdgan", "asynchronous"],
)
def test_the_driver_fetches_scalars_only_and_the_store_stays_flat(method, one_round, tmp_path, cluster, monkeypatch):
    import ray

    fetched, used = [], []
    original_get, original_update = ray.get, Executor.update_devices

    def get(refs, **options):
        values = original_get(refs, **options)
        fetched.extend(len(ray.cloudpickle.dumps(value)) for value in values)
        return values

    def update_devices(self, *args, **how):
        used.append(store_bytes())
        return original_update(self, *args, **how)

    monkeypatch.setattr("raygan.executors.ray_values.ray.get", get)
    monkeypatch.setattr(Executor, "update_devices", update_devices)
    # Wide enough that a broadcast (1.2 MB) or an update (0.5 MB) would show.
    words = "rounds=50 devices=2 gan.generator_width=32 gan.discriminator_width=64 eval.every=50 checkpoint.every=50"
    ray_run(tmp_path / "run", *words.split(), *method)
    assert len(fetched) > 100
    assert max(fetched) < 100_000
    assert max(used[30:]) <= max(used[5:20]) + one_round, "no more than one round's objects apart"


def store_bytes():
    import ray

    total, available = ray.cluster_resources(), ray.available_resources()
    return total["object_store_memory"] - available["object_store_memory"]


@pytest.mark.slow
def test_a_device_that_is_due_later_is_not_waited_for_before(tmp_path, cluster):
    words = ["method=tests.own:naps", "devices=2", "schedule=asynchronous", "compute.device_flops=[20e9, 1e9]"]
    rows = ray_run(tmp_path / "run", *words, "rounds=24", "eval.every=24", "checkpoint.every=24").rows[1:]
    late = next(row["round"] for row in rows if row["staleness_max"])
    assert late > 15
    took = {row["round"]: row["wall_s"] - before["wall_s"] for before, row in itertools.pairwise(rows)}
    assert took[late] == max(took.values()) > 2
    assert took[late] > sum(took[round] for round in range(2, late)) / 2


@pytest.mark.slow
def test_a_lost_device_under_way_is_replayed_and_the_numbers_stay(tmp_path, cluster):
    words = [*RUNS["asynchronous"], "rounds=16"]
    killer = Killer("ray::WorkerActor", 5)
    result = raygan.train(tiny("engine.executor=ray", *words), tmp_path / "run", watchers=[killer])
    assert killer.said[-1] == "training", "for the second time"
    undisturbed = raygan.train(tiny(*words), tmp_path / "undisturbed")
    assert result.generator.read_bytes() == undisturbed.generator.read_bytes()
    assert [without_time(row) for row in result.rows] == [without_time(row) for row in undisturbed.rows]


@pytest.mark.slow
def test_ten_devices_at_a_fifth_share_two_gpus_evenly(tmp_path, cluster):
    result = ray_run(
        tmp_path / "run", "devices=10", "rounds=1", "engine.gpus_per_device=0.2", "engine.cpus_per_device=0.5"
    )
    processes = json.loads((result.out / "environment.json").read_text())["processes"]
    devices = [process for process in processes if process["role"].startswith("device")]
    assert sorted(process["gpus"] for process in devices) == [["0"]] * 5 + [["1"]] * 5
    assert all(process["resources"]["GPU"] == pytest.approx(0.2) for process in devices)


def test_eleven_do_not_fit_and_the_error_says_so(tmp_path, cluster):
    config = tiny(
        "engine.executor=ray",
        "devices=11",
        "engine.gpus_per_device=0.2",
        "engine.cpus_per_device=0.5",
        "engine.ready_timeout_s=15",
    )
    with pytest.raises(raygan.InputError) as caught:
        raygan.train(config, tmp_path / "run")
    message = str(caught.value)
    assert "11 device actors of 0.5 CPU and 0.2 GPU each were asked for" in message
    assert "holds 10" in message
    assert "engine.devices_per_actor" in message
    assert not (tmp_path / "run").exists()


class Striker(Watch):
    """Sends a signal to a process of the run once a round is over; says what was told since."""

    def __init__(self, number, victim, round=5):
        super().__init__(self.strike)
        self.number, self.victim, self.round = number, victim, round

    def strike(self, round):
        if round >= self.round:
            self.round = 10**9
            os.kill(self.victim(), self.number)


def _device(out):
    processes = json.loads((out / "environment.json").read_text())["processes"]
    return next(process["pid"] for process in processes if process["role"] == "device 1")


def _ray_process(kind):
    import ray

    return ray._private.worker._global_node.all_processes[kind][0].process.pid


@pytest.mark.slow
def test_a_device_that_hangs_is_named_and_ended_and_no_bit_changes(tmp_path, cluster):
    words = ["rounds=12", "checkpoint.every=2"]
    striker = Striker(signal.SIGSTOP, lambda: _device(tmp_path / "ray"))
    config = tiny("engine.executor=ray", "engine.hang_timeout_s=8", *words)
    on_ray = raygan.train(config, tmp_path / "ray", watchers=[striker])
    told = [text for text in striker.phases if "device 1" in text]
    assert re.fullmatch(
        r"device 1 did nothing for 8 s \(engine\.hang_timeout_s\), and was ended \(process \d+ on .+\)", told[0]
    )
    assert told[1].endswith("starting again")
    assert same_generator(on_ray, raygan.train(tiny(*words), tmp_path / "inline"))


ALONE = """
import sys
from pathlib import Path
import raygan
from tests.executors.test_executors import Striker, _ray_process
from tests.helpers import tiny
if __name__ == "__main__":
    out, *words = sys.argv[1:]
    striker = Striker(%s)
    raygan.train(tiny("engine.executor=ray", *words), Path(out), watchers=[striker])
    print(*striker.phases, sep="\\n")
"""


def alone(what, out, *words):
    """A run with a Ray of its own, in a process of its own."""
    command = [sys.executable, "-c", ALONE % what, str(out), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("round", [5, pytest.param(12, marks=pytest.mark.nightly)])
def test_rays_head_may_die(round, tmp_path):
    """In the middle it is one more loss; at the end there is nothing left to lose."""
    words = [f"rounds={100 if round == 5 else round}", "checkpoint.every=2", "eval.every=200"]
    done = alone(f'9, lambda: _ray_process("gcs_server"), {round}', tmp_path / "ray", *words)
    assert done.returncode == 0, done.stderr
    inline = raygan.train(tiny(*words), tmp_path / "inline")
    assert same_generator(raygan.open_run(tmp_path / "ray"), inline)
    if round == 5:
        assert "Ray's head process (gcs_server) is gone; starting again" in done.stdout


@pytest.mark.slow
def test_a_raylet_that_is_stopped_keeps_no_run_from_ending(tmp_path):
    began = monotonic()
    done = alone('19, lambda: _ray_process("raylet"), 12', tmp_path / "ray", "rounds=12")
    assert done.returncode == 0, done.stderr
    assert monotonic() - began < 120
    assert raygan.open_run(tmp_path / "ray").complete


THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import ray
import raygan
from tests.helpers import tiny
def run(seed):
    return raygan.train(tiny("engine.executor=ray", f"seed={seed}"), Path(sys.argv[1]) / str(seed))
if __name__ == "__main__":
    with ThreadPoolExecutor(2) as pool:
        print([result.round for result in pool.map(run, range(2))], ray.is_initialized())
"""


@pytest.mark.nightly
def test_two_threads_of_a_process_train_in_one_ray(tmp_path):
    command = [sys.executable, "-c", THREADS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[4, 4] False"
    for seed in range(2):
        inline = raygan.train(tiny(f"seed={seed}"), tmp_path / f"inline-{seed}")
        assert same_generator(raygan.open_run(tmp_path / str(seed)), inline)

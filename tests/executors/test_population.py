"""What devices cost that do not take part: nothing but their share of flat arrays."""

import sys
import tracemalloc

import numpy as np
import pytest

import raygan
from raygan.components import METHODS
from raygan.config import load_config
from raygan.data import load_data, split
from raygan.plan.sizes import make_plan
from raygan.record.checkpoint import load_newest
from raygan.round.server import Server
from raygan.round.shards import WorkerShards
from raygan.round.simulation import try_out
from raygan.round.worker import Worker, worker_role
from tests.helpers import same_generator, tiny
from tests.methods.parties import CPU, SHAPE, parties, problem_of

LARGE = 1_000_000
NO_NORMS = ["gan.generator_norm=none", "gan.discriminator_norm=none"]  # shards may be of one sample


def test_a_worker_of_a_million_remembers_those_that_took_part():
    config = tiny("averaged.optimizer_state=keep")
    images = np.broadcast_to(np.zeros(SHAPE, np.uint8), (LARGE, *SHAPE))
    problem = problem_of(config, LARGE)
    tracemalloc.start()
    worker = Worker(config, problem, WorkerShards(range(LARGE, 2 * LARGE), images, np.arange(LARGE + 1)), CPU)
    server = Server(config, problem, CPU)
    chosen = range(LARGE, 2 * LARGE, LARGE // 100)
    message, report = worker.update_devices(1, server.down(1), chosen)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert list(report.devices) == list(worker.states()) == list(chosen)
    states = sum(array.nbytes for state in worker.states().values() for array in state.values())
    assert used < 8 * LARGE + 1.2 * states + 5e6, "the offsets, the states, the networks"
    server.update(1, [message])


def test_a_state_in_hand_is_the_flat_vectors_and_not_much_more():
    """What the limit of 1 MB for each of a thousand packed devices of 43,000 parameters rests on."""
    config = tiny("averaged.optimizer_state=keep", "gan.discriminator_width=16", "gan.discriminator_norm=none")
    worker, server = parties(config, [1] * 50)
    down = server.down(1)
    parameters = server.side.networks.discriminator.num_parameters
    worker.update_devices(1, down, [0])
    tracemalloc.start()
    worker.update_devices(1, down, range(1, 50))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / 49 < 1.1 * 2 * 4 * parameters, "two moments of Adam"


@pytest.mark.parametrize("method", METHODS)
def test_states_move_with_those_that_have_none(method):
    config = tiny(f"method={method}")
    worker, server = parties(config, [20, 20, 20])
    worker.update_devices(1, server.down(1), [1])
    states = worker.states()
    assert set(states) <= {1}
    assert worker.hand_over([0, 1]) == {0: {}, 1: states.get(1, {})}
    worker.restore({})
    assert worker.states() == {}
    worker.restore(states)
    np.testing.assert_equal(worker.states(), states)


def test_a_large_population_resumes_from_those_that_took_part(tmp_path):
    words = [*NO_NORMS, "data.name=gaussians", "data.samples=20000", "data.limit=null", "devices=20000", "rounds=3"]
    words += ["gan.generator=mlp", "gan.discriminator=mlp", "selection.name=uniform", "selection.count=20"]
    words += ["averaged.optimizer_state=keep", "checkpoint.every=1"]
    at_once = raygan.train(tiny(*words), tmp_path / "at once")
    raygan.train(tiny(*words, "rounds=2"), tmp_path / "run")
    snapshot, _ = load_newest(tmp_path / "run" / "checkpoints", recorded=2)
    assert 20 < len(snapshot.devices) <= 40
    assert same_generator(raygan.train(tiny(*words), tmp_path / "run", resume=True), at_once)


def test_who_is_in_the_population_but_never_chosen_changes_nothing(tmp_path):
    """Two populations whose first two devices hold the same samples, and nobody else has a turn."""
    words = [
        *NO_NORMS,
        "data.partition.name=tests.executors.test_population:in_order",
        "selection.name=tests.own:FirstTwo",
    ]
    few = raygan.train(tiny(*words, "devices=3", "data.limit=200"), tmp_path / "few")
    many = raygan.train(tiny(*words, "devices=182", "data.limit=200"), tmp_path / "many")
    assert [row["d_loss"] for row in few.rows[1:]] == [row["d_loss"] for row in many.rows[1:]]
    assert same_generator(few, many)


def in_order(labels, devices, partition, random):
    """Ten samples for each of the first two devices; the others have one each, the last one what is left."""
    return np.split(np.arange(len(labels)), [10, *range(20, 18 + devices)])


def test_a_million_devices_are_planned_and_clocked():
    words = [*NO_NORMS, "data.name=gaussians", f"data.samples={LARGE}", f"devices={LARGE}", "batch_size=4"]
    words += ["gan.generator=mlp", "gan.discriminator=mlp", "selection.name=uniform", "selection.count=100"]
    config = load_config(None, [*words, "channel.name=constant", "engine.executor=inline", "rounds=2"])
    plan = make_plan(config)
    assert plan.shard_sizes == plan.classes_per_device == (1, 1, 1)
    assert plan.bytes_up == 100 * 4 * plan.discriminator_parameters
    images = load_data(config.data, config.seed)
    _, clock = try_out(config, images, split(images.labels, LARGE, config.data.partition, config.seed))
    simulated = clock.round(1)
    assert len(simulated.devices) == 100
    assert sys.getsizeof(simulated.devices) < 2000


def test_classes_per_device_are_counted(tmp_path):
    plan = make_plan(tiny("data.partition.name=classes", "data.partition.per_device=2", "devices=10"))
    assert plan.classes_per_device == (2, 2, 2)


def test_workers_are_named_by_their_devices():
    assert [worker_role(range(3, 4)), worker_role(range(0, 2)), worker_role(range(500_000, LARGE))] == [
        "device 3",
        "devices 0-1",
        "devices 500000-999999",
    ]

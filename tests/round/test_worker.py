import numpy as np
import pytest
import torch

from raygan.round.server import Server
from raygan.round.shards import WorkerShards
from raygan.round.worker import Worker
from tests.helpers import tiny
from tests.methods.parties import problem_of

IMAGES = np.random.default_rng(0).integers(256, size=(30, 1, 16, 16), dtype=np.uint8)


@pytest.mark.parametrize(("schedule", "before_the_devices"), [("parallel", True), ("serial", False)])
def test_when_the_generator_steps(schedule, before_the_devices):
    config = tiny(f"schedule={schedule}", "devices=1")
    problem = problem_of(config, 30)
    worker = Worker(config, problem, WorkerShards(range(1), IMAGES, np.array([0, 30])), torch.device("cpu"))
    server = Server(config, problem, torch.device("cpu"))
    start = server.side.networks.generator.dump()
    message, _ = worker.update_devices(1, server.down(1), [0])

    def arriving():
        stepped = not np.array_equal(server.side.networks.generator.dump(), start)
        assert stepped == before_the_devices
        yield message

    server.update(1, arriving())
    assert not np.array_equal(server.side.networks.generator.dump(), start)

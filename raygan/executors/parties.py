"""The constructors of the worker, server and recorder, called in the process that holds each.

A worker's process imports torch and nothing heavier, so the recorder's imports stand inside its maker.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raygan.config.tree import Config
from raygan.executors.transport import Facts
from raygan.record.settings import FlatConfig
from raygan.round.compute import gpu_facts, torch_device
from raygan.round.problem import Problem
from raygan.round.server import Server
from raygan.round.shards import WorkerShards
from raygan.round.versions import computes_with
from raygan.round.worker import Worker

if TYPE_CHECKING:
    from raygan.data import ImageSet
    from raygan.evaluation.recorder import Recorder


def worker(config: Config, problem: Problem, shards: WorkerShards) -> Worker:
    """Returns a worker on its share of a GPU, if it asks for one."""
    return Worker(config, problem, shards, torch_device(config.engine.gpus_per_device, config.gan.precision))


def server(config: Config, problem: Problem, counts: np.ndarray | None) -> Server:
    """Returns the server, likewise; `counts` as `Setup.counts` has them."""
    return Server(config, problem, torch_device(config.engine.server_gpus, config.gan.precision), counts)


def recorder(config: Config, settings: FlatConfig, root: Path, images: "ImageSet", first_round: int) -> "Recorder":
    """Returns the recorder of a run folder, likewise."""
    from raygan.evaluation.recorder import Recorder

    return Recorder(config, settings, root, images, first_round)


def how_it_computes(party: Any) -> Facts:
    """Returns how a worker, server or recorder computes, as environment.json has it."""
    steps = {"steps": party.steps()} if hasattr(party, "steps") else {}
    return {"torch_device": str(party.computes_on), **gpu_facts(party.computes_on), **computes_with(), **steps}

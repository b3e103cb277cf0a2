"""The obvious Ray script as an engine of benchmarks/engines.py: an actor per device, state_dicts, the rest here.

python benchmarks/engine_naive.py FOLDER
"""

import logging
import sys
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import ray
import torch
from engine import Block, Desk, Engine
from plain import PlainGan, compute_alone, dump, generator_step, local_steps
from store import created_bytes, created_since
from torch import Tensor, nn
from work import State, WorkFolder

Weights = dict[str, Tensor]


def on_cpu(network: nn.Module) -> Weights:
    """A network's values, as they can be sent."""
    return {name: tensor.cpu() for name, tensor in network.state_dict().items()}


class Device:
    """A device with networks of its own."""

    def __init__(self, root: Path, number: int) -> None:
        folder = WorkFolder(root)
        self._number = number
        self._work, self._images = folder.work(), folder.shards()[number]
        compute_alone(self._work)
        self._gan = PlainGan(folder)

    def train(self, round: int, weights: tuple[Weights, Weights]) -> Weights:
        """The local steps; returns the discriminator."""
        generator, discriminator = weights
        self._gan.generator.load_state_dict(generator)
        self._gan.discriminator.load_state_dict(discriminator)
        local_steps(self._gan, self._work, self._images, self._number, round)
        return on_cpu(self._gan.discriminator)


class NaiveRay(Engine):
    """The server, in the driver."""

    def __init__(self, folder: WorkFolder) -> None:
        self._work = folder.work()
        compute_alone(self._work)
        self._gan = PlainGan(folder)
        ray.init("local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        actor: Any = ray.remote(num_gpus=self._work.share)(Device)
        self._devices = [actor.remote(folder.root, number) for number in range(self._work.devices)]
        self._round = 0

    def play(self, rounds: int) -> Block:
        """Put the weights, get every discriminator, average, generator step."""
        before = created_bytes()
        start = perf_counter()
        for _ in range(rounds):
            self._round += 1
            weights = ray.put((on_cpu(self._gan.generator), on_cpu(self._gan.discriminator)))
            trained = ray.get([device.train.remote(self._round, weights) for device in self._devices])
            mean = {name: torch.stack([one[name] for one in trained]).mean(0) for name in trained[0]}
            self._gan.discriminator.load_state_dict(mean)
            generator_step(self._gan, self._work, self._round)
        seconds = perf_counter() - start
        return Block(seconds, created_since(before))

    def discriminator(self) -> State:
        """The average."""
        return dump(self._gan.discriminator)

    def close(self) -> None:
        """End Ray."""
        ray.shutdown()


def main() -> None:
    """Serve."""
    desk = Desk()
    with closing(NaiveRay(WorkFolder(Path(sys.argv[1])))) as engine:
        desk.serve(engine, ["torch", "numpy", "ray"])


if __name__ == "__main__":
    main()

"""The floor of benchmarks/engines.py: two plain processes, as a careful person writes them by hand.

    python benchmarks/engine_floor.py FOLDER

The devices are split between the processes, which add up their discriminators in shared memory; this process
averages and does the generator step. A network is one flat vector, copied in one piece.
"""

import multiprocessing as mp
import sys
from collections.abc import Iterable
from contextlib import closing
from ctypes import c_float
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from engine import Block, Desk, Engine
from plain import PlainGan, compute_alone, dump, generator_step, local_steps
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from work import State, WorkFolder

PROCESSES = 2


class Floor(Engine):
    """The processes, and the server."""

    def __init__(self, folder: WorkFolder) -> None:
        self._work = folder.work()
        compute_alone(self._work)
        self._gan = PlainGan(folder)
        self._generator, self._discriminator = flat(self._gan.generator), flat(self._gan.discriminator)
        self._round = 0
        context = mp.get_context("spawn")
        shared_generator = context.RawArray(c_float, self._generator.numel())
        shared_discriminator = context.RawArray(c_float, self._discriminator.numel())
        self._down = _tensor(shared_generator), _tensor(shared_discriminator)
        self._sums, self._lines, self._processes = [], [], []
        for first in range(PROCESSES):
            ours, theirs = context.Pipe()
            shared_sum = context.RawArray(c_float, self._discriminator.numel())
            devices = range(first, self._work.devices, PROCESSES)
            arguments = (folder.root, devices, shared_generator, shared_discriminator, shared_sum, theirs)
            process = context.Process(target=_play_devices, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._sums.append(_tensor(shared_sum))
            self._lines.append(ours)
            self._processes.append(process)

    def play(self, rounds: int) -> Block:
        """Send down, wait for both sums, average, generator step."""
        start = perf_counter()
        for _ in range(rounds):
            self._round += 1
            self._down[0].copy_(self._generator)
            self._down[1].copy_(self._discriminator)
            for line in self._lines:
                line.send(self._round)
            for line in self._lines:
                line.recv()
            torch.add(*self._sums, out=self._discriminator).div_(self._work.devices)
            generator_step(self._gan, self._work, self._round)
        return Block(perf_counter() - start)

    def discriminator(self) -> State:
        """The average."""
        return dump(self._gan.discriminator)

    def close(self) -> None:
        """End the processes."""
        for line in self._lines:
            line.close()
        for process in self._processes:
            process.join()


def _play_devices(root: Path, devices: Iterable[int], down: Any, average: Any, total: Any, line: Connection) -> None:
    """One process: train its devices one after the other, whenever a round is announced."""
    folder = WorkFolder(root)
    work, shards = folder.work(), folder.shards()
    compute_alone(work)
    gan = PlainGan(folder)
    generator, discriminator = flat(gan.generator), flat(gan.discriminator)
    sent_generator, sent_discriminator, trained = _tensor(down), _tensor(average), _tensor(total)
    while True:
        try:
            round = line.recv()
        except EOFError:
            return
        generator.copy_(sent_generator)
        trained.zero_()
        for device in devices:
            discriminator.copy_(sent_discriminator)
            local_steps(gan, work, shards[device], device, round)
            trained.add_(discriminator)
        line.send(round)


def flat(network: nn.Module) -> Tensor:
    """A network's parameters as one vector that they are views of from now on."""
    vector = parameters_to_vector(network.parameters()).detach()
    vector_to_parameters(vector, network.parameters())
    return vector


def _tensor(shared: Any) -> Tensor:
    return torch.frombuffer(shared, dtype=torch.float32)


def main() -> None:
    """Serve."""
    desk = Desk()
    with closing(Floor(WorkFolder(Path(sys.argv[1])))) as floor:
        desk.serve(floor, ["torch", "numpy"])


if __name__ == "__main__":
    main()

"""The parties of a round as plain classes: devices, the host they share, the server. No Ray here."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from raygan.components import METHODS, resolve
from raygan.config.tree import Config
from raygan.engine.compute import threads
from raygan.errors import InputError, RunError
from raygan.methods.base import DeviceSide, Method, Metrics, ServerSide, Shard, State, Update
from raygan.methods.exact_sum import LARGEST, ExactSum

BYTES_PER_VALUE = 4
"""A parameter travels as float32."""


@dataclass(frozen=True)
class Problem:
    """What every party knows of the data: the shape of a sample, and bounds of the average."""

    shape: tuple[int, ...]
    num_samples: int

    def sum(self, config: Config, size: int) -> ExactSum:
        """An empty sum for one round's updates; the same grids everywhere."""
        heaviest = max(self.num_samples, config.devices * config.batch_size)
        return ExactSum(size, terms=config.devices, total_weight=heaviest)


class Contribution(Protocol):
    """What a host sends up: one device's update, or the exact partial sum of several."""

    def into(self, total: ExactSum) -> None:
        """Add it to the server's sum."""


@dataclass(frozen=True)
class Single:
    """One device's update, (n,) float32."""

    vector: np.ndarray
    weight: int

    def into(self, total: ExactSum) -> None:
        """Add it to the server's sum."""
        total.add(self.vector, self.weight)


@dataclass(frozen=True)
class Partial:
    """The pieces of several devices' sum, float64."""

    pieces: list[np.ndarray]
    weight: int

    def into(self, total: ExactSum) -> None:
        """Add it to the server's sum."""
        total.merge(self.pieces, self.weight)


def method_of(config: Config) -> Method:
    """The config's method.

    Raises:
        InputError: an import path that does not lead to a `Method`.
    """
    method = resolve(METHODS, config.method, "method")
    if not isinstance(method, Method):
        raise InputError(f"method: {config.method} is a {type(method).__name__}, but a raygan Method is needed")
    return method


class Device:
    """One device: its shard, and what it remembers between rounds."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.state: State = {}

    def update(self, side: DeviceSide, round: int, down: np.ndarray) -> Update:
        """Take part in a round.

        Raises:
            RunError: the update has diverged; names device and round, and the state is as before.
        """
        update, state = side.update(self.shard, round, down, self.state)
        largest = np.abs([np.abs(update.vector).max(), *update.metrics.values()]).max()
        if not largest < LARGEST:  # also true of NaN
            raise RunError(
                f"round {round}, device {self.shard.device}: the discriminator has diverged (a value of magnitude "
                f"{largest:.3g}, losses {update.metrics}); try a smaller device_optimizer.lr or another gan.loss"
            )
        self.state = state
        return update


class Host:
    """The devices of one process, which take turns on one pair of networks."""

    def __init__(self, config: Config, problem: Problem, shards: list[Shard], device: torch.device) -> None:
        self._config = config
        self._problem = problem
        self._side: DeviceSide = method_of(config).device(config, problem.shape, device)
        self.devices = {shard.device: Device(shard) for shard in shards}

    def round(self, round: int, down: np.ndarray) -> tuple[Contribution, dict[int, Metrics]]:
        """Let every device work; returns what goes up and each device's scalars."""
        metrics: dict[int, Metrics] = {}
        total: ExactSum | None = None
        with threads(self._config.engine.threads_per_device):
            for number, device in self.devices.items():
                update = device.update(self._side, round, down)
                metrics[number] = update.metrics
                if len(self.devices) == 1:
                    return Single(update.vector, update.weight), metrics
                if total is None:
                    total = self._problem.sum(self._config, len(update.vector))
                total.add(update.vector, update.weight)
        assert total is not None  # a host has devices
        return Partial(total.pieces, total.weight), metrics

    def states(self) -> dict[int, State]:
        """What every device remembers."""
        return {number: device.state for number, device in self.devices.items()}

    def restore(self, states: dict[int, State]) -> None:
        """Put the states of this host's devices back."""
        for number, device in self.devices.items():
            device.state = states.get(number, {})


class Server:
    """Holds the global GAN and plays the server's side of each round."""

    def __init__(self, config: Config, problem: Problem, device: torch.device) -> None:
        self._config = config
        self._problem = problem
        self.side: ServerSide = method_of(config).server(config, problem.shape, device)

    def traffic(self) -> tuple[int, int]:
        """Bytes that go (down, up) per device and round, by the method's own count of values."""
        down, up = self.side.traffic()
        return BYTES_PER_VALUE * down, BYTES_PER_VALUE * up

    def round(self, round: int, contributions: Iterable[Contribution]) -> Metrics:
        """One round: the work that waits for nobody, the sum of what comes in, the work that waited.

        Raises:
            RunError: the generator or its loss is not finite.
        """
        with threads(self._config.engine.server_threads):
            metrics = self.side.meanwhile(round)
            total = self._problem.sum(self._config, self.side.update_size)
            for contribution in contributions:
                contribution.into(total)
            metrics = metrics | self.side.finish(round, total.mean())
        if not (np.isfinite(list(metrics.values())).all() and self.side.networks.generator.vector.isfinite().all()):
            raise RunError(
                f"round {round}, server: the generator has diverged (losses {metrics}); "
                "try a smaller generator_optimizer.lr"
            )
        return metrics

"""The parties of a round as plain classes: devices, the host they share, the server. No Ray here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from raygan.components import METHODS, resolve
from raygan.config.tree import Config
from raygan.engine.compute import threads
from raygan.errors import InputError, RunError
from raygan.methods.base import DeviceSide, Mean, Method, Metrics, ServerSide, Shard, State, Update
from raygan.methods.exact_sum import LARGEST, ExactSum


@dataclass(frozen=True)
class Problem:
    """What every party knows of the data: the shape of a sample, and bounds of the average."""

    shape: tuple[int, ...]
    num_samples: int

    def sum(self, config: Config, size: int) -> ExactSum:
        """An empty sum for one round's updates; the same grids everywhere."""
        heaviest = max(self.num_samples, config.devices * config.batch_size)
        return ExactSum(size, terms=config.devices, total_weight=heaviest)


class Sums:
    """One exact sum per slot that has got an update."""

    def __init__(self, config: Config, problem: Problem, size: int) -> None:
        self._config = config
        self._problem = problem
        self._size = size
        self._sums: dict[int, ExactSum] = {}

    def slot(self, slot: int) -> ExactSum:
        """The sum of a slot, empty at first."""
        if slot not in self._sums:
            self._sums[slot] = self._problem.sum(self._config, self._size)
        return self._sums[slot]

    def partial(self) -> "Partial":
        """As they stand, to be sent up."""
        return Partial({slot: (total.pieces, total.weight) for slot, total in self._sums.items()})

    def means(self) -> dict[int, Mean]:
        """The mean of each slot."""
        return {slot: Mean(total.mean(), total.weight) for slot, total in self._sums.items()}


class Contribution(Protocol):
    """What a host sends up: one device's update, or the exact partial sums of several."""

    def into(self, sums: Sums) -> None:
        """Add it to the server's sums."""


@dataclass(frozen=True)
class Single:
    """One device's update, (n,) float32."""

    vector: np.ndarray
    weight: int
    slot: int

    def into(self, sums: Sums) -> None:
        """Add it to the server's sum."""
        sums.slot(self.slot).add(self.vector, self.weight)


@dataclass(frozen=True)
class Partial:
    """The pieces of several devices' sums, float64, and their weight, by slot."""

    slots: dict[int, tuple[list[np.ndarray], int]]

    def into(self, sums: Sums) -> None:
        """Add them to the server's sums."""
        for slot, (pieces, weight) in self.slots.items():
            sums.slot(slot).merge(pieces, weight)


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
                f"round {round}, device {self.shard.device}: the update has diverged (a value of magnitude "
                f"{largest:.3g}, losses {update.metrics}); try a smaller device_optimizer.lr or another gan.loss"
            )
        self.state = state
        return update


class Host:
    """The devices of one process, which take turns on one pair of networks."""

    def __init__(self, config: Config, problem: Problem, shards: list[Shard], device: torch.device) -> None:
        self._config = config
        self._problem = problem
        method = method_of(config)
        self._side: DeviceSide = method.device(config, problem.shape, device)
        self._exchange = method.exchange
        self.devices = {shard.device: Device(shard) for shard in shards}

    def round(self, round: int, down: np.ndarray, chosen: Iterable[int]) -> tuple[Contribution, dict[int, Metrics]]:
        """Let the `chosen` ones of its devices work; returns what goes up and each one's scalars."""
        metrics: dict[int, Metrics] = {}
        sums: Sums | None = None
        with threads(self._config.engine.threads_per_device):
            for number in chosen:
                update = self.devices[number].update(self._side, round, down)
                metrics[number] = update.metrics
                if len(self.devices) == 1:
                    return Single(update.vector, update.weight, update.slot), metrics
                sums = sums or Sums(self._config, self._problem, len(update.vector))
                sums.slot(update.slot).add(update.vector, update.weight)
        return sums.partial() if sums else Partial({}), metrics

    def hand_over(self, givers: Iterable[int]) -> dict[int, State]:
        """What these devices remember, for an exchange."""
        return {number: self.devices[number].state for number in givers}

    def take_over(self, partners: Mapping[int, int], given: Mapping[int, State]) -> None:
        """Let each key of `partners`, a device of this host, take what its value remembered."""
        for receiver, giver in partners.items():
            assert self._exchange is not None  # who has partners has an exchange
            device = self.devices[receiver]
            device.state = self._exchange.merge(self._config, device.state, given[giver])

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

    def down(self, round: int) -> np.ndarray:
        """What goes down in `round`."""
        with threads(self._config.engine.server_threads):
            return self.side.down(round)

    def round(self, round: int, contributions: Iterable[Contribution]) -> Metrics:
        """One round: the work that waits for nobody, the sums of what comes in, the work that waited.

        If nothing comes in, nothing is averaged and the work that waits for it is left out.

        Raises:
            RunError: the generator or its loss is not finite.
        """
        with threads(self._config.engine.server_threads):
            metrics = self.side.meanwhile(round)
            sums = Sums(self._config, self._problem, self.side.update_size)
            for contribution in contributions:
                contribution.into(sums)
            if means := sums.means():
                metrics = metrics | self.side.finish(round, means)
        if not (np.isfinite(list(metrics.values())).all() and self.side.networks.generator.vector.isfinite().all()):
            raise RunError(
                f"round {round}, server: the generator has diverged (losses {metrics}); "
                "try a smaller generator_optimizer.lr"
            )
        return metrics

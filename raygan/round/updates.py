"""What goes up from the devices, put together on the way: an update, or an aggregator's part of several."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from raygan.components import AGGREGATORS, build
from raygan.config.tree import Config
from raygan.errors import RunError
from raygan.methods.aggregation import Aggregator
from raygan.methods.base import Mean, Metrics
from raygan.methods.exact_sum import check_vector
from raygan.round.timing import ServerTimes, WorkerTimes


@dataclass(frozen=True)
class Problem:
    """What every party knows beforehand: the shape of a sample, and what updates look like."""

    shape: tuple[int, ...]
    num_samples: int
    update_size: int
    slots: int

    def aggregator(self, config: Config) -> Aggregator[Any, Any]:
        """An empty one for one slot's updates of one round; the same bounds everywhere."""
        heaviest = max(self.num_samples, config.devices * config.batch_size)
        arguments = (config.aggregation, self.update_size, config.devices, heaviest)
        return build(AGGREGATORS, config.aggregation.name, "aggregation.name", Aggregator, *arguments)  # type: ignore[type-abstract]

    def check(self, vector: np.ndarray, weight: int, slot: int) -> None:
        """Refuse what cannot be a device's update.

        Raises:
            ValueError: it has another shape or type, no weight, or no such slot.
            FloatingPointError: it is not finite, or has diverged.
        """
        if not isinstance(vector, np.ndarray):
            raise ValueError(f"it is a {type(vector).__name__}; a float32 array ({self.update_size},) is needed")
        check_vector(vector, self.update_size)
        if not (isinstance(weight, int | np.integer) and isinstance(slot, int | np.integer)):
            raise ValueError(f"its weight is {weight!r} and its slot {slot!r}; whole numbers are needed")
        if not (1 <= weight <= self.num_samples and 0 <= slot < self.slots):
            raise ValueError(f"its weight is {weight} (1 to {self.num_samples}), its slot {slot} (of {self.slots})")


class Slots:
    """An aggregator for each slot that has got an update."""

    def __init__(self, config: Config, problem: Problem) -> None:
        self._config = config
        self._problem = problem
        self._slots: dict[int, Aggregator[Any, Any]] = {}

    def slot(self, slot: int) -> Aggregator[Any, Any]:
        """That of a slot, empty at first."""
        if slot not in self._slots:
            self._slots[slot] = self._problem.aggregator(self._config)
        return self._slots[slot]

    def means(self, reference: Callable[[], np.ndarray]) -> dict[int, Mean]:
        """What each slot came to."""
        return {
            slot: Mean(self._whole(some.result(reference)), some.weight)
            for slot, some in self._slots.items()
            if some.weight
        }

    def _whole(self, result: np.ndarray) -> np.ndarray:
        size = self._problem.update_size
        if not (isinstance(result, np.ndarray) and result.shape == (size,) and result.dtype == np.float32):
            made = f"{result.dtype} {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
            name = self._config.aggregation.name
            raise RunError(f"aggregation.name: {name} made {made} of the updates; float32 ({size},) is needed")
        return result


class Contribution(Protocol):
    """What a worker sends up for one slot: one device's update, or the part of several."""

    @property
    def slot(self) -> int:
        """Which of the server's means it goes into."""

    @property
    def devices(self) -> list[int]:
        """Whose it is."""

    def into(self, slots: Slots, problem: Problem) -> None:
        """Put it to the server's; raises ValueError or FloatingPointError if it is bad, and nothing has changed."""


@dataclass(frozen=True)
class Single:
    """One device's update, (n,) float32."""

    device: int
    vector: np.ndarray
    weight: int
    slot: int

    @property
    def devices(self) -> list[int]:
        """That one."""
        return [self.device]

    def into(self, slots: Slots, problem: Problem) -> None:
        """Add it."""
        problem.check(self.vector, self.weight, self.slot)
        slots.slot(self.slot).add(self.device, self.vector, self.weight)


@dataclass(frozen=True)
class Partial:
    """What an aggregator made of several devices' updates."""

    devices: list[int]
    part: Any
    slot: int

    def into(self, slots: Slots, problem: Problem) -> None:
        """Merge it."""
        if not 0 <= self.slot < problem.slots:
            raise ValueError(f"its slot is {self.slot} (of {problem.slots})")
        slots.slot(self.slot).merge(self.part)


@dataclass(frozen=True)
class Sent:
    """What comes to the server in one message."""

    contributions: list[Contribution]
    lost: dict[int, str] = field(default_factory=dict)
    """Devices that should be in it and are not, with the reason."""


def added_up(contributions: Iterable[Sequence[Contribution]], config: Config, problem: Problem) -> list[Contribution]:
    """One part per slot, to go to another node, of what several workers send; what is bad, as it is, for the server."""
    slots, senders = Slots(config, problem), dict[int, list[int]]()
    bad: list[Contribution] = []
    for of_worker in contributions:
        for one in of_worker:
            try:
                one.into(slots, problem)
            except (ValueError, FloatingPointError):
                bad.append(one)
            else:
                senders.setdefault(one.slot, []).extend(one.devices)
    parts = [Partial(devices, slots.slot(slot).part(far=True), slot) for slot, devices in senders.items()]
    return [*parts, *bad]


@dataclass
class WorkerReport:
    """What there is to say of a round on one worker."""

    devices: dict[int, Metrics] = field(default_factory=dict)
    """Scalars by device."""
    dropped: dict[int, str] = field(default_factory=dict)
    """Who was left out, with the reason."""
    times: WorkerTimes | None = None
    """None of a worker that was lost."""


@dataclass
class ServerReport:
    """What there is to say of a round at the server."""

    metrics: Metrics
    dropped: dict[int, str]
    times: ServerTimes

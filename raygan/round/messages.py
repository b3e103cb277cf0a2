"""Messages: the updates of devices on their way to the server, single or aggregated on the way."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from raygan.compression.uplink import Encoded
from raygan.config.tree import Config
from raygan.errors import RunError
from raygan.methods.aggregation import Aggregator, Gathering, WeightedMean
from raygan.methods.base import Gathered, Mean, Update
from raygan.methods.staleness import merged
from raygan.round.problem import Problem
from raygan.secure.protocol import SecureSum

_CPU = torch.device("cpu")
NONE_STALE: Mapping[int, int] = {}


@dataclass(frozen=True)
class Part:
    """An aggregator's part (`Aggregator.part`) of several devices' updates of one slot."""

    devices: list[int]
    slot: int
    content: Any


@dataclass(frozen=True)
class Compressed:
    """A single device's update as a codec sends it."""

    device: int
    content: Encoded
    weight: int
    slot: int

    @classmethod
    def of(cls, update: Update, content: Encoded) -> "Compressed":
        """Returns an update with its vector compressed; scalars go with the worker's report."""
        return cls(update.device, content, update.weight, update.slot)


@dataclass(frozen=True)
class Masked:
    """A single device's update under masks, as secure aggregation sends it: unsigned integers."""

    device: int
    content: np.ndarray


Single = Update | Compressed | Masked
"""A single device's update."""


@dataclass(frozen=True)
class Message:
    """One message to the server, from one worker or for all workers of a node."""

    updates: Sequence[Single] = ()
    """Updates of single devices."""
    parts: Sequence[Part] = ()
    lost: Mapping[int, str] = field(default_factory=dict)
    """Devices whose update was to be in it, with the reason that it is not."""


@dataclass(frozen=True)
class Refused:
    """An update or a part that could not be taken in."""

    item: Single | Part
    error: ValueError | FloatingPointError

    @property
    def devices(self) -> list[int]:
        """The devices that it is from."""
        return self.item.devices if isinstance(self.item, Part) else [self.item.device]


class Collected(ABC):
    """What of a round's messages has been taken in."""

    @abstractmethod
    def parts(self, far: bool) -> list[Part]:
        """Returns a part for each slot, of updates that are not stale; `far`: it goes to another node."""

    def take_in(self, message: Message, staleness: Mapping[int, int] = NONE_STALE) -> list[Refused]:
        """Check and take in all of a message; returns the bad ones, which change nothing.

        `staleness` has those of devices whose is not 0. Devices of different staleness are in different messages.
        """
        refused: list[Refused] = []
        items: list[Single | Part] = [*message.updates, *message.parts]
        for item in items:
            try:
                self.accept(item, staleness.get(item.devices[0] if isinstance(item, Part) else item.device, 0))
            except (ValueError, FloatingPointError) as error:
                refused.append(Refused(item, error))
        return refused

    @abstractmethod
    def accept(self, item: Single | Part, staleness: int) -> None:
        """Check and take in an update or a part.

        Raises:
            ValueError, FloatingPointError: it is bad; nothing has changed.
        """


class Slots(Collected):
    """The aggregators of one round, one for each slot and staleness of the updates in it.

    Staleness, the rounds since a device started, is 0 but with `schedule=asynchronous`.
    """

    def __init__(self, config: Config, problem: Problem, computes_on: torch.device = _CPU) -> None:
        self._config = config
        self._problem = problem
        self._computes_on = computes_on
        self._uplink = problem.uplink(config)
        self._aggregators: dict[tuple[int, int], Aggregator[Any, Any]] = {}
        self._devices: dict[int, list[int]] = {}

    def add(self, update: Update, staleness: int = 0) -> None:
        """Add an update that has been checked."""
        self._aggregator(update.slot, staleness).add(update.device, update.vector, update.weight)
        self._devices.setdefault(update.slot, []).append(update.device)

    def merge(self, part: Part, staleness: int = 0) -> None:
        """Merge a part.

        Raises:
            ValueError, FloatingPointError: it is bad; nothing has changed.
        """
        if not 0 <= part.slot < self._problem.slots:
            raise ValueError(f"its slot is {part.slot} (of {self._problem.slots})")
        self._aggregator(part.slot, staleness).merge(part.content)
        self._devices.setdefault(part.slot, []).extend(part.devices)

    def accept(self, item: Single | Part, staleness: int) -> None:
        """Check and take in an update or a part."""
        if isinstance(item, Part):
            self.merge(item, staleness)
        else:
            update = self._opened(item)
            self._problem.check_update(update.vector, update.weight, update.slot)
            self.add(update, staleness)

    def _opened(self, item: Single) -> Update:
        if isinstance(item, Update):
            return item
        if isinstance(item, Masked):
            raise ValueError("it is masked, and the run has no secure aggregation")
        assert self._uplink is not None  # who sends it compressed has the same config
        return Update(item.device, self._uplink.decode(item.content), item.weight, {}, item.slot)

    def parts(self, far: bool) -> list[Part]:
        """Returns a part for each slot, of updates that are not stale; `far`: it goes to another node."""
        return [Part(devices, slot, self._aggregators[slot, 0].part(far)) for slot, devices in self._devices.items()]

    def means(self, reference: Callable[[], np.ndarray]) -> dict[int, Mean]:
        """Returns each slot's aggregate; `reference` gives the update of a device that did nothing."""
        means: dict[int, dict[int, Mean]] = {}
        for (slot, staleness), aggregator in self._aggregators.items():
            if aggregator.weight:
                mean = Mean(self._checked(aggregator.result(reference)), aggregator.weight)
                means.setdefault(slot, {})[staleness] = mean
        if self._config.schedule != "asynchronous":
            return {slot: of_slot[0] for slot, of_slot in means.items()}
        return {slot: merged(of_slot, reference, self._config.asynchronous) for slot, of_slot in means.items()}

    def gathered(self) -> dict[int, Gathered]:
        """Returns all updates of each slot, for a method that combines them itself."""
        gathered = {}
        for (slot, _), aggregator in self._aggregators.items():
            assert isinstance(aggregator, Gathering)  # see `Problem.aggregator`
            updates = aggregator.gathered()
            if updates:
                vectors, weights = zip(*updates.values(), strict=True)
                gathered[slot] = Gathered(list(updates), list(vectors), list(weights))
        return gathered

    def _aggregator(self, slot: int, staleness: int) -> Aggregator[Any, Any]:
        key = slot, staleness
        if key not in self._aggregators:
            aggregator = self._aggregators[key] = self._problem.aggregator(self._config)
            if isinstance(aggregator, WeightedMean):
                aggregator.compute_on(self._computes_on)
        return self._aggregators[key]

    def _checked(self, result: np.ndarray) -> np.ndarray:
        size = self._problem.update_size
        if not (isinstance(result, np.ndarray) and result.shape == (size,) and result.dtype == np.float32):
            made = f"{result.dtype} {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
            name = self._config.aggregation.name
            raise RunError(
                f"aggregation.name: {name} made {made} of the updates; float32 ({size},) is needed", code="result"
            )
        return result


class MaskedSum(Collected):
    """The sum of a round's masked updates, in the words that hold them; which order or grouping cannot change."""

    def __init__(self, secure: SecureSum) -> None:
        self._secure = secure
        self._total: np.ndarray | None = None
        self.devices: list[int] = []
        """Whose updates are in it."""

    def add(self, masked: Masked) -> None:
        """Add a device's update."""
        self._add([masked.device], masked.content)

    def accept(self, item: Single | Part, staleness: int) -> None:
        """Check and add an update or a part."""
        if isinstance(item, Update | Compressed):
            raise ValueError("it is not masked")
        content = item.content
        kind = self._total.dtype if self._total is not None else getattr(content, "dtype", None)
        if not (isinstance(content, np.ndarray) and content.shape == (self._secure.size,) and content.dtype == kind):
            raise ValueError(f"it is not an array ({self._secure.size},) of the other messages' type")
        if kind not in (np.uint32, np.uint64):
            raise ValueError(f"it is of {kind}; unsigned integers of 32 or 64 bits are needed")
        self._add(item.devices if isinstance(item, Part) else [item.device], content)

    def parts(self, far: bool) -> list[Part]:
        """Returns the sum, if there is one."""
        return [] if self._total is None else [Part(self.devices, 0, self._total)]

    def mean(self, round: int, cohort: Sequence[int], start: np.ndarray) -> Mean:
        """Returns the mean update; `cohort` has shared keys. `start` is the update of a device that does not train.

        Raises:
            TooFewError: too few of the cohort are in the sum to unmask it.
        """
        total = np.zeros(self._secure.size, self._secure.word(cohort)) if self._total is None else self._total
        return self._secure.mean(self._secure.unmasked(total, self.devices, round, cohort), len(self.devices), start)

    def _add(self, devices: list[int], content: np.ndarray) -> None:
        self._total = content.copy() if self._total is None else np.add(self._total, content, out=self._total)
        self.devices = [*self.devices, *devices]


def collected(config: Config, problem: Problem, computes_on: torch.device = _CPU) -> Slots | MaskedSum:
    """Returns what takes in the messages of one round, or adds up the updates of a worker, where that computes."""
    secure = problem.secure_sum(config)
    return Slots(config, problem, computes_on) if secure is None else MaskedSum(secure)


def pre_aggregated(messages: Iterable[Message], config: Config, problem: Problem) -> Message:
    """Returns one message, to go to another node, for those of several workers.

    It has one part for each slot. Bad updates go with it as they are: the server judges them.
    """
    slots, refused, lost = collected(config, problem), list[Single | Part](), dict[int, str]()
    for message in messages:
        refused += [bad.item for bad in slots.take_in(message)]
        lost |= message.lost
    return Message(
        updates=[item for item in refused if not isinstance(item, Part)],
        parts=[*slots.parts(far=True), *(item for item in refused if isinstance(item, Part))],
        lost=lost,
    )

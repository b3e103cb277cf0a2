"""The one interface between the round loop and whatever runs the work."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from raygan.config.tree import Config
from raygan.data import ImageSet, Shards
from raygan.methods.base import Metrics
from raygan.record.settings import FlatConfig
from raygan.round.shards import WorkerShards
from raygan.round.timing import spent
from raygan.round.updates import Problem, ServerReport, WorkerReport

PATIENCE = 3
"""Losses of a process at the same point before a run gives up."""

Result = TypeVar("Result")
ResultCo = TypeVar("ResultCo", covariant=True)


class Pending(Protocol[ResultCo]):
    """Work under way."""

    def result(self) -> ResultCo:
        """Wait for the work; raises what it raised."""

    def done(self) -> bool:
        """Whether `result` would not wait."""


@dataclass(frozen=True)
class Done(Generic[Result]):
    """Work that is done already."""

    value: Result

    def result(self) -> Result:
        """What came of it."""
        return self.value

    def done(self) -> bool:
        """Always."""
        return True


@dataclass(frozen=True)
class Played:
    """What came of a round."""

    metrics: Metrics
    dropped: dict[int, str]
    """Devices that were to take part and are not in the average, with the reason."""
    spent_s: dict[str, float]
    """Where the round's time went (seconds); see `raygan.round.timing.spent`."""


def played(workers: Sequence[WorkerReport], server: ServerReport) -> Played:
    """Put the reports together: device metrics are means over those in the average that have them."""
    dropped = dict(server.dropped)
    for worker in workers:  # what a worker has to say of its devices is nearer the cause
        dropped |= worker.dropped
    devices = {number: worker.devices[number] for worker in workers for number in worker.devices}
    counted = [devices[number] for number in sorted(devices.keys() - dropped.keys())]
    means = {}
    for name in dict.fromkeys(name for metrics in counted for name in metrics):
        values = [metrics[name] for metrics in counted if name in metrics]
        means[name] = sum(values) / len(values)
    times = [worker.times for worker in workers if worker.times is not None]
    return Played(means | server.metrics, dict(sorted(dropped.items())), spent(times, server.times))


@dataclass(frozen=True)
class Setup:
    """What the processes of a run are started with, however often that is."""

    config: Config
    """As played."""
    settings: FlatConfig
    """What the numbers depend on, as the user has it."""
    root: Path
    """The run folder."""
    images: ImageSet
    shards: Shards
    """Which of them each device has."""
    problem: Problem

    def shards_of(self, devices: range) -> WorkerShards:
        """What a worker of these devices holds, copied out of `images`."""
        offsets = self.shards.offsets[devices.start : devices.stop + 1]
        held = self.shards.indices[offsets[0] : offsets[-1]]
        return WorkerShards(devices, self.images.images[held], offsets - offsets[0])


class Executor(ABC):
    """Runs rounds in order. Nothing it hands to its caller is larger than a few scalars per device."""

    @abstractmethod
    def play(self, round: int, devices: Sequence[int], partners: Mapping[int, int]) -> Pending[Played]:
        """Start a round of these devices, after which each key of `partners` takes over what its value remembers.

        The result has `d_loss`, `g_loss` and what else the method measures; nothing of devices if there were none.
        """

    @abstractmethod
    def evaluate(self) -> Pending[dict[str, object]]:
        """Start measuring the generator as the last round started will leave it, and draw its samples."""

    @abstractmethod
    def evaluate_kept(self, round: int) -> Pending[dict[str, object]]:
        """Start measuring the generator of an earlier round, which the run folder keeps as nobody has come to it."""

    @abstractmethod
    def save(self) -> Pending[None]:
        """Start writing a checkpoint of the state that the last round started will leave."""

    @abstractmethod
    def export(self) -> Pending[None]:
        """Start writing generator.safetensors, likewise."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Which process runs where, on what."""

    @abstractmethod
    def close(self) -> None:
        """End what was started."""

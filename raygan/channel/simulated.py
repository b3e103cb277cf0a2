"""A simulated round: the work that it is counted from, its phases, and who takes part in it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np


@dataclass(frozen=True)
class Work:
    """Counted operations of one round (FLOPs)."""

    device: np.ndarray
    """Work of each device's update, (K,)."""
    meanwhile: float
    """The server's work that does not wait for the devices."""
    finish: float
    """The server's work that waits for the devices, if one slot of its means got updates."""
    finish_slot: float = 0.0
    """Additional work for each further slot."""
    slots: int = 1
    """Number of the server's means; device n's update goes into slot n mod `slots`."""
    every_slot: bool = False
    """Whether the server finishes all slots in every round, also without updates (a private run's noise)."""

    def finished(self, devices: Sequence[int]) -> float:
        """Returns the server's work on the updates of these devices (FLOPs); 0 if there are none, as a rule."""
        judged = self.slots if self.every_slot else len({device % self.slots for device in devices})
        return self.finish + (judged - 1) * self.finish_slot if judged else 0.0


@dataclass(frozen=True)
class Phases:
    """The simulated time of each phase of a round (seconds). `seconds` is their sum without the overlap."""

    down: float
    """Receiving, on the device that the round waits for (cut off at the deadline, as are the next two)."""
    device: float
    """Computing, on the same device."""
    up: float
    """Sending, from the same device."""
    meanwhile: float
    """The server's work at the same time as the devices'."""
    average: float
    """Averaging the updates."""
    server: float
    """The server's work on the average."""
    swap: float
    """Devices exchanging discriminators."""
    stages: Mapping[str, float] = field(default_factory=dict)
    """The stages of secure aggregation besides the masked update, by name: nothing else goes on meanwhile."""

    @property
    def seconds(self) -> float:
        """The duration of the round."""
        both = max(self.device + self.up, self.meanwhile)
        return self.down + both + self.average + self.server + self.swap + sum(self.stages.values())

    def by_name(self) -> dict[str, float]:
        """Returns the seconds of all phases."""
        phases = asdict(self)
        stages: dict[str, float] = phases.pop("stages")
        return phases | stages


@dataclass(frozen=True)
class SimulatedRound:
    """A simulated round, known before any of its work is done."""

    devices: list[int]
    """Devices that take part: selected, within reach, and in time."""
    unreached: int
    """Number of devices that were selected but are out of reach (`Links.out_of_reach`)."""
    late: int
    """Number of devices that were selected but gave up at the deadline."""
    overdue: list[int]
    """Those of them that had updated before the deadline: their messages were on their way."""
    partners: Mapping[int, int]
    """Exchange of discriminators afterwards: {receiver: giver}."""
    bytes_down: int
    """Bytes to all selected devices within reach; what is broadcast counts once for each of them."""
    bytes_up: int
    """Bytes from all devices that take part."""
    bytes_swap: int
    """Bytes between devices."""
    phases: Phases
    staleness: Mapping[int, int] = field(default_factory=dict)
    """Rounds since those of `devices` started that started in an earlier round; the others start in this one."""
    ahead: list[int] = field(default_factory=list)
    """Devices that start in this round and take part in a later one."""
    cohort: list[int] = field(default_factory=list)
    """Devices that have shared keys, with secure aggregation: those within reach."""

    @property
    def at_once(self) -> list[int]:
        """Those of `devices` that start in this round."""
        return [device for device in self.devices if device not in self.staleness]

    @property
    def ages(self) -> dict[str, float]:
        """The mean and the largest staleness of the updates, as a row has them."""
        rounds, count = self.staleness.values(), len(self.devices)
        return {"staleness": sum(rounds) / count if count else 0.0, "staleness_max": max(rounds, default=0)}

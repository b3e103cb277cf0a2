"""What growth.py measures, and the model that should explain it: everything is a fixed part and a linear one.

Devices take turns in the actors that share them, and a round waits for the actor that has most of its devices. So a
round's seconds should be linear in that number and, for networks of different sizes, in the FLOPs that come one after
the other; memory in what is kept: two Adam moments for each device and each of the discriminator's parameters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median

import numpy as np

ACTORS = 2
"""Actors that share the devices."""
OWN = ("driver", "WorkerActor", "ServerActor", "RecorderActor")
"""The processes of a run; the rest are Ray's, the same whatever is played."""


@dataclass(frozen=True)
class Point:
    """A run, and what was seen of it."""

    sweep: str
    devices: int
    selected: int
    """Devices of a round."""
    width: int
    """Of both networks."""
    parameters: int
    """Of the discriminator."""
    update_bytes: int
    """What a device sends up."""
    device_flops: float
    """Of a device's part of a round."""
    server_flops: float
    """Of the server's part."""
    busiest: float
    """Devices of the actor that has most of them in a round; mean over the rounds."""
    took_part: int
    """Devices that had taken part, and so have something to remember, when memory was looked at."""
    open_s: float
    """Until the processes were ready, the data loaded."""
    blocks_s: list[float]
    """Seconds a round, of every block of rounds."""
    spent_s: dict[str, float]
    """Where a round's time went: medians over rounds."""
    private: dict[str, int]
    """By kind of process, what nobody else maps (bytes); empty where it was not looked at."""
    store_bytes: int
    """Of the objects in Ray's object store."""
    saving: dict[str, int] | None = None
    """A checkpoint's size, and memory at the most while it was written, all private and all stored (bytes)."""
    stacked: int = 1
    """Devices that update as one computation."""

    @property
    def seconds(self) -> float:
        """Of a round."""
        return median(self.blocks_s)

    @property
    def load(self) -> float:
        """Devices of a round, were all actors as busy as the busiest: what one further device adds is shared."""
        return ACTORS * self.busiest

    @property
    def flops(self) -> float:
        """Of a round, without what goes on beside others."""
        return self.busiest * self.device_flops + self.server_flops

    @property
    def memory(self) -> int:
        """Private memory of the run's own processes (bytes)."""
        return sum(self.private.get(kind, 0) for kind in OWN)

    @property
    def rays_memory(self) -> int:
        """Private memory of Ray's processes (bytes)."""
        return sum(self.private.values()) - self.memory


@dataclass(frozen=True)
class Fit:
    """A value as `fixed + each * cause`."""

    fixed: float
    each: float

    def at(self, cause: float) -> float:
        """The value it says."""
        return self.fixed + self.each * cause

    @property
    def bend(self) -> float | None:
        """The cause from which on most of the value grows with it; None if there is no such point."""
        return self.fixed / self.each if self.fixed > 0 and self.each > 0 else None


def linear(causes: Sequence[float], values: Sequence[float]) -> Fit | None:
    """The line of least squared relative errors; None where the causes are all the same.

    Relative, as values span orders of magnitude: otherwise the largest alone would decide on the fixed part.
    """
    if len(set(causes)) < 2:
        return None
    x, y = np.array(causes, float), np.array(values, float)
    scale = x.max()  # so that both columns are of a size
    (fixed, each), *_ = np.linalg.lstsq(np.stack([1 / y, x / scale / y], axis=1), np.ones_like(y), rcond=None)
    return Fit(float(fixed), float(each / scale))


Value = Callable[[Point], float]
Unit = tuple[str, float]
"""Its name, and how many of it make one of the plain unit (s, bytes, FLOP)."""


@dataclass(frozen=True)
class Model:
    """What should be linear in what."""

    what: str
    sweep: str
    value: Value
    cause: Value
    axis: Value
    """What was varied, as figures show it."""
    symbol: str
    """Of the cause."""
    fixed_unit: Unit
    each_unit: Unit
    cause_unit: Unit = ("", 1.0)

    def of(self, points: Sequence[Point]) -> list[Point]:
        """The points that it is about, in the order of what was varied."""
        return sorted((point for point in points if point.sweep == self.sweep), key=self.axis)

    def fit(self, points: Sequence[Point]) -> Fit | None:
        """To the points that it is about."""
        mine = self.of(points)
        return linear([self.cause(point) for point in mine], [self.value(point) for point in mine])

    def miss(self, fit: Fit, point: Point) -> float:
        """How much more was measured than the fit says, relative to the latter."""
        return self.value(point) / fit.at(self.cause(point)) - 1


_MS, _MB = ("ms", 1e3), ("MB", 1e-6)
_K, _SIZE, _N = attrgetter("devices"), attrgetter("parameters"), attrgetter("selected")
_SECONDS, _LOAD, _MEMORY = attrgetter("seconds"), attrgetter("load"), attrgetter("memory")

WITH_STEPS = Model("a round of K devices, one local step each", "steps", _SECONDS, _LOAD, _K, "K", _MS, _MS)
WITHOUT = Model("a round of K devices, no device work", "idle", _SECONDS, _LOAD, _K, "K", _MS, _MS)
MEMORY = Model("private memory of K devices", "steps", _MEMORY, _K, _K, "K", _MB, _MB)
OF_WORK = Model(
    "a round of networks that take W FLOPs",
    "networks",
    _SECONDS,
    attrgetter("flops"),
    _SIZE,
    "W",
    _MS,
    ("ms per GFLOP", 1e12),
    ("GFLOP", 1e-9),
)
OF_SIZE = Model(
    "private memory of networks, P parameters in D", "networks", _MEMORY, _SIZE, _SIZE, "P", _MB, ("bytes", 1.0)
)
OF_SELECTED = Model("a round of n selected devices", "selected", _SECONDS, _LOAD, _N, "n", _MS, _MS)
POINTS = Model("a round of K devices with MLPs of points, one by one", "points", _SECONDS, _LOAD, _K, "K", _MS, _MS)
STACKED = Model("the same, stacked", "stacked", _SECONDS, _LOAD, _K, "K", _MS, _MS)
MODELS = (WITH_STEPS, WITHOUT, MEMORY, OF_WORK, OF_SIZE, OF_SELECTED, POINTS, STACKED)

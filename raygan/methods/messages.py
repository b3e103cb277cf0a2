"""What a method's two sides send each other, and what they keep from round to round."""

from dataclasses import dataclass

import numpy as np

State = dict[str, np.ndarray]
"""The state that a device or the server keeps from round to round: named float32 arrays."""

Metrics = dict[str, float]
"""Scalars of one round by name, as plain numbers. Devices may report different names; the mean over the devices that
report a name is recorded."""


@dataclass(frozen=True)
class Update:
    """The only message from a device to the server: a float32 vector, its weight in the mean, and scalar metrics."""

    device: int
    vector: np.ndarray
    weight: int
    metrics: Metrics
    slot: int = 0
    """The index of the server's mean that it is part of."""


@dataclass(frozen=True)
class Mean:
    """The aggregate of one slot's updates, (update_size,) float32, and the sum of their weights."""

    vector: np.ndarray
    weight: int


@dataclass(frozen=True)
class Gathered:
    """All updates of one slot, in the order of their devices."""

    devices: list[int]
    """Their numbers, ascending."""
    vectors: list[np.ndarray]
    """(update_size,) float32 each."""
    weights: list[int]

    @property
    def weight(self) -> int:
        """The sum of their weights."""
        return sum(self.weights)

"""Who holds which samples, in two flat arrays however many devices there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, eq=False)
class Shards:
    """One index array per device, laid end to end; `shards[device]` is a device's.

    `indices` is (N,) int64, the samples device after device, ascending within each. `offsets` is (K + 1,) int64:
    device k holds `indices[offsets[k] : offsets[k + 1]]`.
    """

    indices: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of_holders(cls, holders: np.ndarray, devices: int) -> Self:
        """From the device that holds each sample, (N,) integers below `devices`."""
        return cls(np.argsort(holders, kind="stable"), _ends(np.bincount(holders, minlength=devices)))

    @classmethod
    def of_arrays(cls, arrays: Sequence[np.ndarray]) -> Self:
        """From one index array per device, in any order within."""
        sizes = [len(array) for array in arrays]
        indices = np.concatenate(arrays)
        order = np.lexsort((indices, np.repeat(np.arange(len(sizes)), sizes)))
        return cls(indices[order], _ends(sizes))

    @property
    def sizes(self) -> np.ndarray:
        """Samples on each device, (K,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        """How many devices."""
        return len(self.offsets) - 1

    def __getitem__(self, device: int) -> np.ndarray:
        """A device's samples, (n,), as a view."""
        return self.indices[self.offsets[device] : self.offsets[device + 1]]


def _ends(sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

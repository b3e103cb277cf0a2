"""The shards of all devices, in two flat arrays for any number of devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, eq=False)
class Shards:
    """One index array per device, concatenated; `shards[device]` is the array of a device.

    `indices` is (N,) int64, the samples device after device, ascending within each. `offsets` is (K + 1,) int64:
    device k holds `indices[offsets[k] : offsets[k + 1]]`.
    """

    indices: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of_holders(cls, holders: np.ndarray, devices: int) -> Self:
        """Build the shards from the device of each sample, (N,) integers below `devices`."""
        return cls(np.argsort(holders, kind="stable"), _ends(np.bincount(holders, minlength=devices)))

    @classmethod
    def of_arrays(cls, arrays: Sequence[np.ndarray]) -> Self:
        """Build the shards from one index array per device, each in any order."""
        sizes = [len(array) for array in arrays]
        indices = np.concatenate(arrays)
        order = np.lexsort((indices, np.repeat(np.arange(len(sizes)), sizes)))
        return cls(indices[order], _ends(sizes))

    def chosen(self, where: np.ndarray) -> "Shards":
        """Returns the shards with those samples alone for which `where`, (N,) truth values, is true."""
        before = np.concatenate([[0], np.cumsum(where, dtype=np.int64)])
        return Shards(self.indices[where], before[self.offsets])

    @property
    def sizes(self) -> np.ndarray:
        """Number of samples on each device, (K,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        """Returns the number of devices."""
        return len(self.offsets) - 1

    def __getitem__(self, device: int) -> np.ndarray:
        """Returns the sample indices of a device, (n,), as a view."""
        return self.indices[self.offsets[device] : self.offsets[device + 1]]


def _ends(sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

"""The samples of the devices of one process, in one array however many devices there are."""

from dataclasses import dataclass

import numpy as np

from raygan.methods.base import Shard


@dataclass(frozen=True, eq=False)
class HostShards:
    """The shards of consecutive devices, laid end to end: on Ray, one object in a node's shared memory.

    The first device holds `samples[offsets[0] : offsets[1]]`, and so on; `offsets` is (len(devices) + 1,) int64.
    """

    devices: range
    samples: np.ndarray
    offsets: np.ndarray

    def __getitem__(self, device: int) -> Shard:
        """A device's shard, by the device's number; its samples are a view."""
        start, end = self.offsets[self.devices.index(device) :][:2]
        return Shard(device, self.samples[start:end])

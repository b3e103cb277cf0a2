"""The samples of the devices of one process, in one array however many devices there are."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from raygan.gan.transfer import uploaded
from raygan.methods.base import Shard


@dataclass(frozen=True, eq=False)
class WorkerShards:
    """The shards of consecutive devices, laid end to end: on Ray, one object in a node's shared memory.

    The first device holds `samples[offsets[0] : offsets[1]]`, and so on; `offsets` is (len(devices) + 1,) int64.
    """

    devices: range
    samples: np.ndarray
    offsets: np.ndarray
    held: Tensor | None = None
    """The samples on the GPU that the process computes on."""
    labels: np.ndarray | None = None
    """The class of each sample, (N,) int64, if networks are given classes."""

    def held_on(self, device: torch.device) -> "WorkerShards":
        """The same with its samples on a GPU too, if that is where they are needed."""
        return self if device.type == "cpu" else replace(self, held=uploaded(self.samples, device))

    def __getitem__(self, device: int) -> Shard:
        """A device's shard, by the device's number; its samples are views."""
        start, end = self.offsets[self.devices.index(device) :][:2]
        held = None if self.held is None else self.held[start:end]
        labels = None if self.labels is None else self.labels[start:end]
        return Shard(device, self.samples[start:end], held, labels)

"""The samples of a device, and batches of them on the process's device."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raygan.gan.transfer import uploaded


@dataclass(frozen=True)
class Shard:
    """One device's samples: `samples` is (n, C, H, W) uint8 or (n, d) float32."""

    device: int
    samples: np.ndarray
    held: Tensor | None = None
    """The same samples on the process's GPU, if they have been copied there."""
    labels: np.ndarray | None = None
    """The class of each sample, (n,) int64, if networks are given classes."""

    def taken(self, chosen: np.ndarray, device: torch.device) -> Iterator[Tensor]:
        """Yields the samples of each row of `chosen`, (batches, N) int64, as a batch on `device`."""
        if self.held is None:
            for rows in chosen:
                yield uploaded(self.samples[rows], device)
        else:
            for rows in uploaded(chosen, device):
                yield self.held.index_select(0, rows)

    def classes(self, chosen: np.ndarray, device: torch.device) -> Iterator[Tensor | None]:
        """Yields their classes, likewise; None for each row if they have none."""
        for rows in chosen:
            yield None if self.labels is None else uploaded(self.labels[rows], device)

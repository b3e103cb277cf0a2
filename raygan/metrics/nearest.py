"""The nearest training images of generated ones: has the generator learned images by heart?"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_AT_ONCE = 2000
_REAL = 200
"""Real images whose nearest other one is looked for, for comparison."""


@dataclass(frozen=True)
class Nearest:
    """What was found."""

    indices: np.ndarray
    """Of the nearest real images of each generated one, nearest first, (n, neighbours)."""
    distances: np.ndarray
    """Euclidean, over pixels in [-1, 1], from each generated image to the nearest real one, (n,)."""
    real_median: float
    """The median of the same from real images to the nearest other one; 0 where most have an equal."""


def nearest_images(generated: Tensor, real: np.ndarray, neighbours: int) -> Nearest:
    """Look for the nearest of `real` (N, C, H, W) uint8, N > neighbours, to `generated` (n, C, H, W) in [-1, 1]."""
    distances, indices = _search(generated.flatten(1), real, neighbours)
    some = np.linspace(0, len(real) - 1, min(_REAL, len(real))).astype(np.int64)
    others, _ = _search(_rows(real[some]), real, 2)  # the nearest is itself
    return Nearest(indices.numpy(), distances[:, 0].numpy(), float(np.median(others[:, 1])))


def _search(rows: Tensor, real: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
    """Distances to, and indices of, the `count` nearest real images of each row, both (n, count)."""
    found = [
        torch.cdist(rows, _rows(real[start : start + _AT_ONCE]), compute_mode="donot_use_mm_for_euclid_dist")
        for start in range(0, len(real), _AT_ONCE)
    ]
    nearest = torch.cat(found, dim=1).topk(count, largest=False)
    return nearest.values, nearest.indices


def _rows(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1)).float().div_(127.5).sub_(1)

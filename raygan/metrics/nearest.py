"""The nearest training images of generated ones, to detect memorisation."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_AT_ONCE = 2000
_REAL = 100
"""Number of real images whose nearest other image is found for comparison."""


@dataclass(frozen=True)
class NearestImages:
    """The nearest images and their distances."""

    indices: np.ndarray
    """Indices of the nearest real images of each generated one, nearest first, (n, neighbours)."""
    distances: np.ndarray
    """Euclidean distance, over pixels in [-1, 1], from each generated image to the nearest real one, (n,)."""
    real_median: float
    """Median distance from real images to the nearest other one; 0 if most have a duplicate."""


def nearest_images(generated: Tensor, real: np.ndarray, neighbours: int) -> NearestImages:
    """Find the images of `real` (N, C, H, W) uint8, N > neighbours, nearest to `generated` (n, C, H, W) in [-1, 1]."""
    some = np.linspace(0, len(real) - 1, min(_REAL, len(real))).astype(np.int64)
    asked = torch.cat([generated.flatten(1), _rows(real[some])])
    distances, indices = _search(asked, real, max(neighbours, 2))
    mine, theirs = distances[: len(generated)], distances[len(generated) :]
    return NearestImages(
        indices=indices[: len(generated), :neighbours].numpy(),
        distances=mine[:, 0].numpy(),
        real_median=float(np.median(theirs[:, 1])),  # the nearest one is the image itself
    )


def _search(rows: Tensor, real: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
    """Returns the distances to, and the indices of, the `count` nearest real images of each row, both (n, count).

    Candidates are found by matrix products, which are fast but blur small distances. Their distances are then computed
    exactly.
    """
    chunks = (_rows(real[start : start + _AT_ONCE]) for start in range(0, len(real), _AT_ONCE))
    found = torch.cat([torch.cdist(rows, chunk) for chunk in chunks], dim=1).topk(count, largest=False).indices
    exact = torch.stack([(_rows(real[indices]) - row).norm(dim=1) for row, indices in zip(rows, found, strict=True)])
    distances, order = exact.sort(dim=1)
    return distances, found.gather(1, order)


def _rows(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1)).float().div_(127.5).sub_(1)

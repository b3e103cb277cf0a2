"""Pieces of an exact sum (`raygan.methods.exact_sum`) on a GPU, for many vectors at once.

A vector takes a dozen passes in float64, one after the other on a CPU. On a GPU a row is as soon done as many, and the
operations are the same single ones of float64, each rounded as IEEE 754 says: so pieces have the same bits.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from raygan.gan.transfer import here, uploaded

ROWS = 64
"""Vectors that are taken in together, at most."""
VALUES = 2**22
"""Values that are taken in together, at most, but for those of one vector: each is in memory three times in float64."""
_SMALLEST = 2.0**-126
"""The smallest normal float32: below it numbers are taken as zero everywhere in a run, which a GPU would not do."""


class RowSum:
    """Sums of the pieces of vectors by level."""

    def __init__(self, grids: Sequence[float], device: torch.device) -> None:
        """`grids` has for each level what rounds to it; after the last one nothing of a float32 value is left."""
        self._grids = grids
        self._device = device
        self._waiting: list[tuple[np.ndarray, int]] = []
        self._totals: list[Tensor] = []

    def add(self, vector: np.ndarray, weight: int) -> None:
        """Add a vector, (size,) float32, `weight` times. It is not copied, and must not change until `pieces`."""
        self._waiting.append((vector, weight))
        if len(self._waiting) == ROWS or (len(self._waiting) + 1) * len(vector) > VALUES:
            self._take_in()

    def pieces(self) -> dict[int, np.ndarray]:
        """Returns the sums of what was added since it was asked last, (size,) float64 by level, none of only zeros."""
        if self._waiting:
            self._take_in()
        totals, self._totals = here(self._totals), []
        return {level: total.numpy() for level, total in enumerate(totals) if total.any()}

    def _take_in(self) -> None:
        vectors, weights = zip(*self._waiting, strict=True)
        self._waiting.clear()
        rest = uploaded(np.stack(vectors), self._device).double()
        rest.masked_fill_(rest.abs() < _SMALLEST, 0)
        rest *= uploaded(np.array(weights, np.float64), self._device)[:, None]
        for level, grid in enumerate(self._grids):
            piece = (rest + grid) - grid
            rest -= piece
            if level == len(self._totals):
                self._totals.append(torch.zeros_like(piece[0]))
            self._totals[level] += piece.sum(dim=0)  # exact, so in any order

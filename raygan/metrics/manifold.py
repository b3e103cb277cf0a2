"""Precision, recall, density and coverage: the overlap of the sample manifolds of real and generated data."""

from functools import cache

import torch
from torch import Tensor

from raygan.metrics.base import Metric

NEIGHBOURS = 5
"""As in 2002.09797, section 4."""


class Manifold(Metric):
    """A manifold is the union of balls around its rows, each reaching to the row's fifth nearest neighbour.

    `precision`: the share of generated rows in the real manifold; `recall`: the share of real rows in the generated one
    (Kynkaanniemi et al., 1904.06991). `density`: the number of real balls around a generated row, over five;
    `coverage`: the share of real balls with a generated row inside (Naeem et al., 2002.09797, equations 3 to 6).
    """

    of = "features"

    def __init__(self, real: Tensor) -> None:
        super().__init__(real)
        self._radii_of = cache(lambda count: _radii(self.real[:count].double())[:, None])

    def measure(self, generated: Tensor) -> dict[str, float]:
        """Returns the values for equally many rows of each; nothing if there are five or fewer."""
        real, made = self.as_many(generated)
        if len(real) <= NEIGHBOURS:
            return {}
        between = torch.cdist(real, made)
        inside = between < self._radii_of(len(real))
        return {
            "precision": float(inside.any(dim=0).double().mean()),
            "recall": float((between < _radii(made)).any(dim=1).double().mean()),
            "density": float(inside.sum(dim=0).double().mean()) / NEIGHBOURS,
            "coverage": float(inside.any(dim=1).double().mean()),
        }


def _radii(rows: Tensor) -> Tensor:
    """Returns the distance of each row to its fifth nearest neighbour, not counting itself."""
    return torch.cdist(rows, rows).kthvalue(NEIGHBOURS + 1, dim=1).values

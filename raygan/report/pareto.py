"""The Pareto front of cost and quality."""

from collections.abc import Sequence

import numpy as np


def pareto_front(x: Sequence[float], y: Sequence[float], mode: str) -> list[int]:
    """Returns the points that no other one dominates, by rising `x`: no point is as good in both and better in one.

    A low `x` is good; a low `y` is good if `mode` is "min", a high one if it is "max". Equal points are all kept.
    """
    cost, loss = np.asarray(x, float), np.asarray(y, float) * (1 if mode == "min" else -1)
    as_good = (cost[:, None] <= cost) & (loss[:, None] <= loss)
    better = (cost[:, None] < cost) | (loss[:, None] < loss)
    members = np.flatnonzero(~np.any(as_good & better, axis=0))
    return [int(index) for index in members[np.lexsort((loss[members], cost[members]))]]

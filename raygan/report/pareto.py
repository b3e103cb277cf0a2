"""The trade between a cost and a quality."""

from collections.abc import Sequence

import numpy as np


def pareto_front(x: Sequence[float], y: Sequence[float], mode: str) -> list[int]:
    """The points that no other one beats, by rising `x`: none is as good in both and better in one.

    A low `x` is good; of `y`, a low one if `mode` is "min", a high one if it is "max". Equal points stand together.
    """
    cost, loss = np.asarray(x, float), np.asarray(y, float) * (1 if mode == "min" else -1)
    as_good = (cost[:, None] <= cost) & (loss[:, None] <= loss)
    better = (cost[:, None] < cost) | (loss[:, None] < loss)
    members = np.flatnonzero(~np.any(as_good & better, axis=0))
    return [int(index) for index in members[np.lexsort((loss[members], cost[members]))]]

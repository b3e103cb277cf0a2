"""The values that trials report to Tune."""

from collections.abc import Sequence
from math import inf

from raygan.measures import MEASURES
from raygan.record.log import Row
from raygan.report.curves import cost_of, curve_of

COSTS = {"rounds_to_target": "round", "megabytes_to_target": "megabytes", "sim_s_to_target": "sim_s"}
"""Costs of reaching a target, each with the axis of the curve it is read from."""


def scores(rows: Sequence[Row], metric: str, target: dict[str, float] | None) -> dict[str, float]:
    """Returns a run's report after its last evaluation: progress, metrics, and the cost of reaching the target.

    `sim_s` is in simulated seconds, `wall_s` in seconds. The cost of a target that has not been reached is infinite.
    """
    curve = curve_of(list(rows))
    last = curve.iloc[-1]
    names = ("round", "sim_s", "megabytes", "wall_s", "d_loss", "g_loss", *MEASURES)
    found = {name: float(last[name]) for name in names if name in last}
    found["round"] = int(last["round"])
    if target is not None:
        ((quality, value),) = target.items()
        cost = cost_of(curve, quality, value)
        found[metric] = cost[COSTS[metric]] if cost is not None else inf
    return found


def evaluated(rows: Sequence[Row]) -> list[int]:
    """Returns the rounds that have been measured."""
    return [int(str(row["round"])) for row in rows if "eval_samples" in row]

"""What trials are measured by."""

from collections.abc import Sequence
from math import inf

from raygan.config.data import Gaussians
from raygan.config.tree import Config
from raygan.report.curves import cost_of, curve_of
from raygan.run_folder import Row

COSTS = {"rounds_to_target": "round", "megabytes_to_target": "megabytes", "sim_s_to_target": "sim_s"}
"""What it took to reach a target, and the curve's axis that it is read from."""

_OF_IMAGES = ("fd_clf", "classes_found")
_OF_POINTS = ("reverse_kl", "modes_found", "high_quality")
_OF_INCEPTION = ("fid",)
METRICS = tuple(
    name + suffix for suffix in ("", "_raw") for names in (_OF_IMAGES, _OF_POINTS, _OF_INCEPTION) for name in names
)
"""What an evaluation measures; `_raw` is of the generator as it is, without the moving average."""


def measured(config: Config) -> tuple[str, ...]:
    """The metrics that a run of this config measures."""
    names: tuple[str, ...] = _OF_POINTS if isinstance(config.data, Gaussians) else _OF_IMAGES
    if config.eval.inception_weights is not None:
        names += _OF_INCEPTION
    return tuple(name + suffix for suffix in ("", "_raw") for name in names)


def scores(rows: Sequence[Row], metric: str, target: dict[str, float] | None) -> dict[str, float]:
    """What is reported of a run after its last evaluation: progress, metrics, and what it took to reach the target.

    `sim_s` is in simulated seconds, `wall_s` in seconds. A target not yet reached has cost infinity.
    """
    curve = curve_of(list(rows))
    last = curve.iloc[-1]
    names = ("round", "sim_s", "megabytes", "wall_s", "d_loss", "g_loss", *METRICS)
    found = {name: float(last[name]) for name in names if name in last}
    found["round"] = int(last["round"])
    if target is not None:
        ((quality, value),) = target.items()
        cost = cost_of(curve, quality, value)
        found[metric] = cost[COSTS[metric]] if cost is not None else inf
    return found


def evaluated(rows: Sequence[Row]) -> list[int]:
    """The rounds that have been measured."""
    return [int(str(row["round"])) for row in rows if "eval_samples" in row]

"""Custom metrics: every failure becomes one line that names the metric."""

import math
from collections.abc import Callable, Mapping
from typing import get_args

import numpy as np
from torch import Tensor

from raygan.components import METRICS, derived
from raygan.config.tree import Config
from raygan.errors import InputError, RunError
from raygan.measures import MEASURES, RAW
from raygan.metrics.base import Metric, Rows

FoundMetrics = dict[str, float | list[float]]

_TAKEN = {
    *("round", "wall_s", "sim_s", "spent_s", "phases_s", "devices", "unreached", "late", "dropped", "d_loss", "g_loss"),
    *("staleness", "staleness_max", "epsilon"),
    *("bytes_down", "bytes_up", "bytes_swap", "megabytes", "eval_samples", "eval_seed", "reference_images"),
    *("classifier_accuracy", "classifier_held_out", "yardstick", "fd_clf_floor", "floor_images"),
    *("compared_images", "classifier", "inception", "class_shares", "class_fd_clf", *MEASURES),
}
"""Other fields of a line of evaluations.jsonl, or computed from it."""


def check_metrics(config: Config) -> None:
    """Raise InputError if a name in `eval.metrics` does not resolve to a metric."""
    for name in config.eval.metrics:
        if name not in METRICS:
            kind_of(name)


def kind_of(name: str) -> type[Metric]:
    """Returns the metric class of a name.

    Raises:
        InputError: it is no metric class, or does not declare its input (`of`).
    """
    kind: type[Metric] = derived(METRICS, name, "eval.metrics", Metric)  # type: ignore[type-abstract]
    if getattr(kind, "of", None) not in get_args(Rows):
        raise InputError(
            f"eval.metrics: {name}.of says which rows it is given: {', '.join(get_args(Rows))}; "
            f"it is {getattr(kind, 'of', None)!r}",
            code="kind",
        )
    return kind


def measured_by(name: str, metric: Metric, rows: Tensor, called: Callable[[str], str]) -> FoundMetrics:
    """Returns a metric's values for `rows` as plain numbers, under the names that `called` gives them.

    Raises:
        InputError: a custom metric returned a value that cannot be recorded.
        RunError: the metric failed.
    """
    if name in METRICS:
        return {called(of): value for of, value in metric.measure(rows).items()}
    try:
        found = metric.measure(rows)
    except Exception as error:
        raise RunError(f"eval.metrics: {name} failed: {type(error).__name__}: {error}", code="failed") from error
    if not isinstance(found, Mapping):
        raise InputError(
            f"eval.metrics: {name} returned a {type(found).__name__}; values by name are needed", code="result"
        )
    plain: FoundMetrics = {}
    for of, value in found.items():
        if not isinstance(of, str) or of.endswith(RAW) or called(of) in _TAKEN:
            raise InputError(
                f"eval.metrics: {name} returned a value named {of!r}; that is taken, take another name", code="twice"
            )
        plain[called(of)] = _plain(f"{name} returned {of}", value)
    return plain


def _plain(what: str, value: object) -> float | list[float]:
    return [_number(what, one) for one in value] if isinstance(value, list | tuple) else _number(what, value)


def _number(what: str, value: object) -> float:
    """Returns a Python number, also from an array or tensor that holds one."""
    if isinstance(value, Tensor | np.ndarray | np.generic) and math.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"eval.metrics: {what}={value!r}; a finite number or a list of such is needed", code="result")
    return value

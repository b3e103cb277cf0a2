"""Axes and colours for the values of varied keys."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator
from plotly.colors import sample_colorscale

from raygan.report.page import COLOURS, GREY
from raygan.report.sweep.results import shown_value

_LOW_TO_HIGH = ["#3a6fc4", "#2aa5a0", "#7fae3a", "#f0a020", "#dd4f6a"]  # all readable on white and on black
_DECADES = 30  # times the smallest value; beyond, a linear axis hides the small ones
_FEW = 8  # at most this many values have their own colour or tick
_BINS = 5
_ROOM = 0.06  # share of the axis, at both ends
_GAP = 0.2  # share of the axis, below it, for trials to which the key does not apply


@dataclass(frozen=True)
class Axis:
    """An axis of a chart, with the position of every trial."""

    places: list[float]
    ticks: list[float]
    labels: list[str]
    ends: tuple[float, float]


@dataclass(frozen=True)
class Groups:
    """Trials by the value of a key."""

    names: list[str]
    """A trial's group."""
    colours: dict[str, str]
    """The groups in their order, and their colours."""


def spans_decades(values: pd.Series) -> bool:
    """Returns whether the values need a log axis."""
    return bool(len(values) and values.min() > 0 and values.max() > _DECADES * values.min())


def is_numeric(column: pd.Series) -> bool:
    """Returns whether the key's values are numbers, where it applies."""
    return column.notna().any() and pd.api.types.infer_dtype(column.dropna()) in (
        "integer",
        "floating",
        "mixed-integer-float",
    )


def axis_of(column: pd.Series) -> Axis:
    """Returns the axis of a key: numbers in order, other values side by side, "-" below if the key does not apply."""
    return _of_numbers(column) if is_numeric(column) else _of_names(column)


def _of_names(column: pd.Series) -> Axis:
    names = column.map(shown_value)
    order = sorted(names.unique(), key=lambda name: (name != "-", name))
    ticks = [float(place) for place in range(len(order))]
    return Axis([ticks[order.index(name)] for name in names], ticks, order, (-0.5, ticks[-1] + 0.5))


def _of_numbers(column: pd.Series) -> Axis:
    values = pd.to_numeric(column).astype(float)
    present = values.dropna()
    log = spans_decades(present)
    ticks = np.unique(present)
    if len(ticks) > _FEW:
        locator = LogLocator(numticks=_FEW) if log else MaxNLocator(_FEW - 1)
        ticks = np.asarray(locator.tick_values(present.min(), present.max()))
        ticks = ticks[(ticks >= present.min()) & (ticks <= present.max())]
    labels = [shown_value(tick) for tick in ticks]
    if log:
        values, ticks = np.log10(values), np.log10(ticks)
    low, high = values.min(), values.max()
    places = ticks.tolist()
    if column.isna().any():
        low -= _GAP * ((high - low) or 1)
        places, labels = [low, *places], ["-", *labels]
    room = _ROOM * ((high - low) or 1)
    return Axis(values.fillna(low).tolist(), places, labels, (float(low - room), float(high + room)))


def groups_of(column: pd.Series) -> Groups:
    """Returns groups of equal values, or of neighbouring ones if there are many numbers."""
    numeric = is_numeric(column)
    names = _bins(column) if numeric and column.nunique() > _FEW else column.map(shown_value)
    order = pd.DataFrame({"name": names, "value": column}).dropna()
    order = order.sort_values("value", key=None if numeric else lambda values: values.map(shown_value))
    groups = list(order["name"].unique())
    if numeric:
        colours = sample_colorscale(_LOW_TO_HIGH, np.linspace(0, 1, len(groups)).tolist())
    else:
        colours = [COLOURS[index % len(COLOURS)] for index in range(len(groups))]
    absent = {"-": GREY} if column.isna().any() else {}
    return Groups(names.tolist(), dict(zip(groups, colours, strict=True)) | absent)


def _bins(column: pd.Series) -> pd.Series:
    """Returns the quintile of each number, by name."""
    values = pd.to_numeric(column)
    fifths = values.groupby(pd.qcut(values, _BINS, labels=False, duplicates="drop"))
    low, high = fifths.transform("min").map(shown_value), fifths.transform("max").map(shown_value)
    return (low + " to " + high).where(values.notna(), "-")

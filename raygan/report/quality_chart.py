"""Quality curves for which the reader of a page chooses the measurement and the axis."""

import html
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from raygan.measures import RAW
from raygan.report.curves import AXES
from raygan.report.page import chart, wants_log
from raygan.report.quality import direction, measure_of
from raygan.report.thinning import thinned
from raygan.report.yardstick import floor_of

_MOST_MARKS = 100  # markers per line; more would hide it
_DIGITS = 6  # significant digits of the numbers in a page
_FEW_DECADES = 1000  # times the smallest value; beyond, a log axis has room only for powers of ten


@dataclass(frozen=True)
class CurveLine:
    """One line of the chart, with the values of each measurement."""

    name: str
    colour: str
    dash: str
    curve: pd.DataFrame
    """A row per evaluation, with `AXES`."""
    columns: dict[str, str]
    """The column of a measurement, if it is not the measurement's name; a curve may lack it."""


def quality_chart(
    lines: list[CurveLine], measures: list[str], target: tuple[str, float] | None = None
) -> tuple[str, dict[str, object]]:
    """Returns an empty chart of `lines`, and the data that the page's script draws, the first of `measures` initially.

    `target` is a value of one of them, drawn as a separate line.
    """
    figure = go.Figure()
    for line in lines:
        style = {"color": line.colour, "dash": line.dash}
        hover = "%{x:.4~g}, %{y:.4~g}"
        mode = "lines+markers" if len(line.curve) <= _MOST_MARKS else "lines"
        figure.add_scatter(name=html.escape(line.name), mode=mode, line=style, hovertemplate=hover)
    figure.update_traces(marker={"size": 5})
    figure.update_xaxes(rangemode="tozero")
    axes = {axis: title for axis, title in AXES.items() if any(line.curve[axis].any() for line in lines)}
    choices = {
        "axes": axes or {"round": AXES["round"]},
        "measures": {name: _drawn(name, lines, list(axes) or ["round"], target) for name in measures},
    }
    return chart(figure, "quality", showlegend=True, legend={"maxheight": 1}), choices


def _drawn(name: str, lines: list[CurveLine], axes: list[str], target: tuple[str, float] | None) -> dict[str, object]:
    """Returns one measurement of every line, thinned."""
    parts = [_known(line.curve, line.columns.get(name, name)) for line in lines]
    values = pd.concat([values for _, values in parts])
    goal = target[1] if target is not None and target[0] == name else None
    floors = {floor_of(line.curve) for line in lines} if name.removesuffix(RAW) == "fd_clf" else {None}
    floor = floors.pop() if len(floors) == 1 else None
    log = wants_log(values) and all(value is None or value > 0 for value in (goal, floor))
    title = measure_of(name).title
    return {
        "title": html.escape(title) + (" (log)" if log else ""),
        "better": direction(name),
        "log": log,
        "ticks": "D2" if log and values.max() < _FEW_DECADES * values.min() else None,
        "x": {axis: [_short(curve[axis]) for curve, _ in parts] for axis in axes},
        "y": [_short(values) for _, values in parts],
        "target": goal,
        "floor": None if floor is None else float(f"{floor:.{_DIGITS}g}"),
    }


def _known(curve: pd.DataFrame, column: str) -> tuple[pd.DataFrame, pd.Series]:
    """Returns the evaluations that have a value in a column, thinned, and the values."""
    if column not in curve:
        return curve.iloc[:0], pd.Series(dtype=float)
    known = thinned(curve[np.isfinite(curve[column].astype(float))], [column])
    return known, known[column]


def _short(values: pd.Series) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values]

"""The charts of a sweep's page."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from raygan.report.curves import AXES
from raygan.report.page import COLOURS, GREY, chart, wants_log
from raygan.report.pareto import pareto_front
from raygan.report.sweep.results import SweepResults, settings
from raygan.report.sweep.scales import axis_of, groups_of, spans_decades

_PLAIN, _BEST = COLOURS[0], COLOURS[1]
_HOVER = "%{x:.4~g}, %{y:.4~g}<br>%{text}<extra></extra>"


@dataclass(frozen=True)
class TrialPoints:
    """A sweep's trials for the charts, in the order of the table."""

    results: SweepResults
    curves: list[pd.DataFrame]
    """A trial's evaluations: `AXES` and the quality; no rows if there are none."""
    best_point: int | None
    floor: float | None = None
    """FD-clf of real images against real ones, if that is the quality and all trials agree on it."""

    @property
    def drawn(self) -> list[int]:
        """Returns the trials with a curve, the best last, so that it is drawn on top."""
        return [index for index, curve in reversed(list(enumerate(self.curves))) if len(curve)]

    @property
    def texts(self) -> list[str]:
        """Returns the hover text of each trial."""
        return [
            "<br>".join(html.escape(line) for line in [f"{row['trial']} ({row['status']})", *settings(row, self.keys)])
            for _, row in self.results.table.iterrows()
        ]

    @property
    def keys(self) -> list[str]:
        """The varied keys."""
        return self.results.varied

    @property
    def is_best(self) -> list[bool]:
        """Returns whether a trial belongs to the best point."""
        return [point == self.best_point for point in self.results.table["point"]]

    @property
    def quality_mode(self) -> str:
        """The direction of the quality; everything that targets can be set for is better when lower."""
        return self.results.mode if self.results.quality == self.results.metric else "min"


def learning_curves(trials: TrialPoints) -> tuple[str, dict[str, object]]:
    """Returns a line per trial, and the data to redraw them by axis and by grouping key."""
    results, drawn, texts, is_best = trials.results, trials.drawn, trials.texts, trials.is_best
    curves = [trials.curves[index] for index in drawn]
    figure = go.Figure()
    for index, curve in zip(drawn, curves, strict=True):
        figure.add_scatter(
            x=curve["round"],
            y=curve[results.quality],
            meta=texts[index],
            hovertemplate=_HOVER.replace("text", "meta"),
            mode="lines+markers",
            marker={"size": 4},
            line={"width": 3 if is_best[index] else 1.2},
        )
    values = pd.concat([curve[results.quality] for curve in curves]) if curves else pd.Series(dtype=float)
    log = wants_log(values)
    if trials.floor is not None and (trials.floor > 0 or not log):
        label = {"text": "real against real", "textposition": "end", "font": {"color": GREY}}
        figure.add_hline(trials.floor, line={"dash": "dot", "color": GREY, "width": 1.5}, label=label)
    figure.update_xaxes(rangemode="tozero", title=AXES["round"])
    figure.update_yaxes(**_scale(results.quality, log))
    groups = {key: groups_of(results.table[key]) for key in trials.keys or ["point"]}
    redraw = {
        "axes": {
            axis: {"title": title, "x": [curve[axis].tolist() for curve in curves]}
            for axis, title in AXES.items()
            if any(curve[axis].any() for curve in curves)
        },
        "groups": {
            key: {
                "name": (names := [group.names[index] for index in drawn]),
                "colour": [group.colours[name] for name in names],
                "rank": [list(group.colours).index(name) for name in names],
                "first": [name not in names[:place] for place, name in enumerate(names)],
            }
            for key, group in groups.items()
        },
    }
    return chart(figure, "curves", height=480), redraw


def parallel_coordinates(trials: TrialPoints) -> str:
    """Returns a line per trial with a value, through its settings to the metric; the better, the more orange."""
    results = trials.results
    table = results.table[results.table[results.metric].notna()]
    axes = {key: axis_of(table[key]) for key in [*trials.keys, results.metric]}
    figure = go.Figure()
    figure.add_parcoords(
        dimensions=[
            {
                "label": html.escape(key).replace(".", ".<br>"),
                "values": axis.places,
                "tickvals": axis.ticks,
                "ticktext": [html.escape(label) for label in axis.labels],
                "range": axis.ends,
            }
            for key, axis in axes.items()
        ],
        line={
            "color": axes[results.metric].places,
            "colorscale": [[0, "#6f97c4"], [0.7, "#b09a80"], [1, _BEST]],
            "reversescale": results.mode == "min",
        },
        labelfont={"size": 12},
        tickfont={"size": 12},
        rangefont={"color": "rgba(0,0,0,0)"},
        unselected={"line": {"color": GREY, "opacity": 0.15}},
    )
    return chart(figure, "parallel", margin={"l": 90, "r": 70, "t": 70, "b": 20})


def slices(trials: TrialPoints) -> list[str]:
    """Returns the metric against each varied key: a point per trial with a value."""
    return [_slice(trials, key, f"slice-{number}") for number, key in enumerate(trials.keys)]


def _slice(trials: TrialPoints, key: str, name: str) -> str:
    metric, table = trials.results.metric, trials.results.table
    axis, log = axis_of(table[key]), spans_decades(table[metric].dropna())
    figure = go.Figure()
    figure.add_scatter(
        x=axis.places[::-1],
        y=table[metric][::-1],
        text=trials.texts[::-1],
        hovertemplate="%{y:.4~g}<br>%{text}<extra></extra>",
        mode="markers",
        marker=_marks(trials, range(len(table))[::-1]),
    )
    figure.update_xaxes(title=html.escape(key), tickvals=axis.ticks, ticktext=axis.labels, range=axis.ends)
    figure.update_yaxes(**_scale(metric, log))
    return chart(figure, name, height=300)


def quality_against_time(trials: TrialPoints) -> str | None:
    """Returns a point per trial at its last evaluation, and the front; None if simulated time does not differ."""
    results, drawn, texts = trials.results, trials.drawn, trials.texts
    last = [trials.curves[index].iloc[-1] for index in drawn]
    seconds, values = [float(row["sim_s"]) for row in last], [float(row[results.quality]) for row in last]
    if len(set(seconds)) < 2:
        return None
    front = pareto_front(seconds, values, trials.quality_mode)
    figure = go.Figure()
    figure.add_scatter(
        x=[seconds[index] for index in front],
        y=[values[index] for index in front],
        mode="lines+markers",
        line={"shape": "hv", "color": COLOURS[2], "width": 1.5},
        marker={"symbol": "circle-open", "size": 15, "line": {"width": 2}},
        name="Pareto front: nothing better in less time",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=seconds,
        y=values,
        text=[texts[index] for index in drawn],
        hovertemplate=_HOVER,
        mode="markers",
        marker=_marks(trials, drawn),
        showlegend=False,
    )
    figure.update_xaxes(**_scale(AXES["sim_s"], spans_decades(pd.Series(seconds))))
    figure.update_yaxes(**_scale(results.quality, spans_decades(pd.Series(values))))
    return chart(figure, "pareto", showlegend=True)


def _scale(title: str, log: bool) -> dict[str, object]:
    return {"title": f"{title} (log)", "type": "log", "tickformat": "~g", "dtick": "D2"} if log else {"title": title}


def _marks(trials: TrialPoints, drawn: Sequence[int]) -> dict[str, object]:
    """Returns markers: orange for the best point, hollow for trials that did not finish."""
    status = trials.results.table["status"].tolist()
    return {
        "size": 8,
        "color": [_BEST if trials.is_best[index] else _PLAIN for index in drawn],
        "symbol": ["circle" if status[index] == "finished" else "circle-open" for index in drawn],
    }

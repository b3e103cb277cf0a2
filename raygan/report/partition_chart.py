"""The chart of the partition: each device's samples by class, and the generator's distance from them."""

import html

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from raygan.report.content import DataFacts, OfDevices
from raygan.report.page import COLOURS, GREY, chart

MOST_BARS = 60
"""Maximum number of devices with a bar each; more are drawn as a heat map."""
_A_TICK_EACH = 10  # devices
_LONGEST = 24
"""Characters of a holder's name below the chart."""
_CLASS_COLOURS = (*COLOURS, "#ff9da6", "#d6a5c9")
_NONE = [0, "rgba(128,128,128,0.1)"]
_FEW_TO_MANY = [_NONE, [1e-9, "#3a6fc4"], [0.25, "#2aa5a0"], [0.5, "#7fae3a"], [0.75, "#f0a020"], [1, "#dd4f6a"]]


def partition_chart(facts: DataFacts, distances: OfDevices | None) -> str:
    """Returns a chart with a bar or column per device, and FD-clf against its shard below if that was measured."""
    counts = np.array(facts.device_class_counts)
    hovers = _hovers(facts)
    as_bars = len(counts) <= MOST_BARS and counts.shape[1] <= len(_CLASS_COLOURS)
    figure = make_subplots(
        rows=2 if distances else 1,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.08,
        row_heights=[0.62, 0.38] if distances else [1.0],
    )
    if as_bars:
        _add_bars(figure, counts, facts.classes, hovers)
    elif counts.shape[1] == 1:
        _add_sizes(figure, counts[:, 0], hovers)
    else:
        _add_heat_map(figure, counts, facts.classes, hovers)
    if distances:
        _add_distances(figure, distances, facts.devices, hovers)
    if facts.device_names and len(counts) <= MOST_BARS:
        figure.update_xaxes(tickvals=np.arange(len(counts)), ticktext=[_short(name) for name in facts.device_names])
    elif len(counts) <= _A_TICK_EACH:
        figure.update_xaxes(dtick=1)  # device numbers are integers
    figure.update_xaxes(title="device", row=2 if distances else 1)
    return chart(
        figure,
        "partition",
        height=600 if distances else 420,
        margin={"l": 60, "r": 10, "t": 70 if as_bars else 10, "b": 50},
        barmode="stack",
        bargap=0.15,
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        legend2={"orientation": "h", "y": -0.12, "yanchor": "top"},
    )


def mean_over(distances: OfDevices, devices: int) -> str:
    """Returns the name of the mean distance: not every device may have been measured or have a value."""
    known = sum(distance is not None for distance in distances.fd_clf)
    return f"mean of {known:,} of {devices:,} devices" if known < devices else "mean"


def _hovers(facts: DataFacts) -> list[str]:
    """Returns the text of each device on hover: its number, and its holders if it has some."""
    names = facts.device_names or [""] * len(facts.device_class_counts)
    return [f"device {number}{f', {html.escape(name)}' if name else ''}" for number, name in enumerate(names)]


def _short(name: str) -> str:
    return html.escape(name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…")


def _add_bars(figure: go.Figure, counts: np.ndarray, classes: list[str], hovers: list[str]) -> None:
    devices = np.arange(len(counts))
    for label, colour, held in zip(classes, _CLASS_COLOURS, counts.T, strict=False):
        name = html.escape(label) if len(classes) > 1 else "samples"
        text = {"customdata": hovers, "hovertemplate": f"%{{customdata}}, {name}: %{{y}}<extra></extra>"}
        figure.add_bar(x=devices, y=held, name=name, marker={"color": colour}, row=1, col=1, **text)
    figure.update_yaxes(title="samples", row=1)


def _add_sizes(figure: go.Figure, sizes: np.ndarray, hovers: list[str]) -> None:
    devices = np.arange(len(sizes))
    line = {"shape": "hvh", "color": COLOURS[0]}
    text = {"customdata": hovers, "hovertemplate": "%{customdata}: %{y} samples<extra></extra>"}
    figure.add_scatter(x=devices, y=sizes, name="samples", mode="lines", line=line, row=1, col=1, **text)
    figure.update_yaxes(title="samples", rangemode="tozero", row=1)


def _add_heat_map(figure: go.Figure, counts: np.ndarray, classes: list[str], hovers: list[str]) -> None:
    figure.add_heatmap(
        z=counts.T,
        y=[html.escape(name) for name in classes],
        colorscale=_FEW_TO_MANY,
        zmin=0,
        zmax=counts.max(),  # without it plotly ignores zmin, and the smallest counts look like zero
        colorbar={"title": "samples", "thickness": 12, "len": 0.6, "y": 1, "yanchor": "top"},
        customdata=[hovers] * len(classes),
        hovertemplate="%{customdata}, class %{y}: %{z} samples<extra></extra>",
        row=1,
        col=1,
    )
    figure.update_yaxes(title="class", type="category", row=1)


def _add_distances(figure: go.Figure, distances: OfDevices, devices: int, hovers: list[str]) -> None:
    figure.add_scatter(
        x=np.arange(len(distances.fd_clf)),
        y=np.array(distances.fd_clf, dtype=float),
        name="FD-clf against the device's own samples",
        mode="markers",
        marker={"color": COLOURS[3], "size": 8, "symbol": "diamond"},
        customdata=hovers,
        hovertemplate="%{customdata}: %{y:.4~g}<extra></extra>",
        legend="legend2",
        row=2,
        col=1,
    )
    mean, pooled = distances.mean_fd_clf, distances.pooled_fd_clf
    means = ((mean_over(distances, devices), mean, "dash"), ("against all data", pooled, "dot"))
    for name, value, dash in means:
        if value is not None:
            figure.add_scatter(
                x=[-0.5, len(distances.fd_clf) - 0.5],
                y=[value, value],
                name=f"{name}: {value:.4g}",
                mode="lines",
                line={"color": GREY, "dash": dash},
                hoverinfo="skip",
                legend="legend2",
                row=2,
                col=1,
            )
    figure.update_yaxes(title="FD-clf", rangemode="tozero", row=2)

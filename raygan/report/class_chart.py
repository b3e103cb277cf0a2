"""The chart of the samples' classes beside those of the data."""

import html
from collections import Counter

import plotly.graph_objects as go

from raygan.report.page import COLOURS, GREY, chart
from raygan.report.record import RunRecord

_LONG = 20  # characters of a class name below its bars; the whole name is shown on hover


def class_chart(record: RunRecord) -> str | None:
    """Returns a chart of class shares (%): of the samples, drawn by the page's script, and of the data if known.

    Returns None if samples were not classified.
    """
    classes = _last_shares(record)
    if not classes:
        return None
    facts = record.data
    named = facts is not None and len(facts.classes) == len(classes)
    labels = facts.classes if facts and named else [str(number) for number in range(len(classes))]
    names = [html.escape(label) for label in labels]
    figure = go.Figure()
    hover = "%{x}: %{y:.3~g}%"
    figure.add_bar(x=names, name="samples", marker={"color": COLOURS[1]}, hovertemplate=hover)
    if facts and named and sum(facts.class_counts):
        total = sum(facts.class_counts)
        shares = [100 * count / total for count in facts.class_counts]
        figure.add_bar(x=names, y=shares, name="data", marker={"color": GREY}, hovertemplate=hover)
    figure.update_xaxes(type="category", title="class", labelalias=_short(labels))
    figure.update_yaxes(title="share (%)", rangemode="tozero")
    above = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}  # long names below the bars would overlap it
    margin = {"l": 50, "r": 10, "t": 40, "b": 50}
    return chart(figure, "classes", height=300, showlegend=True, margin=margin, legend=above)


def _short(labels: list[str]) -> dict[str, str]:
    """Returns labels for long names: their beginning, and the class's number if several begin alike."""
    begin = {number: label[:_LONG] + "…" for number, label in enumerate(labels) if len(label) > _LONG}
    often = Counter(begin.values())
    return {
        html.escape(labels[number]): html.escape(f"{number}: {cut}" if often[cut] > 1 else cut)
        for number, cut in begin.items()
    }


def shares_at(record: RunRecord, round: int) -> list[float]:
    """Returns the samples' class shares at an evaluated round (%); empty if they were not classified."""
    if "class_shares" not in record.rounds:
        return []
    (row,) = record.rounds.index[record.rounds["round"] == round]
    return [round_off(100 * share) for share in record.rounds.at[row, "class_shares"]]


def round_off(value: float) -> float:
    """Returns a number rounded to a chart's precision."""
    return float(f"{value:.4g}")


def _last_shares(record: RunRecord) -> list[float]:
    classified = record.rounds[record.rounds["class_shares"].map(bool)]
    shares: list[float] = classified["class_shares"].iloc[-1] if len(classified) else []
    return shares

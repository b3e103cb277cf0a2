"""Charts of a run's rounds: losses, traffic, time and participation."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from raygan.report.page import COLOURS, chart
from raygan.report.thinning import thinned

Style = Mapping[str, object]
"""Plotly's style of lines or bars."""
_HOVER = "round %{x}: %{y:.4~g}"
_DOWN, _UP, _SWAP = ({"color": colour} for colour in COLOURS[:3])


@dataclass(frozen=True)
class Charts:
    """The charts as HTML; None if there is nothing to draw."""

    losses: str | None
    seconds: str | None
    traffic: str | None
    simulated_phases: str | None
    measured_phases: str | None
    taking_part: str | None
    staleness: str | None


def run_charts(rounds: pd.DataFrame) -> Charts:
    """Returns the charts of a run, whose rounds are those of `record.RunRecord`."""
    played = rounds[rounds["round"] > 0]
    return Charts(
        losses=_losses(played),
        seconds=_lines(played, {"sim_s": ("simulated seconds", _DOWN)}, "simulated seconds so far", "seconds"),
        traffic=_traffic(played),
        simulated_phases=_phases(played, "phases_s", "simulated-phases", _DOWN),
        measured_phases=_phases(played, "spent_s", "measured-phases", _UP),
        taking_part=_taking_part(played),
        staleness=_staleness(played),
    )


def everyone_took_part(rounds: pd.DataFrame) -> int | None:
    """Returns the number of devices per round, if it is constant and none missed a round or was left out; else None."""
    played = rounds[rounds["round"] > 0]
    missing = played[["unreached", "late"]].any(axis=None) or played["dropped"].map(len).any()
    constant = played["devices"].nunique() == 1 and not missing
    return int(played["devices"].iloc[0]) if constant else None


def _losses(played: pd.DataFrame) -> str | None:
    columns = {"d_loss": ("discriminator", _DOWN), "g_loss": ("generator", _UP)}
    return _lines(played, columns, "loss", "losses", height=360)


def _traffic(played: pd.DataFrame) -> str | None:
    ways = {"bytes_down": ("down", _DOWN), "bytes_up": ("up", _UP), "bytes_swap": ("between devices", _SWAP)}
    sent = {column: as_drawn for column, as_drawn in ways.items() if played[column].any()}
    so_far = played.assign(**{column: played[column].cumsum() / 1e6 for column in sent})
    return _lines(so_far, sent, "MB so far", "traffic")


def _taking_part(played: pd.DataFrame) -> str | None:
    counts = played.assign(dropped=played["dropped"].map(len))
    # Lines may coincide; drawn in this style, all remain visible.
    columns: dict[str, tuple[str, Style]] = {
        "devices": ("took part", _DOWN | {"width": 5}),
        "unreached": ("out of reach: its link had faded", _SWAP | {"dash": "dashdot"}),
        "late": ("late: gave up at the deadline", _UP | {"dash": "dash"}),
        "dropped": ("took part, but left out", {"color": COLOURS[3], "dash": "dot"}),
    }
    shown = {name: as_drawn for name, as_drawn in columns.items() if name == "devices" or counts[name].any()}
    return _lines(counts, shown, "devices", "taking-part", rangemode="tozero")


def _staleness(played: pd.DataFrame) -> str | None:
    columns = {"staleness_max": ("oldest", _UP), "staleness": ("mean", _DOWN)}
    return _lines(played, columns, "versions since its start", "staleness", rangemode="tozero")


def _lines(
    table: pd.DataFrame,
    columns: Mapping[str, tuple[str, Style]],
    title: str,
    name: str,
    height: int = 320,
    rangemode: str = "normal",
) -> str | None:
    """Draw columns, each with its name and style, against rounds."""
    known = [column for column in columns if table[column].notna().any()]
    if not known:
        return None
    drawn = thinned(table, known)
    figure = go.Figure()
    for column in known:
        label, style = columns[column]
        figure.add_scatter(
            x=drawn["round"],
            y=drawn[column].astype(float),
            name=label,
            mode="lines",
            line={"width": 1.5, **style},
            hovertemplate=_HOVER,
        )
    figure.update_xaxes(title="rounds", rangemode="tozero")
    figure.update_yaxes(title=title, rangemode=rangemode)
    return chart(figure, name, height=height, showlegend=len(known) > 1)


def _phases(played: pd.DataFrame, column: str, name: str, style: Style) -> str | None:
    """Returns mean and median seconds of a round's phases over all rounds, without phases that took no time.

    Both are shown, because a few faded links or a busy machine move the mean far.
    """
    table = pd.DataFrame(played[column].tolist(), index=played.index).fillna(0.0)
    means = table.mean()
    means = means[means > 0]
    if means.empty:
        return None
    figure = go.Figure()
    for name_of, seconds, opacity in (("median", table[means.index].median(), 0.5), ("mean", means, 1.0)):
        figure.add_bar(
            x=seconds,
            y=means.index,
            name=name_of,
            orientation="h",
            marker=style,
            opacity=opacity,
            texttemplate="%{x:.3~s}s",
            textposition="outside",
            hovertemplate=f"%{{y}}, {name_of}: %{{x:.4~s}}s<extra></extra>",
            cliponaxis=False,
        )
    figure.update_xaxes(title="a round", rangemode="tozero", tickformat="~s", ticksuffix="s")
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    height, margin = 150 + 44 * len(means), {"l": 90, "r": 60, "t": 10, "b": 50}
    return chart(figure, name, height=height, margin=margin, showlegend=True, legend={"traceorder": "reversed"})

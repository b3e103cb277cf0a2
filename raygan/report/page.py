"""The common parts of the HTML pages: templates, embedded charts and pictures, and writing."""

import base64
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path

import jinja2
import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from raygan.errors import InputError
from raygan.files import write_whole

COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#bab0ac")
GREY = "#888888"  # readable on white and on black
_DECADE = 10  # times the smallest value; beyond, a linear axis hides the small ones
_GRID = {"gridcolor": "rgba(128,128,128,0.25)", "zeroline": False}


def environment() -> jinja2.Environment:
    """Returns the template environment, which escapes its input."""

    def source(name: str) -> str:
        return (files("raygan.report") / "templates" / name).read_text(encoding="utf-8")

    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(source), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    made.globals["plotlyjs"] = get_plotlyjs
    return made


def chart(figure: go.Figure, name: str, **layout: object) -> str:
    """Returns the figure as an HTML element with the id `name`, in colours for light and dark pages."""
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY},
        margin={"l": 60, "r": 10, "t": 10, "b": 50},
        legend={"orientation": "h", "y": -0.25},
        height=420,
    )
    figure.update_xaxes(**_GRID)
    figure.update_yaxes(**_GRID)
    figure.update_layout(layout)
    html: str = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config={"displayModeBar": False, "responsive": True},
    )
    return html


def wants_log(values: pd.Series) -> bool:
    """Returns whether values need a logarithmic axis: over less than a decade it would have hardly any tick labels."""
    return bool(len(values) and values.min() > 0 and values.max() >= _DECADE * values.min())


def embedded(picture: Path | None) -> str | None:
    """Returns a PNG as a data URL."""
    return None if picture is None else "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()


def write_texts(contents: Mapping[Path, str], out: Path) -> None:
    """Write each file atomically, and create its folders.

    Raises:
        InputError: a file cannot be written; names `out`, the requested path.
    """
    try:
        for path, text in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, partial(Path.write_text, data=text, encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--out: {out} cannot be written: {error.strerror or error}", code="unreadable") from error

"""Runs side by side: one self-contained HTML page and two CSV tables beside it."""

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from raygan.errors import InputError
from raygan.report.curves import AXES, Run, common_metric, cost_of, hardest_common_target, read_runs
from raygan.report.page import COLOURS, GREY, chart, embedded, environment, last_picture, write_texts


@dataclass(frozen=True)
class Comparison:
    """What was written."""

    page: Path
    table: Path
    curves: Path
    text: str
    """The table for a terminal."""


def compare(folders: list[Path], out: Path, metric: str | None = None, target: float | None = None) -> Comparison:
    """Compare the runs in `folders` by `metric` (lower is better) and by what it took them to reach `target`.

    Without a target, it is the lowest value that every run has reached. `out` is the page; a line per run goes to
    `out` with the ending .csv, the curves to -curves.csv.

    Raises:
        InputError: a folder is no run or not evaluated, runs that do not compare, or `out` is no page that can be
            written.
    """
    if out.suffix != ".html":
        raise InputError(f"--out: {out} is to be a page; name it with the ending .html")
    runs = read_runs(folders)
    metric = common_metric(runs, metric)
    if target is not None and not target > 0:
        raise InputError(f"--target: {target} is not a value above 0 that {metric} could come down to")
    target = hardest_common_target(runs, metric) if target is None else target
    notes = _notes(runs, metric, target)
    table = summary(runs, metric, target)
    curves = pd.concat([run.curve.assign(run=run.name) for run in runs], ignore_index=True)
    page = (
        environment()
        .get_template("compare.html")
        .render(
            metric=metric,
            target=target,
            table=table.to_html(index=False, na_rep="not reached", float_format="{:.4g}".format, border=0, escape=True),
            charts=[_chart(runs, metric, axis, target) for axis in AXES],
            runs=[(run.name, embedded(last_picture(run.folder))) for run in runs],
            notes=notes,
            facts={"eval_samples": int(runs[0].curve["eval_samples"].iloc[-1])},
        )
    )
    done = Comparison(
        page=out,
        table=out.with_suffix(".csv"),
        curves=out.with_name(f"{out.stem}-curves.csv"),
        text="\n".join([table.to_string(index=False, na_rep="not reached", float_format="{:.4g}".format), *notes]),
    )
    contents = {
        done.page: page,
        done.table: table.to_csv(index=False),
        done.curves: curves.drop(columns=["phases_s"], errors="ignore").to_csv(index=False),
    }
    write_texts(contents, out)
    return done


def summary(runs: list[Run], metric: str, target: float) -> pd.DataFrame:
    """A row per run: what it was, how well it came out, and its cost of reaching `target` (none: not reached)."""
    rows = []
    for run in runs:
        cost = cost_of(run.curve, metric, target) or {}
        rows.append(
            {
                "run": run.name,
                "method": run.config.method,
                "schedule (of averaged)": run.config.schedule,
                "data": run.config.data.name,
                "partition": run.config.data.partition.name,
                "channel": run.config.channel.name,
                "devices": run.config.devices,
                "seed": run.config.seed,
                "rounds": int(run.curve["round"].iloc[-1]),
                f"last {metric}": float(run.curve[metric].iloc[-1]),
                f"best {metric}": float(run.curve[metric].min()),
                "rounds to target": cost.get("round", math.nan),
                "MB to target": cost.get("megabytes", math.nan),
                "simulated s to target": cost.get("sim_s", math.nan),
            }
        )
    return pd.DataFrame(rows)


def _notes(runs: list[Run], metric: str, target: float) -> list[str]:
    """What a reader of the comparison must know."""
    notes = []
    settings = {run.config.model_dump_json(include={"channel", "compute"}) for run in runs}
    if len(settings) > 1:
        notes.append(
            "The runs have different channels or computing speeds: their simulated seconds differ for that too."
        )
    stuck = [run.name for run in runs if float(run.curve[metric].iloc[0]) <= target]
    if stuck:
        notes.append(f"{', '.join(stuck)}: at the target before any training; give a lower --target.")
    return notes


def _chart(runs: list[Run], metric: str, axis: str, target: float) -> str:
    figure = go.Figure()
    for index, run in enumerate(runs):
        figure.add_scatter(
            x=run.curve[axis],
            y=run.curve[metric],
            name=run.name,
            mode="lines+markers",
            line={"color": COLOURS[index % len(COLOURS)]},
        )
    figure.add_hline(y=target, line_dash="dot", line_color=GREY, annotation_text="target", annotation_font_color=GREY)
    figure.update_xaxes(title=AXES[axis], rangemode="tozero")
    figure.update_yaxes(title=f"{metric} (log)", type="log")
    return chart(figure, f"by-{axis}")

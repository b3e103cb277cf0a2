"""A comparison of runs: one self-contained HTML page and two CSV tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path

import pandas as pd

from raygan.config.data import Gaussians
from raygan.errors import InputError
from raygan.measures import RAW
from raygan.record.log import Row
from raygan.report.comparison.settings import differing
from raygan.report.curves import RunCurve, common_metric, cost_of, hardest_common_target, read_runs
from raygan.report.frames import MOST_FRAMES, RunFrames, run_frames, slider
from raygan.report.page import COLOURS, environment, write_texts
from raygan.report.priced import Priced, notes_on_price
from raygan.report.quality import BESIDE, meanings, measure_of, measured_in, said
from raygan.report.quality_chart import CurveLine, quality_chart
from raygan.report.sweep.results import shown_value
from raygan.report.thinning import thinning_note
from raygan.report.yardstick import what_it_depends_on

_ALL_FRAMES = 120  # of all runs together, but ...
_FEWEST_FRAMES = 6  # ... of a run, however many there are
_DASHES = ("solid", "dash", "dot", "dashdot")  # of as many lines each as there are colours
_BELOW_ZERO = ("kd_clf", "kid")  # unbiased estimates of squared distances


@dataclass(frozen=True)
class Comparison:
    """The written files."""

    page: Path
    table: Path
    curves: Path
    text: str
    """The table for a terminal."""


def compare(
    folders: list[Path],
    out: Path,
    metric: str | None = None,
    target: float | None = None,
    anew: Sequence[Row] | None = None,
    prices: Sequence[Priced] | None = None,
) -> Comparison:
    """Compare the runs in `folders` by `metric` (lower is better) and by their cost of reaching `target`.

    The default target is the lowest value that every run has reached by training and none had before; there is none if
    some run only got worse. `out` is the page; a line per run goes to `out` with the ending .csv, the curves to
    -curves.csv. `anew` has new measurements of each run's last generator, with one classifier: the curves are then
    these points, and there is no target. `prices` has the costs of each run with other links or speeds: seconds, bytes
    and settings are then these.

    Raises:
        InputError: a folder is not an evaluated run, the runs are not comparable, or `out` cannot be written.
    """
    if out.suffix != ".html":
        raise InputError(f"--out: {out} is to be a page; name it with the ending .html", code="value")
    if anew is not None and target is not None:
        raise InputError(
            "--target: with --classifier only last generators are measured; leave one of them out", code="conflict"
        )
    runs = read_runs(folders, anew, prices)
    metric = common_metric(runs, metric)
    _check_target(target, metric)
    chosen = target is None and anew is None
    target = hardest_common_target(runs, metric) if chosen else target
    notes = notes_on_price(zip([run.name for run in runs], prices or [], strict=False)) + _notes(runs, metric, target)
    aim = _aim(target, chosen) if anew is None else "The last generators were measured anew; earlier ones are not kept."
    table = summary_table(runs, metric, target)
    alike, differ = _split(table)
    curves = pd.concat([run.curve.assign(run=run.name) for run in runs], ignore_index=True)
    most = min(MOST_FRAMES, max(_FEWEST_FRAMES, _ALL_FRAMES // len(runs)))
    frames = [drawn for run in runs if (drawn := _frames(run, metric, most))]
    differences = differing({run.name: run.config for run in runs})
    page = (
        environment()
        .get_template("compare.html")
        .render(
            metric=measure_of(metric).title,
            aim=aim,
            meanings=meanings([metric, *_beside(runs[0].curve)]),
            alike=alike,
            depends=what_it_depends_on([run.curve for run in runs], isinstance(runs[0].config.data, Gaussians)),
            table=_cells(differ),
            quality=_quality(runs, metric, target),
            evaluations_note=thinning_note(max(len(run.curve) for run in runs), "evaluations"),
            growth=slider(frames, {}),
            most_frames=most,
            count=len(runs),
            differences={
                "heads": ["key", *(run.name for run in runs)],
                "numeric": [False] * (len(runs) + 1),
                "rows": [[key, *values] for key, values in differences.items()],
            },
            notes=notes,
        )
    )
    done = Comparison(
        page=out,
        table=out.with_suffix(".csv"),
        curves=out.with_name(f"{out.stem}-curves.csv"),
        text="\n".join(
            [*alike, aim, differ.to_string(index=False, na_rep="not reached", float_format="{:.4g}".format), *notes]
        ),
    )
    if prices:
        words = " ".join(prices[0].words)
        table, curves = table.assign(price=words), curves.assign(price=words)
    contents = {
        done.page: page,
        done.table: table.to_csv(index=False),
        done.curves: curves.drop(columns=["phases_s"], errors="ignore").to_csv(index=False),
    }
    write_texts(contents, out)
    return done


def _aim(target: float | None, chosen: bool) -> str:
    """Returns a sentence about the target of the costs."""
    if target is None:
        return (
            "No costs of a target are given: not every run came below what all had before any training; name one "
            "with --target."
        )
    which = ", the lowest value that every run has reached by training" if chosen else ""
    return f"The target is {target:.4g}{which}; between two evaluations a curve is taken as straight."


def _check_target(target: float | None, metric: str) -> None:
    if target is None:
        return
    if metric.removesuffix(RAW) in _BELOW_ZERO:
        if not math.isfinite(target):
            raise InputError(
                f"--target: {target} is not a finite number that {metric} could come down to", code="value"
            )
    elif not target > 0:
        raise InputError(f"--target: {target} is not a value above 0 that {metric} could come down to", code="value")


def summary_table(runs: list[RunCurve], metric: str, target: float | None) -> pd.DataFrame:
    """Returns a row per run: its settings, its quality, and its cost of reaching `target` (empty: not reached).

    Round 0, the untrained generator, does not count as a best value. Without a target there are no cost columns.
    """
    rows = []
    for run in runs:
        on_modes = {"last high_quality": run.curve["high_quality"].iloc[-1]} if "high_quality" in run.curve else {}
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
                "eval_samples": int(run.curve["eval_samples"].iloc[-1]),
                f"last {metric}": float(run.curve[metric].iloc[-1]),
                f"best {metric}": float(run.trained(metric).min()),
                **on_modes,
                **({} if target is None else _costs(run, metric, target)),
            }
        )
    return pd.DataFrame(rows)


def _costs(run: RunCurve, metric: str, target: float) -> dict[str, float]:
    cost = cost_of(run.curve, metric, target) or {}
    titles = {"round": "rounds to target", "megabytes": "MB to target", "sim_s": "simulated s to target"}
    return {title: cost.get(axis, math.nan) for axis, title in titles.items()}


def _split(table: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """Split the summary of runs: a line of the settings that all share, if any, and a table of the rest."""
    settings = table.columns[1 : table.columns.get_loc("eval_samples") + 1]
    alike = [column for column in settings if table[column].nunique() == 1]
    said = ", ".join(f"{column} {shown_value(table[column].iloc[0])}" for column in alike)
    return [f"In all runs: {said}."] if alike else [], table.drop(columns=alike)


def _notes(runs: list[RunCurve], metric: str, target: float | None) -> list[str]:
    """Returns the notes for readers of the comparison."""
    notes = []
    settings = {run.config.model_dump_json(include={"channel", "compute"}) for run in runs}
    if len(settings) > 1:
        notes.append(
            "The runs have different channels or computing speeds: their simulated seconds differ for that too."
        )
    if target is not None and (stuck := [run.name for run in runs if float(run.curve[metric].iloc[0]) <= target]):
        notes.append(f"{', '.join(stuck)}: at the target before any training; give a lower --target.")
    worse = [run.name for run in runs if float(run.curve[metric].iloc[0]) < float(run.trained(metric).min())]
    if worse:
        notes.append(f"{', '.join(worse)}: the untrained generator (round 0) was better than any after it.")
    return notes


def _cells(table: pd.DataFrame) -> dict[str, object]:
    """Returns the summary for the page; missing costs belong to targets that were not reached."""
    return {
        "heads": list(table.columns),
        "numeric": [pd.api.types.is_numeric_dtype(table[column]) for column in table.columns],
        "rows": [
            ["not reached" if pd.isna(value) else shown_value(value) for value in row]
            for row in table.itertuples(index=False, name=None)
        ],
    }


def _quality(runs: list[RunCurve], metric: str, target: float | None) -> tuple[str, dict[str, object]]:
    """Returns curves of all measurements, `metric` first."""
    found = dict.fromkeys(name for run in runs for name in measured_in(run.curve))
    raw = [name + RAW for name in found if any(name + RAW in run.curve for run in runs)]
    looks = islice(cycle(product(_DASHES, COLOURS)), len(runs))
    lines = [CurveLine(run.name, colour, dash, run.curve, {}) for run, (dash, colour) in zip(runs, looks, strict=True)]
    goal = None if target is None else (metric, target)
    return quality_chart(lines, list(dict.fromkeys([metric, *found, *raw])), goal)


def _beside(curve: pd.DataFrame) -> list[str]:
    return [name for name in BESIDE if name in curve]


def _frames(run: RunCurve, metric: str, most: int) -> RunFrames | None:
    values = run.curve.set_index("round")
    names = [metric, *_beside(run.curve)]

    def cells(round: int) -> list[list[str]]:
        return [[f"{round:,}", *(said(values.at[round, name]) for name in names)]]

    heads = ["round", *(measure_of(name).title for name in names)]
    return run_frames(run.folder, run.curve["round"].tolist(), most, run.name, heads, cells)

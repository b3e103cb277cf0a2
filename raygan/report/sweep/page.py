"""A hyperparameter sweep as one self-contained HTML page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from raygan.errors import InputError
from raygan.measures import RAW
from raygan.record.folder import RunFolder
from raygan.report.curves import AXES, read_curve
from raygan.report.page import embedded, environment, write_texts
from raygan.report.sweep.charts import TrialPoints, learning_curves, parallel_coordinates, quality_against_time, slices
from raygan.report.sweep.results import SweepResults, found, rank_points, settings, shown_value
from raygan.report.sweep.scales import is_numeric
from raygan.report.yardstick import floor_of

__all__ = ["SweepResults", "write_sweep_page"]

_PICTURED = 5  # points
_WITH_FLOOR = ("fd_clf", f"fd_clf{RAW}")
_SCALE = (
    "The scale of a distance on the classifier's features is that of the classifier: it compares points of this sweep, "
    "and other runs that were measured with the same one."
)
_UNITS = {"sim_s": "simulated s", "megabytes": "MB", "wall_s": "wall s"}


def write_sweep_page(results: SweepResults, folder: Path, out: Path) -> None:
    """Write the page `out` of the sweep in `folder`.

    A trial with a damaged log is listed in the tables but not drawn in the charts; the page says so.

    Raises:
        InputError: `out` cannot be written.
    """
    runs = [RunFolder(folder / path) for path in results.table["run"]]
    points, notes, curves, floors = rank_points(results), [], [], set[float | None]()
    for run in runs:
        try:
            measured = read_curve(run)
            curves.append(_curve(measured, results.quality))
            floors |= {floor_of(measured)} if len(measured) else set()
        except InputError as error:
            curves.append(pd.DataFrame())
            notes.append(str(error))
    ranked = points[points["seeds"] > 0]
    values = pd.to_numeric(results.table[results.metric])
    drawable = replace(results, table=results.table.assign(**{results.metric: values.where(np.isfinite(values))}))
    best_point = None if ranked.empty else ranked.index[0]
    trials = TrialPoints(drawable, curves, best_point, _common(floors) if results.quality in _WITH_FLOOR else None)
    curves_chart, redraw = learning_curves(trials)
    valued = drawable.table[results.metric].notna().any()
    page = (
        environment()
        .get_template("sweep.html")
        .render(
            results=results,
            found=found(results, points),
            notes=notes,
            scale=_SCALE if results.quality.removesuffix(RAW).endswith("_clf") else None,
            points=_point_cells(results, points),
            trials=_cells(results.table),
            curves=curves_chart if any(len(curve) for curve in curves) else None,
            redraw=redraw,
            parallel=parallel_coordinates(trials) if valued and len(results.varied) > 1 else None,
            slices=slices(trials) if valued else [],
            pareto=quality_against_time(trials),
            pictures=_pictures(results, ranked, runs),
        )
    )
    write_texts({out: page}, out)


def _common(floors: set[float | None]) -> float | None:
    return next(iter(floors)) if len(floors) == 1 else None


def _curve(curve: pd.DataFrame, quality: str) -> pd.DataFrame:
    return curve.loc[np.isfinite(curve[quality]), [*AXES, quality]] if quality in curve else pd.DataFrame()


def _pictures(results: SweepResults, ranked: pd.DataFrame, runs: list[RunFolder]) -> list[dict[str, object]]:
    """Returns the last pictures of the best trials of the first points."""
    table = results.table.reset_index(drop=True)
    usable = table[table[results.metric].notna() & (table["status"] != "failed")]
    best = [usable[usable["point"] == point].iloc[0] for point in ranked.index[:_PICTURED]]
    return [
        {
            "source": embedded(picture),
            "trial": row["trial"],
            "value": shown_value(row[results.metric]),
            "settings": settings(row, results.varied),
        }
        for row in best
        if (picture := runs[row.name].newest_picture)
    ]


def _point_cells(results: SweepResults, points: pd.DataFrame) -> dict[str, object]:
    several = bool(results.table["point"].duplicated().any())
    table = points.reset_index()
    table.insert(0, "rank", range(1, len(table) + 1))
    columns = ["rank", "point", *results.varied, "mean", *["std", "seeds"] * several]
    names = {"mean": f"mean {results.metric}" if several else results.metric, "round": "rounds", **_UNITS}
    return _cells(table[[*columns, "round", "sim_s", "megabytes", "status"]], names)


def _cells(table: pd.DataFrame, names: dict[str, str] = _UNITS) -> dict[str, object]:
    """Returns a table for the page: its headers, which columns are numeric, and its rows of text."""
    return {
        "heads": [names.get(column, column) for column in table.columns],
        "numeric": [is_numeric(table[column]) for column in table.columns],
        "rows": [[shown_value(value) for value in row] for row in table.itertuples(index=False, name=None)],
    }

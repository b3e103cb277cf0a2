"""Learning curves of finished or running runs, and their cost of reaching a target."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from raygan.config import Config
from raygan.config.data import Gaussians, OwnData
from raygan.errors import InputError
from raygan.measures import LOWER, MEASURES
from raygan.record.folder import RunFolder
from raygan.record.log import Row
from raygan.record.settings import flatten
from raygan.report.priced import Priced

AXES = {"round": "rounds", "megabytes": "MB sent, up, down and between devices", "sim_s": "simulated seconds"}
"""The horizontal axes of curves: column and title."""
_SENT = ["bytes_up", "bytes_down", "bytes_swap"]
_SAME_YARDSTICK = ("eval_samples", "classifier", "reference_images")
_NUMBERS = ("round", "sim_s", *_SENT, "eval_samples", "reference_images", *MEASURES)


@dataclass(frozen=True)
class RunCurve:
    """A run in a comparison."""

    name: str
    folder: RunFolder
    config: Config
    curve: pd.DataFrame
    """A row per evaluation: round, megabytes and sim_s so far, and the measurements."""

    def trained(self, metric: str) -> pd.Series:
        """Returns the values of a metric after round 0, the untrained generator; with round 0 if there is no other."""
        after = self.curve.loc[self.curve["round"] > 0, metric].dropna()
        return after if len(after) else self.curve[metric]


def read_runs(
    folders: list[Path], anew: Sequence[Row] | None = None, prices: Sequence[Priced] | None = None
) -> list[RunCurve]:
    """Returns the runs in `folders`, named by the shortest ends of their paths that differ.

    `anew` has new measurements of each run's last generator; its curve is then that one point. `prices` has the costs
    of each run's rounds with other links or speeds; config, seconds and bytes are then these.

    Raises:
        InputError: not a run folder, nothing evaluated yet, or runs that were measured differently.
    """
    roots = [folder.resolve() for folder in folders]
    every: Sequence[Priced | None] = prices or [None] * len(roots)
    runs = [_read(root, name, price) for root, name, price in zip(roots, _names(roots), every, strict=True)]
    if anew is not None:
        points = zip(runs, every, anew, strict=True)
        runs = [replace(run, curve=_last_point(run, price, row)) for run, price, row in points]
    check_same_yardstick(runs)
    return runs


def _last_point(run: RunCurve, price: Priced | None, measured: Row) -> pd.DataFrame:
    """Returns the costs of a run's last round with the measurements after it."""
    rows = [{key: row.get(key) for key in ("round", "sim_s", *_SENT)} for row in _rows(run.folder, price)]
    return curve_of([*rows[:-1], rows[-1] | measured])


def check_same_yardstick(runs: list[RunCurve]) -> None:
    """Raise if runs were measured differently.

    Raises:
        InputError: runs, or parts of one run, with other sample counts or another classifier; or without
            one, and with other data.
    """
    for key in _SAME_YARDSTICK:
        values = [
            (run.name, value)
            for run in runs
            for value in (run.curve[key].map(_plain).unique() if key in run.curve else ["None"])
        ]
        first, mine = values[0]
        for name, other in values:
            if other != mine and name == first:
                raise InputError(
                    f"{name}: measured with {key} {mine}, and since it was resumed with {other}: its own distances do "
                    "not compare; a run that is to be compared keeps the settings it is measured with",
                    code="mismatch",
                )
            if other != mine:
                raise InputError(
                    f"{name}: measured with {key} {other}, but {first} with {mine}: their distances do not compare",
                    code="mismatch",
                )
    _check_same_data(runs)


def _check_same_data(runs: list[RunCurve]) -> None:
    """Raise if runs used different data: the hash of the content decides, or the settings if it is not recorded.

    A classifier trained on the data also decides, unless it was given (`eval.classifier`).
    """
    first, *others = runs
    trained_there = all("classifier" in run.curve and run.config.eval.classifier is None for run in runs)
    if trained_there:
        return
    mine = first.folder.data_digest()
    for run in others:
        theirs = run.folder.data_digest()
        if mine is None or theirs is None or _drawn_by_seed(first, run):
            _check_same_settings(first, run)
        elif theirs != mine:
            raise InputError(
                f"{run.name}: its data has the content hash {theirs}, but that of {first.name} {mine} (data.json): on "
                "different data, their distances do not compare",
                code="mismatch",
            )


def _drawn_by_seed(one: RunCurve, other: RunCurve) -> bool:
    """Returns whether two runs may have drawn different samples of one distribution; settings then identify it."""
    if all(isinstance(run.config.data, Gaussians) for run in (one, other)):
        return True
    own = all(isinstance(run.config.data, OwnData) for run in (one, other))
    return own and one.config.seed != other.config.seed


def _check_same_settings(first: RunCurve, run: RunCurve) -> None:
    mine, theirs = (flatten(one.config.data.model_dump(exclude={"partition"})) for one in (first, run))
    for key in {**mine, **theirs}:
        if theirs.get(key) != mine.get(key):
            raise InputError(
                f"{run.name}: has data.{key}={theirs.get(key)}, but {first.name} data.{key}={mine.get(key)}: on "
                "different data, their distances do not compare",
                code="mismatch",
            )


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _read(root: Path, name: str, price: Priced | None) -> RunCurve:
    folder = RunFolder(root)
    config = folder.read_config()
    curve = checked_curve(_rows(folder, price), folder)
    if curve.empty:
        raise InputError(f"{root}: has no evaluation yet (evaluations.jsonl)", code="empty")
    return RunCurve(name, folder, config if price is None else price.config, curve)


def _rows(folder: RunFolder, price: Priced | None) -> list[Row]:
    rows = folder.log.rows()
    return rows if price is None else price.over(rows)


def read_curve(folder: RunFolder) -> pd.DataFrame:
    """Returns the evaluations in a run folder, in the form of `curve_of`.

    Raises:
        InputError: a line of evaluations.jsonl is damaged.
    """
    return checked_curve(folder.log.rows(), folder)


def checked_curve(rows: list[Row], folder: RunFolder) -> pd.DataFrame:
    """Returns the evaluations in `rows`, read in `folder`, in the form of `curve_of`.

    Raises:
        InputError: a value that must be a number is not.
    """
    try:
        return curve_of(rows)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{folder.log.evaluations}: holds something other than numbers: {error}", code="damaged"
        ) from error


def curve_of(rows: list[Row]) -> pd.DataFrame:
    """Returns a row per evaluation, with the megabytes sent so far; an empty frame without evaluations.

    Raises:
        TypeError, ValueError, OverflowError: a value in `rows` that must be a number is not.
    """
    table = pd.DataFrame(rows)
    if "eval_samples" not in table:
        return pd.DataFrame()
    for column in table.columns.intersection(_NUMBERS):
        table[column] = pd.to_numeric(table[column])
    sent = table.reindex(columns=_SENT).fillna(0).cumsum()
    table["megabytes"] = sent.sum(axis=1) / 1e6
    return table[table["eval_samples"].notna()].reset_index(drop=True)


def _names(roots: list[Path]) -> list[str]:
    """Returns the last parts of the paths, as many as make them differ."""
    for length in range(1, max(len(root.parts) for root in roots)):
        names = ["/".join(root.parts[-length:]) for root in roots]
        if len(set(names)) == len(names):
            return names
    raise InputError(f"{roots[0]}: named twice", code="twice")


def common_metric(runs: list[RunCurve], asked: str | None) -> str:
    """Returns the metric to compare by: the requested one, or the first of `LOWER` that all runs have.

    Raises:
        InputError: a run lacks it.
    """
    known = [metric for metric in LOWER if all(metric in run.curve for run in runs)]
    if asked in known or (known and asked is None):
        return asked or known[0]
    wanted = f"{asked} (lower is better)" if asked else " or ".join(LOWER)
    raise InputError(
        f"--metric: not every run has measured {wanted}; all have: {', '.join(known) or 'none'}", code="unknown"
    )


def hardest_common_target(runs: list[RunCurve], metric: str) -> float | None:
    """Returns the lowest value that every run has reached by training.

    Returns None if some run had it before training (round 0), at a cost of no rounds, bytes or seconds.
    """
    target = max(float(run.trained(metric).min()) for run in runs)
    untrained = [run.curve.loc[run.curve["round"] == 0, metric].dropna() for run in runs]
    return None if any((values <= target).any() for values in untrained) else target


def cost_of(curve: pd.DataFrame, metric: str, target: float) -> dict[str, float] | None:
    """Returns the rounds, megabytes and simulated seconds until the metric first falls to `target`; None for never.

    The curve is interpolated linearly between evaluations.
    """
    values = curve[metric].to_numpy()
    reached = np.flatnonzero(values <= target)
    if len(reached) == 0:
        return None
    last, before = int(reached[0]), max(int(reached[0]) - 1, 0)
    part = (values[before] - target) / (values[before] - values[last]) if before < last else 0.0
    costs = curve[list(AXES)]
    crossing = costs.iloc[before] + part * (costs.iloc[last] - costs.iloc[before])
    return {axis: float(crossing[axis]) for axis in AXES}

"""The results of a sweep: its trials, and its points (combinations of settings) in ranked order."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy.stats import t as student_t
from scipy.stats import ttest_ind

STATUSES = {"finished": "finished", "stopped": "stopped early", "failed": "failed", "unfinished": "did not finish"}
"""States of a trial, and their wording in a sentence."""
_LISTED = 5
_LONG = 1e7  # integers below it are written out


@dataclass(frozen=True)
class SweepResults:
    """A sweep's trials and their ranking criterion."""

    table: pd.DataFrame
    """A row per trial, best first: rank, trial, point (which settings; trials of one point differ in the seed only),
    status (of `STATUSES`), the varied keys (empty where a key does not apply), round, the metric, "best " and the
    metric, the quality, sim_s, megabytes, wall_s, run (path below the sweep's folder) and error."""
    varied: list[str]
    """The varied keys' columns, without the seed."""
    metric: str
    """The ranking criterion of trials."""
    mode: str
    """"min" or "max": which values of the metric are better."""
    quality: str
    """The measure in learning curves; it differs from the metric if that is the cost of reaching a target."""
    target: float | None
    """The target of such a metric."""
    title: str
    question: str


def shown_value(value: Any) -> str:
    """Returns a value as a table or a chart shows it."""
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return "-"
    if pd.api.types.is_bool(value):
        return str(value).lower()
    return f"{value:.0f}" if value == round(value, 0) and abs(value) < _LONG else f"{value:.4g}"


def settings(row: pd.Series, varied: list[str]) -> list[str]:
    """Returns the settings that apply to a trial or point, as text."""
    return [f"{key} = {shown_value(row[key])}" for key in varied if pd.notna(row[key])]


def rank_points(results: SweepResults) -> pd.DataFrame:
    """Returns a row per point, best first, indexed by point: settings, mean and std of the metric, seeds, and costs.

    Failed trials are counted in `status` only. Points with a larger share of trials with a value come first: a target
    that half of the seeds miss is not a good target. Points whose trials all miss it are ranked by how near they came.
    `seeds` is the number of trials with a value.
    """
    table = results.table
    point, alive = table["point"], table[table["status"] != "failed"]
    values = pd.to_numeric(alive[results.metric]).groupby(alive["point"])
    cost = alive[["round", "sim_s", "megabytes"]].apply(pd.to_numeric).groupby(alive["point"]).mean()
    points = table.groupby(point).head(1).set_index("point")[results.varied]
    points = points.assign(mean=values.mean(), std=values.std(), seeds=values.count()).join(cost)
    points["seeds"] = points["seeds"].fillna(0).astype(int)
    points["status"] = (
        table["status"]
        .groupby(point)
        .agg(lambda found: ", ".join(f"{count} {status}" for status, count in found.value_counts().items()))
    )
    points["missing"] = (1 - values.count() / values.size()).round(9)
    points["quality"] = pd.to_numeric(alive[results.quality]).groupby(alive["point"]).mean()
    low = results.mode == "min"
    keys = {"missing": True, "mean": low, "quality": low}
    order = points.sort_values(list(keys), ascending=list(keys.values()), na_position="last", kind="stable")
    return order.drop(columns=["missing", "quality"])


def found(results: SweepResults, points: pd.DataFrame) -> str:
    """Returns the result of the sweep in one line."""
    metric, best = results.metric, points.iloc[0]
    counts = results.table["status"].value_counts()
    ends = ", ".join(f"{counts[status]} {said}" for status, said in STATUSES.items() if status in counts)
    trials = f"{len(results.table)} trial{'s' * (len(results.table) > 1)}: {ends}."
    if not best["seeds"]:
        return f"No trial has a value of {metric}. {trials}"
    spread = f" ± {best['std']:.2g} (mean ± std of {best['seeds']} seeds)" if best["seeds"] > 1 else ""
    where = f" of {len(points)}" if len(points) > 1 else ""
    which = ", ".join(settings(best, results.varied)) or "the only settings"
    said = [
        f"Best point{where}: {metric} {shown_value(best['mean'])}{spread} at {which}.",
        doubts(results, points),
        trials,
    ]
    return " ".join(filter(None, said))


def doubts(results: SweepResults, points: pd.DataFrame) -> str | None:
    """Returns a note if the seeds do not show that the best point is better than the second; None if they do.

    It uses the 95 % interval of Student's t over the differences of the two by seed, or Welch's over their trials if
    they have fewer than two seeds in common. One trial each shows nothing.
    """
    valued = points[points["seeds"] > 0]
    if len(valued) < 2:
        return None
    first, second = (_values(results, point) for point in valued.index[:2])
    paired = first.index.is_unique and second.index.is_unique  # otherwise a seed was run more than once
    common = first.index.intersection(second.index) if paired else first.index[:0]
    if len(common) > 1:
        difference = first[common] - second[common]
        half = difference.std() / len(common) ** 0.5 * student_t.ppf(0.975, len(common) - 1)
        count = len(common)
    elif min(len(first), len(second)) > 1:
        difference = pd.Series([first.mean() - second.mean()])
        interval = ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
        half, count = (interval.high - interval.low) / 2, min(len(first), len(second))
    else:
        return "Whether it is better than the next, one seed does not show."
    if abs(difference.mean()) > half:
        return None
    interval_said = f"95 % interval of the difference {difference.mean():+.3g} ± {half:.2g}"
    return f"Between it and the next, {count} seeds show no difference ({interval_said})."


def _values(results: SweepResults, point: object) -> pd.Series:
    """Returns the metric of a point's trials that did not fail, by seed; without seeds every point is run once."""
    table = results.table
    own = table[(table["point"] == point) & (table["status"] != "failed") & table[results.metric].notna()]
    values = pd.to_numeric(own[results.metric])
    return values.set_axis(own["seed"] if "seed" in own else [0] * len(values))


def summary(results: SweepResults) -> list[str]:
    """Returns a sweep in a few lines: its result, the first points, and why trials failed."""
    if results.table.empty:
        return ["No trial has begun."]
    points = rank_points(results)
    lines = [found(results, points)]
    for place, (_, point) in enumerate(points.head(_LISTED).iterrows(), 1):
        spread = f" ± {point['std']:.2g}" if point["seeds"] > 1 else ""
        lines.append(f"  {place}. {shown_value(point['mean'])}{spread}  {', '.join(settings(point, results.varied))}")
    failed = results.table[results.table["status"] == "failed"]
    return lines + [f"  trial {row['trial']} failed: {row['error']}" for _, row in failed.head(_LISTED).iterrows()]

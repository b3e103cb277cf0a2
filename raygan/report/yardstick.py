"""The yardstick of measurements: sample counts, classifier and data, which must be equal for a comparison."""

import math
from collections.abc import Sequence
from itertools import pairwise
from numbers import Real

import pandas as pd

from raygan.measures import YARDSTICK
from raygan.report.sweep.results import shown_value

_SAYS = {
    "eval_samples": "{} generated samples",
    "reference_images": "{} real {}",
    "compared_images": "{} of them where single samples are compared",
    "classifier": "classifier {}",
    "inception": "Inception weights {}",
    "eval_seed": "evaluation seed {}",
}
"""Fields of evaluations.jsonl, and their wording in a sentence."""


def what_it_depends_on(curves: Sequence[pd.DataFrame], points: bool) -> str:
    """Returns what the numbers of the last evaluations depend on, if equal in all `curves`; `points`: 2-D data."""
    values = {key: {_said_fact(curve.iloc[-1].get(key)) for curve in curves} for key in _SAYS}
    facts = {key: fact for key, found in values.items() if len(found) == 1 for fact in found if fact}
    if facts.get("compared_images") == facts.get("reference_images"):
        facts.pop("compared_images", None)  # all samples
    noun = ("point" if points else "image") + ("" if facts.get("reference_images") == "1" else "s")
    words = [sentence.format(facts[key], noun) for key, sentence in _SAYS.items() if key in facts]
    if len(values["eval_seed"]) > 1:
        words.append("each run's own evaluation seed")
    but = "but for the seed, which only draws the samples"
    measured = f"Measured with {', '.join(words)}; distances compare only where these are the same, {but}."
    return " ".join([measured, *_what_it_is_worth(curves)])


def floor_of(curve: pd.DataFrame) -> float | None:
    """Returns FD-clf of real images against other real ones from the last evaluation, or None if it is not recorded."""
    value = curve.iloc[-1].get("fd_clf_floor") if len(curve) else None
    return float(value) if isinstance(value, Real) and math.isfinite(value) else None


def _what_it_is_worth(curves: Sequence[pd.DataFrame]) -> list[str]:
    """Returns sentences about the classifier and the floor, if they are equal in all curves."""
    rows = [curve.iloc[-1] for curve in curves]
    said = []
    accuracies = {(row.get("classifier_accuracy"), row.get("classifier_held_out")) for row in rows}
    if len(accuracies) == 1:
        ((accuracy, held_out),) = accuracies
        if isinstance(accuracy, Real) and math.isfinite(accuracy):
            said.append(f"The classifier names {float(accuracy):.0%} of {held_out:,.0f} held-out images right.")
    floors = {(floor_of(curve), curve.iloc[-1].get("floor_images")) for curve in curves}
    if len(floors) == 1 and (floor := floor_of(curves[0])) is not None:
        images = curves[0].iloc[-1].get("floor_images")
        said.append(
            f"FD-clf of {images:,.0f} real images against the others is {shown_value(floor)}: the floor, which a "
            "generator as good as the data would come to."
        )
    weak = {row.get("yardstick") for row in rows} - {None}
    said += [f"{one}." for one in sorted(str(one) for one in weak if isinstance(one, str))]
    return said


def changes_on_the_way(curve: pd.DataFrame) -> str | None:
    """Returns which parts of the yardstick changed, and after which round; None if all evaluations used the same."""
    found = []
    for key in curve.columns.intersection(YARDSTICK, sort=False):
        known = curve.loc[curve[key].notna(), ["round", key]].itertuples(index=False, name=None)
        for (round, before), (_, after) in pairwise(known):
            if before != after:
                found.append(f"{key} changed after round {round:,} (from {_said_fact(before)} to {_said_fact(after)})")
    if not found:
        return None
    return (
        f"Not all was measured alike: {', '.join(found)}. The curves mix both; in the table, first and best are among "
        "the rounds that were measured as the last one was."
    )


def measured_alike(curve: pd.DataFrame, name: str) -> pd.DataFrame:
    """Returns the evaluations that have a value of a measurement and the same yardstick as the last of them.

    A fact that an evaluation does not record counts as unchanged.
    """
    known = curve[curve[name].notna()]
    alike = pd.Series(True, index=known.index)
    for key in known.columns.intersection(YARDSTICK):
        values = known[key].dropna()
        if len(values):
            alike &= known[key].isna() | (known[key] == values.iloc[-1])
    return known[alike]


def _said_fact(value: object) -> str:
    """Returns a count or a hash as text; empty without one."""
    if isinstance(value, str):
        return value
    return f"{float(value):,.0f}" if isinstance(value, Real) and value == value else ""

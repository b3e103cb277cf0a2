"""Names, directions and wording of measurements."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import pandas as pd

from raygan.measures import MEASURES, RAW
from raygan.report.sweep.results import shown_value


@dataclass(frozen=True)
class Measure:
    """The display name of a measurement, and its better direction."""

    title: str
    better: Literal["lower", "higher"] | None
    """None: unknown (custom metrics)."""


_TITLES = {
    "fd_clf": "FD-clf",
    "kd_clf": "KD-clf",
    "fid": "FID",
    "kid": "KID",
    "reverse_kl": "reverse KL of the modes (nats)",
    "sliced_wasserstein": "sliced Wasserstein distance",
    "high_quality": "share of points on a mode",
    "class_accuracy": "share of samples of the class asked for",
    "fd_clf_classes": "FD-clf by class",
}


BESIDE = ("classes_found", "modes_found", "high_quality")
"""Shown beside a distance, which alone may hide that classes or modes are missing, or that points are on no mode."""


def _title(name: str) -> str:
    plain = name.removesuffix("_clf").replace("_", " ")
    if plain in ("precision", "recall", "density", "coverage"):
        return f"{plain} ({'classifier' if name.endswith('_clf') else 'Inception'})"
    return _TITLES.get(name, plain)


_KNOWN = {
    name: Measure(_title(name), "lower" if better == "min" else "higher")
    for name, better in MEASURES.items()
    if not name.endswith(RAW)
}
"""All measures of raygan; the first that a run has stands for its quality."""
_NO_MEASURE = (
    *("round", "wall_s", "sim_s", "devices", "unreached", "late", "bytes_down", "bytes_up", "bytes_swap", "megabytes"),
    *("classifier_accuracy", "classifier_held_out", "fd_clf_floor", "floor_images"),
    *("d_loss", "g_loss", "eval_samples", "eval_seed", "reference_images", "compared_images"),
    *("staleness", "staleness_max", "epsilon"),
)


def measured_in(curve: pd.DataFrame) -> list[str]:
    """Returns the measures of the averaged generator in the evaluations, in raygan's order, custom ones last."""
    known = curve.dropna(axis=1, how="all").select_dtypes("number")  # a measurement may have no value in any evaluation
    numeric = known.columns.difference(_NO_MEASURE, sort=False)
    found = [name for name in numeric if name.removesuffix(RAW) == name or name.removesuffix(RAW) not in numeric]
    order = list(_KNOWN)
    return sorted(found, key=lambda name: order.index(name) if name in _KNOWN else len(order))


def first_measured(row: Mapping[str, Any]) -> str | None:
    """Returns the preferred measure of the averaged generator in one evaluation, or None."""
    names = measured_in(
        pd.DataFrame([{key: value for key, value in row.items() if not isinstance(value, list | dict)}])
    )
    return names[0] if names else None


def measure_of(name: str) -> Measure:
    """Returns the description of a measurement, also of the raw generator's."""
    averaged = name.removesuffix(RAW)
    known = _KNOWN.get(averaged, Measure(averaged, None))
    return Measure(f"{known.title}, raw generator", known.better) if averaged != name else known


def meanings(names: Iterable[str]) -> list[tuple[str, str]]:
    """Returns the meaning of each of these measurements in a sentence, without custom ones."""
    plain = {name: name.removesuffix(RAW).removesuffix("_clf") for name in names}
    return [(measure_of(name).title, _MEANINGS[of]) for name, of in plain.items() if of in _MEANINGS]


_CLASSIFIER = "on the features of a classifier trained on this data"
_MEANINGS = {
    "fd": f"Frechet distance of real and generated images {_CLASSIFIER}; 0 is best. It compares runs on one data set.",
    "kd": f"kernel distance {_CLASSIFIER}; about 0 is best.",
    "fid": "Frechet distance on Inception's features; 0 is best.",
    "kid": "kernel distance on Inception's features; about 0 is best.",
    "precision": "the part of the generated images that lie among the real ones.",
    "recall": "the part of the real images that lie among the generated ones.",
    "density": "how deep the generated images lie among the real ones; 1 is as the real ones themselves.",
    "coverage": "the part of the real images with a generated one near by.",
    "classes_found": "classes of which there are at least 0.3 of an equal share among the samples.",
    "class_accuracy": "the part of the samples that the classifier takes for the class that was asked for.",
    "fd_clf_classes": "FD-clf of the samples of each class, and the mean over classes.",
    "classifier_score": "clear classes, and all of them, are worth more; at most the number of classes.",
    "sliced_wasserstein": "distance of the pixels (or points) themselves, along random directions; 0 is best.",
    "modes_found": "modes of the mixture with a point within three standard deviations.",
    "high_quality": "the part of the points within three standard deviations of a mode.",
    "reverse_kl": "how far the modes' shares are from equal ones; 0 is best. Each point counts at its nearest mode, "
    "however far from it: read it with the share of points on a mode.",
}


def direction(name: str) -> str:
    """Returns the better direction in words; empty if it is unknown."""
    better = measure_of(name).better
    return f"{better} is better" if better else ""


def said(value: Any) -> str:
    """Returns a measured value as text; "-" without one."""
    return shown_value(value) if isinstance(value, Real) and not math.isnan(value) else "-"


def in_words(row: Mapping[str, Any], name: str, before: str = "") -> str:
    """Returns a measurement in a few words: the value of `name`, the text `before` after it, and measures beside it."""
    words = [f"{measure_of(name).title} {said(row.get(name))}{before}"]
    if isinstance(shares := row.get("class_shares"), list):
        words.append(f"{said(row.get('classes_found'))} of {len(shares)} classes found")
    if "modes_found" in row and name != "modes_found":
        words.append(f"{said(row['modes_found'])} modes found")
    if "high_quality" in row and name != "high_quality":
        words.append(f"{row['high_quality']:.0%} of points on a mode")
    return ", ".join(words)

"""What measurements are called, which way is better, and how they are said."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import pandas as pd

from raygan.report.sweep_results import shown

RAW = "_raw"
"""Behind a measurement's name: of the generator as it is, without the moving average."""


@dataclass(frozen=True)
class Measure:
    """A measurement, as people say it."""

    title: str
    better: Literal["lower", "higher"] | None
    """None: nobody knows (a user's own)."""


MEASURES = {
    "fd_clf": Measure("FD-clf", "lower"),
    "reverse_kl": Measure("reverse KL of the modes (nats)", "lower"),
    "fid": Measure("FID", "lower"),
    "kid_clf": Measure("KID-clf", "lower"),
    "kid": Measure("KID", "lower"),
    "sliced_wasserstein": Measure("sliced Wasserstein distance", "lower"),
    "classifier_score": Measure("classifier score", "higher"),
    "classes_found": Measure("classes found", "higher"),
    "modes_found": Measure("modes found", "higher"),
    "high_quality": Measure("share of points on a mode", "higher"),
    "precision_clf": Measure("precision (classifier)", "higher"),
    "recall_clf": Measure("recall (classifier)", "higher"),
    "density_clf": Measure("density (classifier)", "higher"),
    "coverage_clf": Measure("coverage (classifier)", "higher"),
    "precision": Measure("precision (Inception)", "higher"),
    "recall": Measure("recall (Inception)", "higher"),
    "density": Measure("density (Inception)", "higher"),
    "coverage": Measure("coverage (Inception)", "higher"),
}
"""All that raygan measures; the first that a run has stands for its quality."""
_NO_MEASURE = (
    *("round", "wall_s", "sim_s", "devices", "late", "bytes_down", "bytes_up", "bytes_swap", "megabytes"),
    *("d_loss", "g_loss", "eval_samples", "eval_seed", "reference_images", "compared_images"),
)


def measured(curve: pd.DataFrame) -> list[str]:
    """What the evaluations have measured of the averaged generator, in the order of `MEASURES`, a user's own last."""
    numeric = curve.select_dtypes("number").columns.difference(_NO_MEASURE, sort=False)
    found = [name for name in numeric if name.removesuffix(RAW) == name or name.removesuffix(RAW) not in numeric]
    order = list(MEASURES)
    return sorted(found, key=lambda name: order.index(name) if name in MEASURES else len(order))


def measure_of(name: str) -> Measure:
    """What a measurement is called; of the raw generator, too."""
    averaged = name.removesuffix(RAW)
    known = MEASURES.get(averaged, Measure(averaged, None))
    return Measure(f"{known.title}, raw generator", known.better) if averaged != name else known


def direction(name: str) -> str:
    """Which way is better, in words; nothing where nobody knows."""
    better = measure_of(name).better
    return f"{better} is better" if better else ""


def said(value: Any) -> str:
    """A measured value; "-" where there is none."""
    return shown(value) if isinstance(value, Real) and not math.isnan(value) else "-"


def in_words(row: Mapping[str, Any], name: str, before: str = "") -> str:
    """A measurement in a few words: `name`, with something to say `before` it was so, and how many classes or modes."""
    words = [f"{measure_of(name).title} {said(row.get(name))}{before}"]
    if isinstance(shares := row.get("class_shares"), list):
        words.append(f"{said(row.get('classes_found'))} of {len(shares)} classes found")
    if "modes_found" in row and name != "modes_found":
        words.append(f"{said(row['modes_found'])} modes found")
    return ", ".join(words)

"""Every metric against an independent implementation, on the same samples and features.

The samples are real digits against digits blurred and with noise, and two 2-D mixtures; the features and logits are
those of the digits' own classifier. "Difference" is relative to the independent value, absolute where that is below 1.
Of lists, the first number says how far ours is from the independent one, and the second is 0.
"""

import contextlib
import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import ot
import torch
from prdc import compute_prdc
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.stats import entropy
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch_fidelity import metric_fid, metric_isc, metric_kid

from raygan.config.data import Digits
from raygan.data import load_data
from raygan.metrics.classes import ClassShares
from raygan.metrics.classifier import scale, train_classifier
from raygan.metrics.frechet import Frechet
from raygan.metrics.kernel import Kernel
from raygan.metrics.manifold import NEIGHBOURS, Manifold
from raygan.metrics.modes import mode_coverage
from raygan.metrics.nearest import nearest_images
from raygan.metrics.score import Score
from raygan.metrics.sliced import DIRECTIONS, Sliced
from raygan.rng import Role, stream, torch_seeded


class Check(NamedTuple):
    """One line of the table in docs/metrics.md."""

    metric: str
    ours: float
    other: float
    by: str

    @property
    def difference(self) -> float:
        """Between the two."""
        return abs(self.ours - self.other) / max(abs(self.other), 1.0)

    @property
    def row(self) -> str:
        """In Markdown."""
        return f"| `{self.metric}` | {self.ours:.8g} | {self.other:.8g} | {self.difference:.1e} | {self.by} |"


def checks() -> Iterator[Check]:
    """All metrics."""
    digits = load_data(Digits(), seed=0)
    half = 890  # of 1,797, in ten equal parts
    order = stream(0, Role.DATA).permutation(len(digits))
    real, held = digits.images[order[:half]], digits.images[order[half : 2 * half]]
    classifier = train_classifier(digits.images, digits.labels, 10, 3).network
    noise = np.random.default_rng(0).standard_normal(held.shape) * 20
    spoiled = (gaussian_filter(held, (0, 0, 0.7, 0.7)) + noise).clip(0, 255).astype(np.uint8)
    x, y = classifier(scale(real)), classifier(scale(spoiled))
    yield from on_features(x, y)
    yield from on_logits(classifier.head(y))
    yield from on_samples(scale(real).flatten(1), scale(spoiled).flatten(1))
    yield from on_images(spoiled[:20], real)
    yield from on_mixtures()


def on_features(x: Tensor, y: Tensor) -> Iterator[Check]:
    """Frechet, kernel and manifold."""
    statistics = [metric_fid.fid_features_to_statistics(rows) for rows in (x, y)]
    other = metric_fid.fid_statistics_to_metric(*statistics, False)
    yield Check("fd", Frechet(x).measure(y)["fd"], float(next(iter(other.values()))), "torch-fidelity (scipy's sqrtm)")
    settings = {"kid_subsets": 1, "kid_subset_size": len(x), "rng_seed": 0, "verbose": False}
    other = metric_kid.kid_features_to_metric(x.double(), y.double(), **settings)
    yield Check("kd", Kernel(x).measure(y)["kd"], other[metric_kid.KEY_METRIC_KID_MEAN], "torch-fidelity")
    with contextlib.redirect_stdout(io.StringIO()):
        other = compute_prdc(x.double().numpy(), y.double().numpy(), NEIGHBOURS)
    for name, value in Manifold(x).measure(y).items():
        yield Check(name, value, float(other[name]), "prdc (by the authors of 2002.09797)")


def on_logits(logits: Tensor) -> Iterator[Check]:
    """The classifier score, and classes."""
    with torch_seeded(0, Role.EVALUATION):  # the ten parts are drawn at random; the same here
        drawn = logits[torch.randperm(len(logits))]
    other = metric_isc.isc_features_to_metric(drawn, splits=10, shuffle=False)[metric_isc.KEY_METRIC_ISC_MEAN]
    yield Check("classifier_score", Score(logits).measure(logits)["classifier_score"], other, "torch-fidelity")
    shares = np.bincount(logits.argmax(dim=1).numpy(), minlength=10) / len(logits)
    ours = ClassShares(logits).measure(logits)
    yield Check("classes_found", float(ours["classes_found"]), float((shares >= 0.03).sum()), "numpy")
    yield Check(
        "class_shares, largest error", float(abs(ours["class_shares"] - shares).max()), 0.0, "numpy (ours are rounded)"
    )


def on_samples(x: Tensor, y: Tensor) -> Iterator[Check]:
    """Sliced Wasserstein."""
    directions = stream(0, Role.EVALUATION, round=1).standard_normal((x.shape[1], DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    other = ot.sliced_wasserstein_distance(x.double().numpy(), y.double().numpy(), projections=directions, p=1)
    yield Check("sliced_wasserstein", Sliced(x).measure(y)["sliced_wasserstein"], float(other), "POT")


def on_images(generated: np.ndarray, real: np.ndarray) -> Iterator[Check]:
    """The nearest training images."""
    found = nearest_images(scale(generated), real, 3)
    rows = scale(real).flatten(1).double().numpy()
    search = NearestNeighbors().fit(rows)
    distances, indices = search.kneighbors(scale(generated).flatten(1).double().numpy(), 3)
    yield Check("nearest, mean distance", float(found.distances.mean()), float(distances[:, 0].mean()), "scikit-learn")
    yield Check("nearest, indices that differ", float((found.indices != indices).sum()), 0.0, "scikit-learn")
    some = np.linspace(0, len(real) - 1, 100).astype(np.int64)
    other = float(np.median(search.kneighbors(rows[some], 2)[0][:, 1]))
    yield Check("nearest, real to real", found.real_median, other, "scikit-learn")


def on_mixtures() -> Iterator[Check]:
    """Mode coverage of a mixture that lacks two of its modes."""
    random, centres = np.random.default_rng(0), np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)], float)
    points = centres[random.integers(0, 7, 3000)] + 0.1 * random.standard_normal((3000, 2))
    ours = mode_coverage(points, centres, std=0.05)
    distance, nearest = cKDTree(centres).query(points)
    near = distance <= 0.15
    yield Check("modes_found", ours.modes_found, float(len(set(nearest[near]))), "scipy's k-d tree")
    yield Check("high_quality", ours.high_quality, float(near.mean()), "scipy's k-d tree")
    share = np.bincount(nearest, minlength=9) / len(points)
    yield Check("reverse_kl", ours.reverse_kl, float(entropy(share, np.full(9, 1 / 9))), "scipy's entropy")

"""The evaluator: it measures a generator with the metrics of its data set, on a fixed number of samples."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from raygan.components import METRICS, build
from raygan.config.data import Gaussians
from raygan.config.tree import Config
from raygan.data.gaussians import centres
from raygan.data.images import ImageSet
from raygan.errors import InputError, RunError
from raygan.evaluation.checks import check_inception
from raygan.evaluation.custom_metrics import kind_of, measured_by
from raygan.evaluation.sampling import BATCH, drawn_classes, sample_batches
from raygan.measures import RAW, of_classifier, of_inception
from raygan.metrics.base import COMPARED, Metric, Rows
from raygan.metrics.classifier import Yardstick, load_yardstick, scale, train_classifier
from raygan.metrics.inception import SHA256, Inception
from raygan.metrics.modes import mode_coverage
from raygan.record.folder import CLASSIFIER
from raygan.rng import Role, stream
from raygan.round.compute import torch_device

if TYPE_CHECKING:
    from raygan.evaluation.by_class import ByClass

REFERENCE_IMAGES = 50_000
"""Maximum number of real images to compare with."""


@dataclass(frozen=True)
class _View:
    """A view of samples, such as features or pixels, and the metrics on it."""

    of: Rows
    """The kind of metrics that measure this view."""
    called: Callable[[str], str]
    """Maps a metric's name to the name of its values on this view."""


_SAMPLES = _View("samples", str)
_FEATURES = _View("features", of_classifier)
_LOGITS = _View("logits", str)
_INCEPTION = _View("features", of_inception)
Seen = dict[_View, Tensor]
"""Rows, one per sample."""


class Evaluator:
    """Measures the metrics `eval.metrics` of a generator against one data set, on the same latent points each time.

    Images are compared by features and logits of a classifier trained on the data set (if it has two classes or more),
    by Inception's features if its weights are configured, and by pixels. 2-D mixtures are compared by mode coverage and
    by coordinates.
    """

    def __init__(self, config: Config, images: ImageSet, kept: Path | None = None) -> None:
        """Read or train the classifier: `eval.classifier`, the one in the file `kept`, or the data set's own.

        Raises:
            InputError: the classifier or the Inception weights are not usable, or a custom metric cannot be built.
        """
        self._config = config
        self._mixture = config.data if isinstance(config.data, Gaussians) else None
        self.yardstick = _yardstick(config, images, kept) if needs_classifier(config, images) else None
        self._inception: Inception | None = None
        chosen = _reference(len(images))
        reference = images.images[chosen]
        self._compared = min(len(reference), config.eval.samples, COMPARED)
        self.about: dict[str, object] = {
            "eval_samples": config.eval.samples,
            "eval_seed": config.seed,
            "reference_images": len(reference),
            "compared_images": self._compared,
        }
        """The facts that values depend on: sample counts, the seed of the latent points, and the hashes of networks."""
        if self.yardstick is not None:
            self.about |= {
                "classifier": self.yardstick.digest,
                "classifier_accuracy": self.yardstick.accuracy,
                "classifier_held_out": self.yardstick.held_out,
                "yardstick": self.yardstick.weakness(len(images)),
            }
        if len(images.shape) == 3 and config.eval.inception_weights is not None:
            check_inception(config.eval.inception_weights)
            self._inception = Inception(config.eval.inception_weights, torch_device(config.eval.gpus))
            self.about["inception"] = SHA256[:16]
        real = self._look(real_batches(reference))
        if _FEATURES in real and "frechet" in config.eval.metrics:
            self.about |= _floor(real[_FEATURES], config.eval.samples)
        self._by_class = _by_class(config, real, images.labels[chosen])
        self._metrics = [(name, view, metric) for name in config.eval.metrics for view, metric in _build(name, real)]

    def _look(self, batches: Iterable[Tensor]) -> Seen:
        """Returns every view of the batches of samples."""
        seen: dict[_View, list[Tensor]] = {_SAMPLES: []}
        for batch in batches:
            if len(seen[_SAMPLES]) * BATCH < self._compared:
                seen[_SAMPLES].append(batch.flatten(1))
            if self.yardstick is not None:
                features = self.yardstick.network(batch)
                seen.setdefault(_FEATURES, []).append(features)
                seen.setdefault(_LOGITS, []).append(self.yardstick.network.head(features))
            if self._inception is not None:
                seen.setdefault(_INCEPTION, []).append(self._inception(batch))
        return {view: torch.cat(rows) for view, rows in seen.items()}

    def measure(self, generator: nn.Module) -> dict[str, object]:
        """Returns all metrics of a generator in evaluation mode on the CPU."""
        found: dict[str, object] = {}
        if self._mixture is not None:
            points = torch.cat(list(self.samples(generator))).numpy()
            found |= asdict(mode_coverage(points, centres(self._mixture), self._mixture.std))
        seen = self._look(self.samples(generator))
        for name, view, metric in self._metrics:
            found |= measured_by(name, metric, seen[view], view.called)
        if self._by_class is not None:
            found |= self._by_class.measure(seen[_FEATURES], seen[_LOGITS])
        return found

    def samples(self, generator: nn.Module) -> Iterator[Tensor]:
        """Returns batches of `eval.samples` samples in total.

        Raises:
            RunError: a sample is not finite: some metrics would crash on it, others would return meaningless numbers.
        """
        config = self._config
        for batch in sample_batches(generator, config.eval.samples, config.gan, config.seed):
            if not bool(batch.isfinite().all()):
                raise RunError(
                    "generator_optimizer.lr: the generator has diverged, its samples are not finite; try a smaller one",
                    code="not_finite",
                )
            yield batch

    def features(self, batches: Iterable[Tensor]) -> Tensor:
        """Returns the classifier's features of batches of images in [-1, 1], (N, d). There must be a classifier."""
        assert self.yardstick is not None
        return torch.cat([self.yardstick.network(batch) for batch in batches])


def as_row(averaged: Mapping[str, object], raw: Mapping[str, object]) -> dict[str, object]:
    """Returns a line of evaluations.jsonl for both generators; lists are kept for the averaged one only."""
    return {**averaged, **{f"{name}{RAW}": value for name, value in raw.items() if not isinstance(value, list)}}


def needs_classifier(config: Config, images: ImageSet) -> bool:
    """Returns whether any metric of this data set uses a classifier's features or logits."""
    kinds = (kind_of(name).of for name in config.eval.metrics)
    return len(images.shape) == 3 and len(images.classes) > 1 and any(of != "samples" for of in kinds)


def check_classifier(config: Config, images: ImageSet) -> None:
    """Raise InputError if `eval.classifier` does not fit the data, before anything is started."""
    if config.eval.classifier is not None and needs_classifier(config, images):
        _yardstick(config, images, None)


def _yardstick(config: Config, images: ImageSet, kept: Path | None) -> Yardstick:
    named = config.eval.classifier
    if named is None and (kept is None or not kept.is_file()):
        return train_classifier(images.images, images.labels, len(images.classes), config.eval.classifier_epochs)
    if named is None:
        assert kept is not None
        try:
            return load_yardstick(kept)
        except InputError as error:
            raise InputError(f"{error}; remove it to have one trained", code=error.code) from error
    path = named / CLASSIFIER if named.is_dir() else named
    try:
        found = load_yardstick(path)
    except InputError as error:
        raise InputError(
            f"eval.classifier: {error}; name a run folder or the {CLASSIFIER} in it", code=error.code
        ) from error
    theirs, ours = (found.network.channels, found.classes), (images.shape[0], len(images.classes))
    if theirs != ours:
        said = ["{} channels and {} classes".format(*one) for one in (theirs, ours)]
        raise InputError(
            f"eval.classifier: {path} is of images with {said[0]}, but the data has {said[1]}", code="mismatch"
        )
    return found


def _floor(features: Tensor, samples: int) -> dict[str, object]:
    """Returns FD-clf between real images, the value of a generator as good as the data, and the number of images.

    One part of the real images stands for the generated ones: as many as an evaluation generates, or half of the real
    ones if there are fewer. It is compared with the rest. `features` are in random order. Ours, after the floors that
    FID papers give.
    """
    from raygan.metrics.frechet import Frechet  # with torchmetrics, which drawing samples does without

    count = min(samples, len(features) // 2)
    if count < 2:
        return {"fd_clf_floor": None, "floor_images": count}
    held, rest = features[:count], features[count:]
    return {"fd_clf_floor": Frechet(rest).measure(held)["fd"], "floor_images": count}


def _build(name: str, real: Seen) -> Iterator[tuple[_View, Metric]]:
    """Build a metric, once for each view that it measures."""
    kind = kind_of(name)
    for view, rows in real.items():
        if view.of == kind.of:
            yield view, build(METRICS, name, "eval.metrics", kind, rows)


def real_batches(samples: np.ndarray) -> Iterator[Tensor]:
    """Returns real samples in a generator's range: images (N, C, H, W) uint8 scaled to [-1, 1], points unchanged."""
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        yield scale(batch) if batch.dtype == np.uint8 else torch.from_numpy(batch)


def _by_class(config: Config, real: Seen, labels: np.ndarray) -> "ByClass | None":
    """Returns the measurements by class, of a generator with a condition and data with a classifier."""
    asked = drawn_classes(config.gan, config.eval.samples, config.seed)
    if asked is None or _FEATURES not in real:
        return None
    from raygan.evaluation.by_class import ByClass  # with torchmetrics, likewise

    return ByClass(real[_FEATURES], labels, asked, config.gan.num_classes)


def _reference(samples: int) -> np.ndarray:
    """Returns the indices of the real samples to compare with, in random order."""
    return stream(0, Role.EVALUATION).permutation(samples)[:REFERENCE_IMAGES]

"""Measuring a generator: which metrics a data set has, and on how many samples."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from raygan.components import METRICS, build
from raygan.config.data import Gaussians
from raygan.config.tree import Config
from raygan.data.gaussians import centres
from raygan.data.images import ImageSet
from raygan.engine.checks import check_inception
from raygan.engine.compute import torch_device
from raygan.engine.own_metrics import kind_of, measured_by
from raygan.errors import RunError
from raygan.files import cache_folder
from raygan.measures import of_classifier, of_inception
from raygan.metrics.base import COMPARED, Metric, Rows
from raygan.metrics.classifier import Classifier, scale, train_classifier
from raygan.metrics.inception import SHA256, Inception
from raygan.metrics.modes import mode_coverage
from raygan.rng import Role, noise, stream

REFERENCE_IMAGES = 50_000
"""At most so many real images are compared with."""
_BATCH = 250


@dataclass(frozen=True)
class _View:
    """What one looks at of samples."""

    of: Rows
    """Metrics of this kind are given it."""
    called: Callable[[str], str]
    """What is measured there is called."""


_SAMPLES = _View("samples", str)
_FEATURES = _View("features", of_classifier)
_LOGITS = _View("logits", str)
_INCEPTION = _View("features", of_inception)
Seen = dict[_View, Tensor]
"""Rows, one per sample."""


class Evaluator:
    """The metrics `eval.metrics` of a generator against one data set, on the same latent points each time.

    Images: on features and logits of a classifier trained on the data set (if it has two classes or more), on
    Inception's features where its weights are named, and on pixels. 2-D mixtures: mode coverage, and on coordinates.
    """

    def __init__(self, config: Config, images: ImageSet) -> None:
        """Reads or trains the classifier.

        Raises:
            InputError: the Inception weights are not the ones, or a user's own metric cannot be built.
        """
        self._config = config
        self._mixture = config.data if isinstance(config.data, Gaussians) else None
        self.classifier: Classifier | None = None
        self._inception: Inception | None = None
        reference = _reference(images.images)
        self._compared = min(len(reference), config.eval.samples, COMPARED)
        self.about: dict[str, object] = {
            "eval_samples": config.eval.samples,
            "eval_seed": config.seed,
            "reference_images": len(reference),
            "compared_images": self._compared,
        }
        """What a measurement depends on: sample counts, the seed of the latent points, and the hashes of networks."""
        if len(images.shape) == 3:
            self._find_networks(images)
        real = self._look(real_batches(reference))
        self._metrics = [(name, view, metric) for name in config.eval.metrics for view, metric in _build(name, real)]

    def _find_networks(self, images: ImageSet) -> None:
        settings, classes = self._config.eval, len(images.classes)
        if classes > 1 and any(kind_of(name).of != "samples" for name in settings.metrics):
            self.classifier, self.about["classifier"] = train_classifier(
                images.images, images.labels, classes, settings.classifier_epochs, cache_folder("classifiers")
            )
        if settings.inception_weights is not None:
            check_inception(settings.inception_weights)
            self._inception = Inception(settings.inception_weights, torch_device(settings.gpus))
            self.about["inception"] = SHA256[:16]

    def _look(self, batches: Iterable[Tensor]) -> Seen:
        """What there is to compare of batches of samples."""
        seen: dict[_View, list[Tensor]] = {_SAMPLES: []}
        for batch in batches:
            if len(seen[_SAMPLES]) * _BATCH < self._compared:
                seen[_SAMPLES].append(batch.flatten(1))
            if self.classifier is not None:
                features = self.classifier(batch)
                seen.setdefault(_FEATURES, []).append(features)
                seen.setdefault(_LOGITS, []).append(self.classifier.head(features))
            if self._inception is not None:
                seen.setdefault(_INCEPTION, []).append(self._inception(batch))
        return {view: torch.cat(rows) for view, rows in seen.items()}

    def measure(self, generator: nn.Module) -> dict[str, object]:
        """All metrics of a generator in evaluation mode on the CPU."""
        found: dict[str, object] = {}
        if self._mixture is not None:
            points = torch.cat(list(self.samples(generator))).numpy()
            found |= asdict(mode_coverage(points, centres(self._mixture), self._mixture.std))
        seen = self._look(self.samples(generator))
        for name, view, metric in self._metrics:
            found |= measured_by(name, metric, seen[view], view.called)
        return found

    def samples(self, generator: nn.Module) -> Iterator[Tensor]:
        """Batches of `eval.samples` samples in all.

        Raises:
            RunError: one is not finite: some metrics would crash on it, others would give numbers that mean nothing.
        """
        config = self._config
        for batch in sample_batches(generator, config.eval.samples, config.gan.latent, config.seed):
            if not bool(batch.isfinite().all()):
                raise RunError(
                    "the generator has diverged: its samples are not finite; try a smaller generator_optimizer.lr"
                )
            yield batch

    def features(self, batches: Iterable[Tensor]) -> Tensor:
        """The classifier's, of batches of images in [-1, 1], (N, d); there must be one."""
        assert self.classifier is not None
        return torch.cat([self.classifier(batch) for batch in batches])


def _build(name: str, real: Seen) -> Iterator[tuple[_View, Metric]]:
    """A metric, once for each view that it is to be given."""
    kind = kind_of(name)
    for view, rows in real.items():
        if view.of == kind.of:
            yield view, build(METRICS, name, "eval.metrics", kind, rows)


def sample_batches(
    generator: Callable[[Tensor], Tensor], count: int, latent: int, seed: int, role: Role = Role.EVALUATION
) -> Iterator[Tensor]:
    """Samples of a generator from one fixed stream of latent points."""
    random = stream(seed, role)
    with torch.no_grad():
        for start in range(0, count, _BATCH):
            yield generator(noise(random, min(_BATCH, count - start), latent, torch.device("cpu")))


def real_batches(samples: np.ndarray) -> Iterator[Tensor]:
    """Real samples as a generator's: images (N, C, H, W) uint8 in [-1, 1], points as they are."""
    for start in range(0, len(samples), _BATCH):
        batch = samples[start : start + _BATCH]
        yield scale(batch) if batch.dtype == np.uint8 else torch.from_numpy(batch)


def _reference(samples: np.ndarray) -> np.ndarray:
    """Those that are compared with, in random order."""
    return samples[stream(0, Role.EVALUATION).permutation(len(samples))[:REFERENCE_IMAGES]]

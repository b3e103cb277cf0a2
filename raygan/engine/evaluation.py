"""Measuring a generator: which metrics a data set has, and on how many samples."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from raygan.config.tree import Config, Gaussians
from raygan.data.cache import cache_folder
from raygan.data.gaussians import centres
from raygan.data.images import ImageSet
from raygan.engine.compute import torch_device
from raygan.metrics.classifier import train_classifier
from raygan.metrics.frechet import ClassifierDistance, InceptionDistance
from raygan.metrics.modes import mode_coverage
from raygan.rng import Role, noise, stream

REFERENCE_IMAGES = 50_000
"""At most so many real images are compared with."""
FOUND = 0.3
"""A class counts as found when its share of the samples is at least this part of an equal share (ours)."""
_BATCH = 250


class Evaluator:
    """Metrics of a generator against one data set, on the same latent points each time.

    Images: `fd_clf`, `classes_found` and `class_shares` by a classifier trained on the data set (if it has
    two classes or more), and `fid` where Inception weights are named. 2-D mixtures: mode coverage.
    """

    def __init__(self, config: Config, images: ImageSet) -> None:
        self._config = config
        self._mixture = config.data if isinstance(config.data, Gaussians) else None
        self._device = torch_device(config.eval.gpus)
        self._classifier: ClassifierDistance | None = None
        self._inception: InceptionDistance | None = None
        self.about: dict[str, object] = {"samples": config.eval.samples}
        if len(images.shape) != 3:
            return
        reference = _reference(images.images)
        self.about["reference_images"] = len(reference)
        if len(images.classes) > 1:
            classifier, digest = train_classifier(
                images.images,
                images.labels,
                len(images.classes),
                config.eval.classifier_epochs,
                cache_folder("classifiers"),
            )
            self.about["classifier"] = digest
            self._classifier = ClassifierDistance(classifier, reference)
        if config.eval.inception_weights is not None:
            self._inception = InceptionDistance(config.eval.inception_weights, reference, self._device)

    def measure(self, generator: nn.Module) -> dict[str, object]:
        """All metrics of a generator in evaluation mode on the CPU."""
        metrics: dict[str, object] = {}
        if self._mixture is not None:
            points = torch.cat(list(self.samples(generator))).numpy()
            coverage = mode_coverage(points, centres(self._mixture), self._mixture.std)
            metrics |= {
                "modes_found": coverage.modes_found,
                "high_quality": coverage.high_quality,
                "reverse_kl": coverage.reverse_kl,
            }
        if self._classifier is not None:
            distance, shares = self._classifier.measure(self.samples(generator))
            metrics["fd_clf"] = distance
            metrics["classes_found"] = int((shares >= FOUND / len(shares)).sum())
            metrics["class_shares"] = [round(float(share), 4) for share in shares]
        if self._inception is not None:
            metrics["fid"] = self._inception.measure(self.samples(generator))
        return metrics

    def samples(self, generator: nn.Module) -> Iterator[Tensor]:
        """Batches of `eval.samples` samples in all."""
        return sample_batches(generator, self._config.eval.samples, self._config.gan.latent, self._config.seed)


def sample_batches(
    generator: nn.Module, count: int, latent: int, seed: int, role: Role = Role.EVALUATION
) -> Iterator[Tensor]:
    """Samples of a generator from one fixed stream of latent points."""
    random = stream(seed, role)
    with torch.no_grad():
        for start in range(0, count, _BATCH):
            yield generator(noise(random, min(_BATCH, count - start), latent, torch.device("cpu")))


def _reference(images: np.ndarray) -> np.ndarray:
    if len(images) <= REFERENCE_IMAGES:
        return images
    chosen = stream(0, Role.EVALUATION).choice(len(images), REFERENCE_IMAGES, replace=False)
    return images[np.sort(chosen)]

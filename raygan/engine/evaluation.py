"""Measuring a generator: which metrics a data set has, and on how many samples."""

import math
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from raygan.config.data import Gaussians
from raygan.config.tree import Config
from raygan.data.gaussians import centres
from raygan.data.images import ImageSet, load_data
from raygan.engine.checks import check_weights
from raygan.engine.compute import threads, torch_device
from raygan.engine.generator_file import Weights, load_generator
from raygan.errors import InputError
from raygan.files import cache_folder
from raygan.gan.batches import to_bytes
from raygan.metrics.classifier import train_classifier
from raygan.metrics.frechet import ClassifierDistance, InceptionDistance
from raygan.metrics.modes import mode_coverage
from raygan.report.grid import image_grid, save_picture, scatter
from raygan.rng import Role, noise, stream
from raygan.run_folder import RunFolder

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
        self.about: dict[str, object] = {"eval_samples": config.eval.samples}
        """What a measurement depends on: sample counts, and the hash of the classifier."""
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
            self._inception = self._load_inception(config.eval.inception_weights, reference)

    def _load_inception(self, weights: Path, reference: np.ndarray) -> InceptionDistance:
        try:
            return InceptionDistance(weights, reference, self._device)
        except (OSError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
            raise InputError(f"eval.inception_weights: {weights} holds no Inception weights: {error}") from error

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


def evaluate_run(config: Config, folder: Path, own: str | None) -> dict[str, object]:
    """Measure the generator in a run folder as `config.eval` says: averaged, raw, and what both depend on.

    Raises:
        InputError: the run has no generator yet, or one of another config, or the data is not there.
    """
    check_weights(config)
    path = RunFolder(folder).generator
    trained = {weights: load_generator(path, weights, own) for weights in ("ema", "raw")}
    images = load_data(config.data, config.seed)
    if (trained["ema"].gan, trained["ema"].shape) != (config.gan, images.shape):
        raise InputError(f"{folder}: gan or data in config.yaml are not those that {path.name} was trained with")
    with threads(1):
        evaluator = Evaluator(config, images)
        measured = {weights: evaluator.measure(one.network.module) for weights, one in trained.items()}
    return {"round": trained["ema"].round, **measured, **evaluator.about}


def draw_samples(config: Config, folder: Path, count: int, out: Path, weights: Weights, own: str | None) -> None:
    """Write a picture of `count` samples of the generator in a run folder.

    Raises:
        InputError: the run has no generator yet, or `out` cannot be written.
    """
    trained = load_generator(RunFolder(folder).generator, weights, own)
    batches = sample_batches(trained.network.module, count, trained.gan.latent, config.seed, Role.SAMPLES)
    try:
        save_picture(draw(torch.cat(list(batches)), columns=math.isqrt(count - 1) + 1), out)
    except OSError as error:
        raise InputError(f"--out: {out} cannot be written: {error.strerror or error}") from error


def draw(samples: Tensor, columns: int) -> Image.Image:
    """A grid of images in [-1, 1], (N, C, H, W), or a scatter of points, (N, 2)."""
    return image_grid(to_bytes(samples), columns) if samples.dim() == 4 else scatter(samples.numpy())

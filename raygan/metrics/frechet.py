"""FD-clf and FID: Frechet distances between features of real and of generated samples.

"FID" is only ever said of Inception features; the distance on the data set's own classifier is FD-clf.
Both grow as samples get fewer: compare only values at equal sample counts.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from raygan.metrics.classifier import Classifier, scale

_BATCH = 500


class ClassifierDistance:
    """FD-clf, and which classes the classifier sees, against one fixed set of real images."""

    def __init__(self, classifier: Classifier, real: np.ndarray) -> None:
        self._classifier = classifier
        self._distance = FrechetInceptionDistance(
            feature=classifier, reset_real_features=False, input_img_size=tuple(real.shape[1:])
        )
        for batch in _batches(real):
            self._distance.update(scale(batch), real=True)

    def measure(self, generated: Iterable[Tensor]) -> tuple[float, np.ndarray]:
        """FD-clf of batches of images in [-1, 1], and the share of each class among them, (classes,)."""
        counts = torch.zeros(self._classifier.head.out_features, dtype=torch.int64)
        self._distance.reset()
        for batch in generated:
            self._distance.update(batch, real=False)
            found = self._classifier.head(self._classifier(batch)).argmax(dim=1)
            counts += torch.bincount(found, minlength=len(counts))
        return float(self._distance.compute()), (counts / counts.sum()).numpy()


class InceptionDistance:
    """FID on the Inception weights in a file (as pytorch-fid publishes them) against fixed real images.

    About 3 images a second on a CPU core: meant for a GPU. The file is unpickled: use one you trust.
    """

    def __init__(self, weights: Path, real: np.ndarray, device: torch.device) -> None:
        self._device = device
        self._distance = FrechetInceptionDistance(
            reset_real_features=False,
            normalize=True,
            feature_extractor_weights_path=str(weights),
            antialias=False,
        ).to(device)
        for batch in _batches(real):
            self._distance.update(self._prepare(scale(batch)), real=True)

    def measure(self, generated: Iterable[Tensor]) -> float:
        """FID of batches of images in [-1, 1]."""
        self._distance.reset()
        for batch in generated:
            self._distance.update(self._prepare(batch), real=False)
        return float(self._distance.compute())

    def _prepare(self, images: Tensor) -> Tensor:
        grey_to_colour = images.expand(-1, 3, -1, -1)
        return grey_to_colour.add(1).div(2).clamp(0, 1).to(self._device)


def _batches(images: np.ndarray) -> Iterable[np.ndarray]:
    return (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))

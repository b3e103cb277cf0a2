"""Measurements of a class-conditional generator: whether its samples are of the class that was asked for."""

import numpy as np
import torch
from torch import Tensor

from raygan.metrics.frechet import Frechet


class ByClass:
    """Compares the generated samples of each class with the real ones, by the classifier of the data set.

    `class_accuracy` is the part of the samples that the classifier takes for the class that was asked for.
    `class_fd_clf` has FD-clf of each class, None for one with fewer than two samples or real images;
    `fd_clf_classes` is the mean (with Inception's features it is called intra-class FID). A class has fewer samples
    than all together, so its distance is larger.
    """

    def __init__(self, features: Tensor, labels: np.ndarray, asked: Tensor, classes: int) -> None:
        """Takes the classifier's features (N, d) of real images with their labels (N,), and the classes asked for."""
        of = torch.from_numpy(labels)
        self._real = [features[of == number] for number in range(classes)]
        self._asked = asked

    def measure(self, features: Tensor, logits: Tensor) -> dict[str, object]:
        """Returns the values for generated samples, one for each class that was asked for."""
        right = (logits.argmax(dim=1) == self._asked).float().mean()
        found = [_distance(real, features[self._asked == number]) for number, real in enumerate(self._real)]
        known = [distance for distance in found if distance is not None]
        mean = {"fd_clf_classes": sum(known) / len(known)} if known else {}
        return {"class_accuracy": float(right), **mean, "class_fd_clf": found}


def _distance(real: Tensor, generated: Tensor) -> float | None:
    return Frechet(real).measure(generated)["fd"] if min(len(real), len(generated)) > 1 else None

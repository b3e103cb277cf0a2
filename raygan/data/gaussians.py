"""A 2-D mixture of equal Gaussians on a ring or a grid, for exact tests of mode coverage."""

import numpy as np

from raygan.config.data import Gaussians
from raygan.data.images import ImageSet
from raygan.rng import Role, stream


def centres(data: Gaussians) -> np.ndarray:
    """Returns the means of the mixture, (modes, 2) float64: on the unit circle, or a square grid over [-1, 1]^2."""
    if data.layout == "ring":
        angle = 2 * np.pi * np.arange(data.modes) / data.modes
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    line = np.linspace(-1, 1, round(data.modes**0.5))
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


def load(data: Gaussians, seed: int) -> ImageSet:
    """Returns `data.samples` points drawn from the mixture; the label is the mode."""
    random = stream(seed, Role.DATA)
    labels = random.integers(data.modes, size=data.samples)
    points = centres(data)[labels] + data.std * random.standard_normal((data.samples, 2))
    return ImageSet(points.astype(np.float32), labels, tuple(str(mode) for mode in range(data.modes)))

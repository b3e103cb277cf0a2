"""The sliced Wasserstein distance between the samples themselves, without a feature network."""

import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from raygan.metrics.base import Metric
from raygan.rng import Role, stream

DIRECTIONS = 128


class Sliced(Metric):
    """`sliced_wasserstein`: the mean over 128 fixed random directions of the distance W1 along each, by scipy.

    It is in units of a pixel's value ([-1, 1]) or of a coordinate. (Bonneel et al., 2015; on plain pixels, without the
    pyramid of 1710.10196.)
    """

    of = "samples"

    def measure(self, generated: Tensor) -> dict[str, float]:
        """On equally many rows of each."""
        real, made = self.as_many(generated)
        directions = torch.from_numpy(stream(0, Role.EVALUATION, round=1).standard_normal((real.shape[1], DIRECTIONS)))
        directions /= directions.norm(dim=0)
        along = zip((real @ directions).T.numpy(), (made @ directions).T.numpy(), strict=True)
        return {"sliced_wasserstein": sum(float(wasserstein_distance(a, b)) for a, b in along) / DIRECTIONS}

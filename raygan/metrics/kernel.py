"""The kernel distance between features: the form of KID, and KID itself on Inception's features."""

import warnings

from torch import Tensor
from torchmetrics.image.kid import KernelInceptionDistance

from raygan.metrics.base import Metric
from raygan.metrics.frechet import Given
from raygan.rng import Role, torch_seeded


class Kernel(Metric):
    """`kd`: squared MMD with the kernel (x.y/d + 1)^3 (Binkowski et al., 1801.01401), by torchmetrics.

    It is unbiased, so it may be a little below zero, and its expectation does not depend on the number of samples. It
    is taken over one subset of all rows, while papers average over smaller ones: same expectation, less variance.
    """

    of = "features"

    def measure(self, generated: Tensor) -> dict[str, float]:
        """On equally many rows of each."""
        real, made = self.as_many(generated)
        with warnings.catch_warnings(), torch_seeded(0, Role.EVALUATION):
            warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save all")
            distance = KernelInceptionDistance(feature=Given(real.shape[1]), subsets=1, subset_size=len(real))
            distance.update(real, real=True)
            distance.update(made, real=False)
            return {"kd": float(distance.compute()[0])}

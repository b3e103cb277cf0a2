"""The Frechet distance between Gaussians fitted to features: FD-clf, and FID on Inception's."""

from dataclasses import dataclass

import torch
from torch import Tensor

from raygan.metrics.base import Metric

_AT_ONCE = 5000


class Frechet(Metric):
    """`fd` (Heusel et al., 1706.08500). It grows as the number of samples falls.

    It has the bits of torchmetrics, whose import would be most of the start of a process that measures only this.
    """

    of = "features"

    def __init__(self, real: Tensor) -> None:
        super().__init__(real)
        self._real = _Gaussian.of(real)

    def measure(self, generated: Tensor) -> dict[str, float]:
        """Needs two rows or more of each."""
        distance = self._real.distance(_Gaussian.of(generated))
        return {"fd": float(distance.to(generated.dtype))}


@dataclass(frozen=True)
class _Gaussian:
    """Its mean (d,) and covariance (d, d), float64."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "_Gaussian":
        """Fit to rows (N, d)."""
        count, width = rows.shape
        total = torch.zeros(width, dtype=torch.float64)
        products = torch.zeros(width, width, dtype=torch.float64)
        for some in rows.split(_AT_ONCE):
            total += some.double().sum(dim=0)
            products += some.double().t().mm(some.double())
        mean = total / count
        return cls(mean, (products - count * mean[:, None].mm(mean[None])) / (count - 1))

    def distance(self, other: "_Gaussian") -> Tensor:
        """Returns |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))."""
        apart = (self.mean - other.mean).square().sum()
        spread = self.covariance.trace() + other.covariance.trace()
        common: Tensor = torch.linalg.eigvals(self.covariance @ other.covariance).sqrt().real.sum()
        return apart + spread - 2 * common

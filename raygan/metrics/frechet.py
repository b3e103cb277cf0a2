"""The Frechet distance between Gaussians fitted to features: FD-clf, and FID on Inception's."""

from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from raygan.metrics.base import Metric

_AT_ONCE = 5000


class Frechet(Metric):
    """`fd` (Heusel et al., 1706.08500), by torchmetrics. It grows as the number of samples falls."""

    of = "features"

    def __init__(self, real: Tensor) -> None:
        super().__init__(real)
        self._distance = FrechetInceptionDistance(feature=Given(real.shape[1]), reset_real_features=False)
        for rows in real.split(_AT_ONCE):
            self._distance.update(rows, real=True)

    def measure(self, generated: Tensor) -> dict[str, float]:
        """Needs two rows or more of each."""
        self._distance.reset()
        for rows in generated.split(_AT_ONCE):
            self._distance.update(rows, real=False)
        return {"fd": float(self._distance.compute())}


class Given(nn.Module):
    """A stand-in for a network whose features (N, d) are computed already."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        """Returns the features unchanged."""
        return features

"""The classifier score: the Inception score's form, with the data set's own classifier."""

import warnings

from torch import Tensor
from torchmetrics.image.inception import InceptionScore

from raygan.metrics.base import Metric
from raygan.metrics.frechet import Given
from raygan.rng import Role, torch_seeded


class Score(Metric):
    """`classifier_score`: exp of the mean KL divergence of each sample's classes from all samples' (1606.03498).

    By torchmetrics, the mean over ten parts; between 1 and the number of classes, higher is better. Real samples do
    not enter: it says whether each sample is of a clear class and all classes are there, not whether it looks real.
    """

    of = "logits"

    def measure(self, generated: Tensor) -> dict[str, float]:
        """Of all rows."""
        with warnings.catch_warnings(), torch_seeded(0, Role.EVALUATION):
            warnings.filterwarnings("ignore", "Metric `InceptionScore` will save all")
            score = InceptionScore(feature=Given(generated.shape[1]))
            score.update(generated.double())
            return {"classifier_score": float(score.compute()[0])}

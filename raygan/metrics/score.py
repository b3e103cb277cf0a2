"""The classifier score: the form of the Inception score, with the data set's own classifier."""

import warnings

from torch import Tensor
from torchmetrics.image.inception import InceptionScore

from raygan.metrics.base import Metric
from raygan.metrics.frechet import Given
from raygan.rng import Role, torch_seeded


class Score(Metric):
    """`classifier_score`: exp of the mean KL divergence of each sample's classes from all samples' (1606.03498).

    Computed by torchmetrics as the mean over ten parts. It lies between 1 and the number of classes; higher is better.
    It does not use real samples: it says whether each sample has a clear class and all classes occur, not whether
    samples look real.
    """

    of = "logits"

    def measure(self, generated: Tensor) -> dict[str, float]:
        """Returns the score over all rows."""
        with warnings.catch_warnings(), torch_seeded(0, Role.EVALUATION):
            warnings.filterwarnings("ignore", "Metric `InceptionScore` will save all")
            score = InceptionScore(feature=Given(generated.shape[1]))
            score.update(generated.double())
            return {"classifier_score": float(score.compute()[0])}

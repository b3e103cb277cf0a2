"""The interface of a metric."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor

Rows = Literal["samples", "features", "logits"]
COMPARED = 2000
"""Maximum number of rows of either kind in pairwise comparisons, whose cost grows with its square."""


class Metric(ABC):
    """A comparison of generated samples with real ones; one object per set of real samples.

    `of` declares its input, one row per sample. `samples`: (N, D) float32, pixels in [-1, 1] or coordinates;
    `features`: (N, d) float32, of the data set's classifier, and of Inception if its weights are configured; `logits`:
    (N, classes) float32, of the classifier. There are at most `COMPARED` samples; features and logits are complete.
    """

    of: ClassVar[Rows]

    def __init__(self, real: Tensor) -> None:
        """`real`: rows of real samples, in random order."""
        self.real = real

    @abstractmethod
    def measure(self, generated: Tensor) -> Mapping[str, float | list[float]]:
        """Returns values by name. A list is recorded but not drawn as a curve."""

    def as_many(self, generated: Tensor) -> tuple[Tensor, Tensor]:
        """Returns equally many rows of real and of generated samples, float64, at most `COMPARED`."""
        count = min(len(self.real), len(generated), COMPARED)
        return self.real[:count].double(), generated[:count].double()

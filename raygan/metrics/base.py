"""What a metric is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor

Rows = Literal["samples", "features", "logits"]
COMPARED = 2000
"""At most so many rows of either kind where rows are compared with each other: that takes their number squared."""


class Metric(ABC):
    """A comparison of what a generator makes with real samples; one object per set of real samples.

    `of` says what it is given, one row per sample. `samples`: (N, D) float32, pixels in [-1, 1] or coordinates;
    `features`: (N, d) float32, of the data set's classifier, and of Inception where its weights are named; `logits`:
    (N, classes) float32, of the classifier. Samples are at most `COMPARED`, features and logits all there are.
    """

    of: ClassVar[Rows]

    def __init__(self, real: Tensor) -> None:
        """`real`: rows of real samples, in random order."""
        self.real = real

    @abstractmethod
    def measure(self, generated: Tensor) -> Mapping[str, float | list[float]]:
        """Values by name; a list is recorded and not drawn as a curve."""

    def as_many(self, generated: Tensor) -> tuple[Tensor, Tensor]:
        """Equally many rows of real and of generated samples, float64, at most `COMPARED`."""
        count = min(len(self.real), len(generated), COMPARED)
        return self.real[:count].double(), generated[:count].double()

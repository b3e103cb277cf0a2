"""What the server makes of a round's updates: their mean, or a value that a few bad ones cannot move far.

The bounds, for f bad updates of n, f < n/2 (from general knowledge: check the sources before you cite them):
`median` and `trimmed_mean` (with trim >= f) stay, value by value, between the smallest and the largest good update, and
at a squared distance from the good ones' mean of at most kappa times their mean squared distance from it, kappa =
4 (1 + f/(n-2f))^2 and 6 f/(n-2f) (1 + f/(n-2f)) (Allouah et al., arXiv 2302.01772, for trim = f). `clipped_mean` moves
by at most 2 c f/n when f updates of equal weight are replaced by any others, c the largest norm.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from raygan.config.aggregation import ClippedMean, TrimmedMean
from raygan.config.section import Section
from raygan.methods.exact_sum import ExactSum, check_vector

Settings = TypeVar("Settings", bound=Section)
Part = TypeVar("Part")


class Aggregator(ABC, Generic[Settings, Part]):
    """The updates of one slot of one round. In which order and where they are put together changes no bit.

    `size` is the length of an update; at most `devices` come in, with whole weights of at most `heaviest` in all.
    """

    def __init__(self, settings: Settings, size: int, devices: int, heaviest: int) -> None:
        self.settings = settings
        self.size = size

    @property
    @abstractmethod
    def weight(self) -> int:
        """The weights so far, together."""

    @abstractmethod
    def add(self, device: int, vector: np.ndarray, weight: int) -> None:
        """Take in a device's update.

        Raises:
            ValueError, FloatingPointError: it is no update of that size (`check_vector`), or weighs more than is left.
        """

    @abstractmethod
    def part(self) -> Part:
        """What has been taken in, to be sent to another aggregator of the same kind and bounds."""

    @abstractmethod
    def merge(self, part: Part) -> None:
        """Take in another aggregator's part; all of it or, if it is bad, nothing.

        Raises:
            ValueError, FloatingPointError: as for `add`.
        """

    @abstractmethod
    def result(self, reference: Callable[[], np.ndarray]) -> np.ndarray:
        """What the server goes on with, (size,) float32. `reference` gives the update of a device that did nothing."""


ExactPart = tuple[list[np.ndarray], int]


class WeightedMean(Aggregator[Section, ExactPart]):
    """The exact mean. Its part is as large for many updates as for one."""

    def __init__(self, settings: Section, size: int, devices: int, heaviest: int) -> None:
        super().__init__(settings, size, devices, heaviest)
        self._sum = ExactSum(size, devices, heaviest)

    @property
    def weight(self) -> int:
        """The weights so far."""
        return self._sum.weight

    def add(self, device: int, vector: np.ndarray, weight: int) -> None:
        """Add it to the sum."""
        self._sum.add(vector, weight)

    def part(self) -> ExactPart:
        """The sum's pieces and its weight."""
        return self._sum.pieces, self._sum.weight

    def merge(self, part: ExactPart) -> None:
        """Add the sums."""
        self._sum.merge(*part)

    def result(self, reference: Callable[[], np.ndarray]) -> np.ndarray:
        """The mean."""
        return self._sum.mean()


GatheredPart = dict[int, tuple[np.ndarray, int]]


class Gathering(Aggregator[Settings, GatheredPart]):
    """Keeps every update until all are in, as a robust rule must: K times the memory of one."""

    def __init__(self, settings: Settings, size: int, devices: int, heaviest: int) -> None:
        super().__init__(settings, size, devices, heaviest)
        self._updates: GatheredPart = {}

    @property
    def weight(self) -> int:
        """The weights so far."""
        return sum(weight for _, weight in self._updates.values())

    def add(self, device: int, vector: np.ndarray, weight: int) -> None:
        """Keep it."""
        check_vector(vector, self.size)
        self._updates[device] = (vector, weight)

    def part(self) -> GatheredPart:
        """All of them, by device."""
        return self._updates

    def merge(self, part: GatheredPart) -> None:
        """Keep them too."""
        for vector, _ in part.values():
            check_vector(vector, self.size)
        self._updates |= part

    def result(self, reference: Callable[[], np.ndarray]) -> np.ndarray:
        """The rule's, on the updates in the devices' order."""
        ordered = [self._updates[device] for device in sorted(self._updates)]
        vectors = np.stack([vector for vector, _ in ordered])
        return self.combine(vectors, [weight for _, weight in ordered], reference)

    @abstractmethod
    def combine(self, vectors: np.ndarray, weights: list[int], reference: Callable[[], np.ndarray]) -> np.ndarray:
        """From (n, size) float32 and n whole weights, n at least 1, to (size,) float32."""


class CoordinateMedian(Gathering[Section]):
    """Half of the devices may be bad."""

    def combine(self, vectors: np.ndarray, weights: list[int], reference: Callable[[], np.ndarray]) -> np.ndarray:
        """The median of each column; of an even number, halfway between the two in the middle."""
        median: np.ndarray = np.median(vectors.astype(np.float64), axis=0)
        return median.astype(np.float32)


class CoordinateTrimmedMean(Gathering[TrimmedMean]):
    """`trim` devices may be bad."""

    def combine(self, vectors: np.ndarray, weights: list[int], reference: Callable[[], np.ndarray]) -> np.ndarray:
        """The mean of what is left of each column."""
        trim = min(self.settings.trim, (len(vectors) - 1) // 2)
        kept = np.sort(vectors, axis=0)[trim : len(vectors) - trim]
        mean: np.ndarray = kept.mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)


class NormClippedMean(Gathering[ClippedMean]):
    """Bad devices move the result, but no further than the norm allows."""

    def combine(self, vectors: np.ndarray, weights: list[int], reference: Callable[[], np.ndarray]) -> np.ndarray:
        """The reference, moved by the mean of the clipped differences to it."""
        start = reference().astype(np.float64)
        moves = vectors - start
        norms = np.sqrt(np.square(moves).sum(axis=1))
        largest = self.settings.max_norm or float(np.median(norms))
        scales = np.minimum(1, largest / np.maximum(norms, np.finfo(np.float64).tiny))
        mean: np.ndarray = start + np.average(moves * scales[:, None], axis=0, weights=weights)
        return mean.astype(np.float32)

"""Aggregation of a round's updates: their mean, or a value that a few bad updates cannot move far.

The bounds, for f bad updates of n, f < n/2 (from general knowledge: check the sources before you cite them):
`median` and `trimmed_mean` (with trim >= f) stay, value by value, between the smallest and the largest good update, and
at a squared distance from the good ones' mean of at most kappa times their mean squared distance from it, kappa =
4 (1 + f/(n-2f))^2 and 6 f/(n-2f) (1 + f/(n-2f)) (Allouah et al., arXiv 2302.01772, for trim = f). `clipped_mean` with
a stated largest norm c moves by at most 2 c f/n when f updates of equal weight are replaced by any others; with the
median norm for c, the norm of what it moves by is at most the largest good one's.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Generic, TypeVar

import numpy as np
import torch

from raygan.config.aggregation import ClippedMean, TrimmedMean
from raygan.config.section import Section
from raygan.methods.exact_sum import ExactSum, OverweightError, Packed, as_piece, check_vector

SettingsType = TypeVar("SettingsType", bound=Section)
PartType = TypeVar("PartType")


class Aggregator(ABC, Generic[SettingsType, PartType]):
    """Aggregates the updates of one slot of one round. The order and the place of aggregation do not change a bit.

    `size` is the length of an update. At most `devices` updates come in, whose integer weights add up to at most
    `heaviest`.
    """

    adds_up: ClassVar[bool] = False
    """Whether a part is smaller than the updates in it, so that each node should send one part."""

    def __init__(self, settings: SettingsType, size: int, devices: int, heaviest: int) -> None:
        self.settings = settings
        self.size = size

    @property
    @abstractmethod
    def weight(self) -> int:
        """The total weight so far."""

    @abstractmethod
    def add(self, device: int, vector: np.ndarray, weight: int) -> None:
        """Add a device's update.

        Raises:
            ValueError, FloatingPointError: not an update of that size (`check_vector`), or more weight than is left.
        """

    @abstractmethod
    def part(self, far: bool) -> PartType:
        """Returns the updates added so far, to be sent to another aggregator of the same kind and bounds.

        `far`: it goes to another node, where bytes cost more than the work of packing them.
        """

    @abstractmethod
    def merge(self, part: PartType) -> None:
        """Add another aggregator's part as a whole, or nothing of it if it is bad.

        Raises:
            ValueError, FloatingPointError: as for `add`.
        """

    @abstractmethod
    def result(self, reference: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns the aggregate, (size,) float32. `reference` returns the update of a device that does no training."""


ExactPart = tuple[dict[int, np.ndarray | Packed], int]


class WeightedMean(Aggregator[Section, ExactPart]):
    """The exact weighted mean. A part has the same size for many updates as for one."""

    adds_up = True

    def __init__(self, settings: Section, size: int, devices: int, heaviest: int) -> None:
        super().__init__(settings, size, devices, heaviest)
        self._sum = ExactSum(size, devices, heaviest)

    def compute_on(self, device: torch.device) -> None:
        """Add up where a process computes."""
        self._sum.compute_on(device)

    @property
    def weight(self) -> int:
        """The weights so far."""
        return self._sum.weight

    def add(self, device: int, vector: np.ndarray, weight: int) -> None:
        """Add the update to the sum."""
        self._sum.add(vector, weight)

    def part(self, far: bool) -> ExactPart:
        """Returns the pieces of the sum, and its weight."""
        pieces = self._sum.pieces
        return {level: Packed.of(piece) if far else piece for level, piece in pieces.items()}, self._sum.weight

    def merge(self, part: ExactPart) -> None:
        """Add the sums."""
        pieces, weight = part
        self._sum.merge({level: as_piece(piece) for level, piece in pieces.items()}, weight)

    def result(self, reference: Callable[[], np.ndarray]) -> np.ndarray:
        """The mean."""
        return self._sum.mean()


GatheredPart = dict[int, tuple[np.ndarray, int]]
_BLOCK = 2**16  # columns processed together, to limit memory


class Gathering(Aggregator[SettingsType, GatheredPart]):
    """Keeps every update until all have arrived, as a robust rule must. It needs n times the memory of one update.

    A custom rule overrides `combine`. It receives the updates as a stacked copy, which needs as much memory again.
    """

    def __init__(self, settings: SettingsType, size: int, devices: int, heaviest: int) -> None:
        super().__init__(settings, size, devices, heaviest)
        self._heaviest = heaviest
        self._updates: GatheredPart = {}

    @property
    def weight(self) -> int:
        """The weights so far."""
        return sum(weight for _, weight in self._updates.values())

    def add(self, device: int, vector: np.ndarray, weight: int) -> None:
        """Keep the update."""
        self.merge({device: (vector, weight)})

    def part(self, far: bool) -> GatheredPart:
        """Returns all updates by device."""
        return self._updates

    def merge(self, part: GatheredPart) -> None:
        """Keep the updates of another aggregator."""
        for vector, _ in part.values():
            check_vector(vector, self.size)
        together = self.weight + sum(weight for _, weight in part.values())
        if together > self._heaviest:
            raise OverweightError(f"weights add up to {together}, but at most {self._heaviest} were announced")
        self._updates |= part

    def gathered(self) -> GatheredPart:
        """Returns all updates in the order of their devices."""
        return dict(sorted(self._updates.items()))

    def result(self, reference: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns the rule's result for the updates in the order of their devices."""
        vectors, weights = self._ordered()
        return self.combine(np.stack(vectors), weights, reference)

    def combine(self, vectors: np.ndarray, weights: list[int], reference: Callable[[], np.ndarray]) -> np.ndarray:
        """Combine n >= 1 updates, (n, size) float32, with n integer weights into (size,) float32."""
        raise NotImplementedError

    def _ordered(self) -> tuple[list[np.ndarray], list[int]]:
        ordered = self.gathered().values()
        return [vector for vector, _ in ordered], [weight for _, weight in ordered]

    def _blocks(self, vectors: list[np.ndarray]) -> Iterator[tuple[slice, np.ndarray]]:
        """Yields blocks of columns of the stacked updates, (n, up to _BLOCK), each after its slice."""
        for start in range(0, self.size, _BLOCK):
            columns = slice(start, start + _BLOCK)
            yield columns, np.stack([vector[columns] for vector in vectors])


def weighted_sum(vectors: Sequence[np.ndarray], shares: np.ndarray) -> np.ndarray:
    """Returns the sum of vectors (d,), each times its share, (d,) float32; added one after the other in float64.

    `shares` is (n,), or (n, b) with a share for each of b equal parts of a vector. An only share of 1 changes no bit.
    """
    parts = shares.shape[1] if shares.ndim == 2 else 1
    total = np.zeros((parts, len(vectors[0]) // parts))
    for vector, share in zip(vectors, shares.reshape(len(vectors), parts, 1), strict=True):
        total += share * vector.reshape(total.shape)
    return total.ravel().astype(np.float32)


class ValueByValue(Gathering[SettingsType]):
    """A rule that treats each coordinate independently."""

    def result(self, reference: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns the result, computed block by block."""
        vectors, _ = self._ordered()
        result = np.empty(self.size, np.float32)
        for columns, block in self._blocks(vectors):
            result[columns] = self.middle(block)
        return result

    @abstractmethod
    def middle(self, values: np.ndarray) -> np.ndarray:
        """Combine (n, m) float32 into (m,)."""


class CoordinateMedian(ValueByValue[Section]):
    """The coordinate-wise median. Half of the devices may be bad."""

    def middle(self, values: np.ndarray) -> np.ndarray:
        """Returns the median; for an even number, the mean of the middle two."""
        median: np.ndarray = np.median(values.astype(np.float64), axis=0)
        return median


class CoordinateTrimmedMean(ValueByValue[TrimmedMean]):
    """The coordinate-wise trimmed mean. `trim` devices may be bad."""

    def middle(self, values: np.ndarray) -> np.ndarray:
        """Returns the mean of the values that remain."""
        trim = min(self.settings.trim, (len(values) - 1) // 2)
        kept = np.sort(values, axis=0)[trim : len(values) - trim]
        mean: np.ndarray = kept.mean(axis=0, dtype=np.float64)
        return mean


class NormClippedMean(Gathering[ClippedMean]):
    """The mean of clipped updates. Bad devices move it no further than the norm allows."""

    def result(self, reference: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns the reference plus the mean of the clipped differences to it."""
        vectors, weights = self._ordered()
        start = reference()
        squares = np.zeros(len(vectors))
        for columns, block in self._blocks(vectors):
            squares += np.square(block - start[columns].astype(np.float64)).sum(axis=1)
        norms = np.sqrt(squares)
        largest = self.settings.max_norm or float(np.median(norms))
        scales = np.ones(len(vectors))
        np.divide(largest, norms, out=scales, where=norms > largest)  # elsewhere the quotient may overflow
        shares = scales * weights / sum(weights)
        result = np.empty(self.size, np.float32)
        for columns, block in self._blocks(vectors):
            middle = start[columns].astype(np.float64)
            result[columns] = middle + (shares[:, None] * (block - middle)).sum(axis=0)
        return result

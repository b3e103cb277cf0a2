"""Codecs that send k of P values: the largest, or random ones."""

import math
from fractions import Fraction

import numpy as np

from raygan.compression.bits import holder_of, pack, unpack, width_of
from raygan.compression.codec import Code, Codec
from raygan.config.compression import Kept, RandK, RandKChanges

_SEED_BITS = 64


def kept(settings: Kept, size: int) -> int:
    """Returns k of `size` values: as many as configured, or their share, rounded up."""
    if settings.count is None:
        return math.ceil(Fraction(str(settings.share)) * size)  # a product of floats may be just above a whole number
    return settings.count


class LargestValues(Codec[Kept]):
    """The k values of largest magnitude; of equal ones, those that come first. A code is their values and places.

    ||C(x) - x||^2 <= (1 - k/P) ||x||^2.
    """

    def __init__(self, settings: Kept, size: int) -> None:
        super().__init__(settings, size)
        self.kept = kept(settings, size)

    @property
    def exact(self) -> bool:
        """Always."""
        return True

    def encode(self, vector: np.ndarray, random: np.random.Generator) -> Code:
        """Values, (k,) float32, in the order of their places, and packed places."""
        places = _largest(np.abs(vector), self.kept)
        width = width_of(self.size)
        return vector[places], pack(places.astype(holder_of(width)), width)

    def decode(self, code: Code) -> np.ndarray:
        """The values in their places, and zeros."""
        values, places = code
        vector = np.zeros(self.size, np.float32)
        vector[unpack(places, len(values))] = values
        return vector

    def bits(self, value_bits: int) -> int:
        """k (q + ceil(log2 P)) for values of q bits."""
        return self.kept * (value_bits + width_of(self.size))


def _largest(magnitudes: np.ndarray, count: int) -> np.ndarray:
    """Returns the places of the `count` largest, in ascending order.

    Which of equal ones `np.argpartition` takes depends on the processor; the smallest value taken does not.
    """
    threshold = np.partition(magnitudes, len(magnitudes) - count)[len(magnitudes) - count]
    above = magnitudes > threshold
    (equal,) = np.nonzero(magnitudes == threshold)
    above[equal[: count - np.count_nonzero(above)]] = True
    return np.nonzero(above)[0]


class RandomValues(Codec[RandK | RandKChanges]):
    """k values in places that both ends draw from one seed. A code is their values and the seed.

    Without feedback they are sent P/k times as large, which is unbiased: E||C(x) - x||^2 = (P/k - 1) ||x||^2. With
    feedback they are sent as they are: E||C(x) - x||^2 = (1 - k/P) ||x||^2.
    """

    def __init__(self, settings: RandK | RandKChanges, size: int) -> None:
        super().__init__(settings, size)
        self.kept = kept(settings, size)
        self._scale = np.float32(1 if settings.feedback else size / self.kept)

    @property
    def unbiased(self) -> bool:
        """Whether values are scaled."""
        return not self.settings.feedback

    @property
    def exact(self) -> bool:
        """Whether they are not."""
        return self.settings.feedback

    def encode(self, vector: np.ndarray, random: np.random.Generator) -> Code:
        """Values, (k,) float32, and the seed, (1,) uint64."""
        seed = random.integers(2**_SEED_BITS, size=1, dtype=np.uint64)
        return vector[self._places(seed)] * self._scale, seed

    def decode(self, code: Code) -> np.ndarray:
        """The values in their places, and zeros."""
        values, seed = code
        vector = np.zeros(self.size, np.float32)
        vector[self._places(seed)] = values
        return vector

    def bits(self, value_bits: int) -> int:
        """q k + 64 for values of q bits."""
        return self.kept * value_bits + _SEED_BITS

    def _places(self, seed: np.ndarray) -> np.ndarray:
        drawn = np.random.Generator(np.random.PCG64(int(seed[0])))
        places: np.ndarray = drawn.choice(self.size, self.kept, replace=False, shuffle=False)
        return places

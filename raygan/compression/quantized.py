"""Codecs that send every value in a few bits: its sign, or a random level."""

import math

import numpy as np

from raygan.compression.bits import holder_of, pack, pack_signs, unpack, unpack_signs, width_of
from raygan.compression.codec import Code, Codec
from raygan.config.compression import Levels
from raygan.config.section import Section


class ScaledSign(Codec[Section]):
    """The sign of every value, and the mean magnitude: C(x) = (||x||_1 / P) sign(x), where 0 counts as positive.

    ||C(x) - x||^2 = (1 - delta) ||x||^2 with delta = ||x||_1^2 / (P ||x||_2^2) (Karimireddy et al., arXiv 1901.09847).
    """

    def encode(self, vector: np.ndarray, random: np.random.Generator) -> Code:
        """The mean magnitude, (1,) float32, and packed signs, set where negative."""
        mean = np.abs(vector).mean(dtype=np.float64)
        return np.full(1, mean, np.float32), pack_signs(vector)

    def decode(self, code: Code) -> np.ndarray:
        """The mean magnitude with the signs."""
        mean, signs = code
        vector: np.ndarray = mean * unpack_signs(signs, self.size)
        return vector

    def bits(self, value_bits: int) -> int:
        """q + P for a mean of q bits."""
        return value_bits + self.size


class RandomLevels(Codec[Levels]):
    """QSGD (Alistarh et al., arXiv 1610.02132): every value is rounded at random to one of s levels of the L2 norm.

    Q(x_i) = ||x||_2 sign(x_i) l_i / s, where l_i is s |x_i| / ||x||_2 rounded up with the probability of its fraction,
    else down. It is unbiased, and E||Q(x) - x||^2 <= min(P/s^2, sqrt(P)/s) ||x||^2. The lengths are fixed: the paper's
    Elias code, shorter for few levels, is left out.
    """

    def __init__(self, settings: Levels, size: int) -> None:
        super().__init__(settings, size)
        self._width = width_of(settings.levels + 1)  # 0 is one more than the levels

    @property
    def unbiased(self) -> bool:
        """Whatever the levels."""
        return True

    def encode(self, vector: np.ndarray, random: np.random.Generator) -> Code:
        """The norm, (1,) float32, packed signs, set where negative, and packed levels."""
        norm = float(np.float32(math.sqrt(np.square(vector, dtype=np.float64).sum())))  # as it is sent
        levels = np.zeros(self.size, holder_of(self._width))
        if norm:
            exact = np.multiply(vector, self.settings.levels / norm, dtype=np.float64)
            np.abs(exact, out=exact)  # at most s, but for rounding
            exact += random.random(self.size)
            np.minimum(exact, self.settings.levels, out=exact)
            np.copyto(levels, exact, casting="unsafe")  # rounds down
        return np.full(1, norm, np.float32), pack_signs(vector), pack(levels, self._width)

    def decode(self, code: Code) -> np.ndarray:
        """The levels of the norm with the signs."""
        norm, signs, levels = code
        step = float(norm[0]) / self.settings.levels
        sizes = (step * np.arange(self.settings.levels + 1)).astype(np.float32)
        vector: np.ndarray = sizes.take(unpack(levels, self.size))
        vector *= unpack_signs(signs, self.size)
        return vector

    def bits(self, value_bits: int) -> int:
        """q + P (1 + ceil(log2(s + 1))) for a norm of q bits."""
        return value_bits + self.size * (1 + self._width)

"""Fixed-point integers, which add up modulo 2^k without rounding."""

import numpy as np


class FixedPoint:
    """Signed integers of `bits` bits for values of at most `clip`: 0 is 0, and 2^(bits - 1) - 1 is `clip`."""

    def __init__(self, clip: float, bits: int, toward_zero: bool = False) -> None:
        """Rounds to the nearest integer, half to even; or `toward_zero`, so that no norm grows."""
        self.largest = 2 ** (bits - 1) - 1
        self.step = clip / self.largest
        """The value of 1."""
        self._round = np.trunc if toward_zero else np.rint

    def integers(self, values: np.ndarray) -> np.ndarray:
        """Returns (n,) int64 for (n,) float64. Values beyond `clip` become `clip`, with their sign."""
        scaled = values / self.step
        np.clip(scaled, -self.largest, self.largest, out=scaled)
        whole: np.ndarray = self._round(scaled, out=scaled).astype(np.int64)
        return whole

    def values(self, integers: np.ndarray) -> np.ndarray:
        """Returns (n,) float64 for integers, or a sum of them, (n,) int64."""
        values: np.ndarray = integers * self.step
        return values


def word_of(bits: int) -> type[np.unsignedinteger]:
    """Returns the type that integers modulo 2^bits are held in, up to 64; a sum that overflows it stays right."""
    return np.uint32 if bits <= 32 else np.uint64


def modular(integers: np.ndarray, bits: int) -> np.ndarray:
    """Returns integers modulo 2^bits, (n,) of `word_of`."""
    residues = integers.astype(word_of(bits))
    residues &= residues.dtype.type(2**bits - 1)
    return residues


def signed(residues: np.ndarray, bits: int) -> np.ndarray:
    """Returns the integers from -2^(bits - 1) to below 2^(bits - 1) that are congruent modulo 2^bits, (n,) int64."""
    unused = 8 * residues.itemsize - bits
    kind = residues.dtype.type
    whole: np.ndarray = (residues << kind(unused)).view(f"i{residues.itemsize}").astype(np.int64) >> unused
    return whole

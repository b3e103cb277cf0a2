"""An exact weighted sum of float32 vectors, which order and grouping cannot change.

Each term is cut into pieces on fixed grids of powers of two; float64 adds the pieces of one grid without
rounding. (The idea of error-free extraction: Rump, Ogita, Oishi, SIAM J. Sci. Comput. 31(1), 2008; its use
for reproducible sums: Demmel and Nguyen, ARITH 2013.) Partial sums made anywhere add up to the same bits,
and the mean of one vector is that vector.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from raygan.methods.row_sum import RowSum

LARGEST = 2.0**32
"""Magnitude from which a value is rejected: weights that large mean that training has diverged."""
_MANTISSA = 52  # float64's, one bit kept in hand for the carry of rounding to nearest


class OverweightError(ValueError):
    """The weights of a round add up to more than was announced, so no single update is at fault."""


def check_vector(vector: np.ndarray, size: int) -> float:
    """Refuse what cannot be an update of `size` values; returns the largest magnitude.

    Raises:
        ValueError: the wrong shape or type.
        FloatingPointError: a value that is not finite, or not below `LARGEST`.
    """
    if vector.shape != (size,) or vector.dtype != np.float32:
        raise ValueError(f"expected ({size},) float32, got {vector.shape} {vector.dtype}")
    largest = float(max(vector.max(initial=0), -vector.min(initial=0)))
    if not largest < LARGEST:  # also true of NaN
        raise FloatingPointError(f"it holds a value of magnitude {largest:.3g}")
    return largest


@dataclass(frozen=True, eq=False)
class Packed:
    """A piece packed for another node: integer multiples of a power of two, in 2, 4, 6 or 8 bytes each.

    A value is `high` * 2**32 + `low`, or `high` alone where there is no `low`, times 2**`exponent`.
    """

    exponent: int
    high: np.ndarray
    """(size,) int16 or int32."""
    low: np.ndarray | None
    """(size,) uint32."""

    @classmethod
    def of(cls, piece: np.ndarray) -> "Packed":
        """Pack a piece of `ExactSum.pieces`, (size,) float64: integers of 53 bits on some grid."""
        largest = float(np.abs(piece).max(initial=0))
        exponent = int(np.frexp(largest)[1]) - 53
        whole = (piece * 2.0**-exponent).astype(np.int64)
        ones = int(np.bitwise_or.reduce(whole))
        zeros = (ones & -ones).bit_length() - 1 if ones else 0
        whole >>= zeros
        bits = int(np.abs(whole).max(initial=0)).bit_length() + 1
        low = whole.astype(np.uint32) if bits > 32 else None  # the lower half
        high = whole >> 32 if bits > 32 else whole
        return cls(exponent + zeros, high.astype(np.int16 if 0 < bits % 32 <= 16 else np.int32), low)

    @property
    def nbytes(self) -> int:
        """Size of all values (bytes)."""
        return self.high.nbytes + (0 if self.low is None else self.low.nbytes)

    def piece(self) -> np.ndarray:
        """Returns the unpacked piece, (size,) float64, with the same bits as before."""
        whole = self.high.astype(np.float64)
        if self.low is not None:
            whole *= 2.0**32
            whole += self.low
        whole *= 2.0**self.exponent
        return whole


def as_piece(piece: np.ndarray | Packed) -> np.ndarray:
    """Returns a piece, (size,) float64, unpacked if necessary."""
    return piece.piece() if isinstance(piece, Packed) else piece


class ExactSum:
    """Sum of at most `terms` vectors of `size`, whose integer weights add up to at most `total_weight`.

    Both bounds determine the grids. Sums can only be merged if their bounds are equal.
    """

    def __init__(self, size: int, terms: int, total_weight: int) -> None:
        self.weight = 0
        self._size = size
        self._total_weight = total_weight
        self._top = int(total_weight).bit_length() + int(np.log2(LARGEST)) - _MANTISSA
        self._spacing = _MANTISSA - int(terms).bit_length()
        self._pieces: dict[int, np.ndarray] = {}
        self._rest = np.empty(size)
        self._piece = np.empty(size)
        self._rows: RowSum | None = None

    def compute_on(self, device: torch.device) -> None:
        """Compute from now on where a process computes: on a GPU many vectors at once. It changes no bit."""
        if device.type != "cpu":
            self._rows = RowSum(self._grids(), device)

    def add(self, vector: np.ndarray, weight: int) -> None:
        """Add `weight` times `vector`, a (size,) float32 array.

        Raises:
            ValueError, FloatingPointError: see `check_vector`.
            OverweightError: more weight than was announced.
        """
        largest = check_vector(vector, self._size) * weight
        self._weigh(weight)
        if self._rows is not None:
            self._rows.add(vector, weight)
            return
        rest, piece = self._rest, self._piece
        np.copyto(rest, vector)
        rest *= weight
        level = self._first_level(largest)
        while rest.any():
            grid = self._grid(level)
            np.add(rest, grid, out=piece)  # rounds to a multiple of the level's unit ...
            np.subtract(piece, grid, out=piece)
            np.subtract(rest, piece, out=rest)  # ... and this remainder is exact
            np.add(self._level(level), piece, out=self._level(level))
            level += 1

    def merge(self, pieces: Mapping[int, np.ndarray], weight: int) -> None:
        """Add the `pieces` and `weight` of another sum with the same bounds.

        Raises:
            ValueError: the pieces are not those of such a sum; nothing has been added.
            OverweightError: more weight than was announced.
        """
        if any(piece.shape != (self._size,) or not np.isfinite(piece).all() for piece in pieces.values()):
            raise ValueError(f"expected finite pieces of ({self._size},)")
        self._weigh(weight)
        self._add_pieces(pieces)

    @property
    def pieces(self) -> dict[int, np.ndarray]:
        """The current sum: float64 arrays of (size,) by level, 0 for the coarsest grid, without arrays of zeros."""
        if self._rows is not None:
            self._add_pieces(self._rows.pieces())
        return self._pieces

    def mean(self) -> np.ndarray:
        """Returns the weighted mean, (size,) float32.

        Raises:
            ZeroDivisionError: nothing has been added.
        """
        if self.weight == 0:
            raise ZeroDivisionError("the mean of no vectors")
        total = np.zeros(self._size)
        pieces = self.pieces
        for level in sorted(pieces, reverse=True):  # finest first: one vector's pieces add up without rounding
            total += pieces[level]
        return (total / self.weight).astype(np.float32)

    def _weigh(self, weight: int) -> None:
        together = self.weight + weight
        if together > self._total_weight:
            raise OverweightError(f"weights add up to {together}, but at most {self._total_weight} were announced")
        self.weight = together

    def _add_pieces(self, pieces: Mapping[int, np.ndarray]) -> None:
        for level, piece in pieces.items():
            np.add(self._level(level), piece, out=self._level(level))

    def _grids(self) -> list[float]:
        """Returns the grids of all levels that a float32 value can need: its last bit may stand for 2**-149."""
        last = -((-149 - self._top) // self._spacing)
        return [self._grid(level) for level in range(last + 1)]

    def _grid(self, level: int) -> float:
        """Returns what rounds a number to a multiple of a level's unit, added to it and subtracted again."""
        return 1.5 * 2.0**_MANTISSA * self._unit(level)

    def _unit(self, level: int) -> float:
        return 2.0 ** (self._top - level * self._spacing)

    def _first_level(self, largest: float) -> int:
        """Returns the coarsest level on which values up to `largest` do not all round to 0."""
        level = 0
        while 0 < largest < self._unit(level) / 2:
            level += 1
        return level

    def _level(self, level: int) -> np.ndarray:
        if level not in self._pieces:
            self._pieces[level] = np.zeros(self._size)
        return self._pieces[level]

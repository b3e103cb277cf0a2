"""An update's way up: its compressible values through a codec, the others as they are, and the memory of the errors.

With feedback (Karimireddy et al., arXiv 1901.09847) a device adds to its update what was left out of earlier ones:

    p = delta + e;  c = C(p) is sent;  e = p - c is remembered

so that all that was sent and the memory add up to all updates. What does not arrive stays in the memory: then e = p.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raygan.compression.codec import Code
from raygan.compression.way import Span, Way, put, size_of, spans_of, taken
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.rng import Role, stream


@dataclass(frozen=True)
class Compressible:
    """The values of a method's update that a codec may change."""

    spans: tuple[Span, ...]
    """Where they are, in ascending order."""
    adds_up: bool = True
    """Whether later rounds can make up for what one leaves out. If not, as for gradients with respect to images that
    are new in every round, only an unbiased codec without feedback fits."""

    @classmethod
    def of(cls, parameters: Sequence[slice]) -> "Compressible":
        """Returns differences of parameters in these places."""
        return cls(spans_of(parameters))

    @property
    def size(self) -> int:
        """The number of these values."""
        return size_of(self.spans)


@dataclass(frozen=True, eq=False)
class Encoded:
    """An update's vector as it travels."""

    code: Code
    rest: np.ndarray
    """The values that no codec may change, (n,) float32."""

    @property
    def nbytes(self) -> int:
        """Size of all arrays (bytes)."""
        return self.rest.nbytes + sum(array.nbytes for array in self.code)


class Uplink(Way):
    """The codec of a run's updates, for all who send and receive."""

    def __init__(self, config: Config, compressible: Compressible, update_size: int) -> None:
        """Builds the codec.

        Raises:
            InputError: it cannot be built, or does not fit the method.
        """
        settings = config.compression
        super().__init__(settings, "compression", compressible.spans)
        self.remembers = settings.feedback
        """Whether devices remember what the codec leaves out."""
        self._seed = config.seed
        self._size = update_size
        self._rest = _between(compressible.spans, update_size)
        if not compressible.adds_up and (self.remembers or not self._codec.unbiased):
            raise InputError(
                f"compression.name: {settings.name}{' with feedback' * self.remembers} leaves out what later rounds of "
                f"method={config.method} cannot make up for; take qsgd, or randk with compression.feedback=false",
                code="conflict",
            )

    def saved_bits(self, value_bits: int) -> int:
        """Returns how many bits fewer an update has than uncompressed, of `value_bits` a value (below 0 if more)."""
        return size_of(self.spans) * value_bits - self.bits(value_bits)

    @property
    def share(self) -> float:
        """The size of what travels, relative to an update of float32 values."""
        return 1 - self.saved_bits(32) / (32 * self._size)

    def due(self, vector: np.ndarray, memory: np.ndarray | None) -> np.ndarray:
        """Returns p: the compressible values of an update with what is remembered, in an array of its own."""
        due = taken(vector, self.spans)
        if memory is not None:
            due += memory
        return due

    def encode(self, due: np.ndarray, vector: np.ndarray, device: int, round: int) -> Encoded:
        """Returns what a device sends: the code of `due`, and what else is in the update's `vector`."""
        code = self.coded(due, stream(self._seed, Role.COMPRESSION, device, round))
        return Encoded(code, taken(vector, self._rest))

    def decode(self, encoded: Encoded) -> np.ndarray:
        """Returns the update's vector as it arrives, (update_size,) float32."""
        vector = np.empty(self._size, np.float32)
        put(vector, self.spans, self.decoded(encoded.code))
        put(vector, self._rest, encoded.rest)
        return vector

    def left_out(self, due: np.ndarray, arrived: np.ndarray) -> np.ndarray:
        """Returns e = p - c, the memory after an update's vector has arrived so."""
        memory: np.ndarray = due - taken(arrived, self.spans)
        return memory


def _between(spans: tuple[Span, ...], size: int) -> tuple[Span, ...]:
    """Returns what of `size` values is in no span."""
    starts, ends = [0, *(end for _, end in spans)], [*(start for start, _ in spans), size]
    return tuple((start, end) for start, end in zip(starts, ends, strict=True) if start < end)

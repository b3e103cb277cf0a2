"""An update's way up: its compressible values through a codec, the others as they are, and the memory of the errors.

With feedback (Karimireddy et al., arXiv 1901.09847) a device adds to its update what was left out of earlier ones:

    p = delta + e;  c = C(p) is sent;  e = p - c is remembered

so that all that was sent and the memory add up to all updates. What does not arrive stays in the memory: then e = p.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raygan.components import CODECS, build
from raygan.compression.codec import Code, Codec
from raygan.config.tree import Config
from raygan.errors import InputError, RunError
from raygan.rng import Role, stream

Span = tuple[int, int]
"""Where a part of a vector starts and where it ends."""


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
        return cls(tuple((place.start, place.stop) for place in parameters))

    @property
    def size(self) -> int:
        """The number of these values."""
        return sum(end - start for start, end in self.spans)


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


class Uplink:
    """The codec of a run, for all who send and receive."""

    def __init__(self, config: Config, compressible: Compressible, update_size: int) -> None:
        """Builds the codec.

        Raises:
            InputError: it cannot be built, or does not fit the method.
        """
        settings = config.compression
        self.remembers = settings.feedback
        """Whether devices remember what the codec leaves out."""
        self._name = settings.name
        self._seed = config.seed
        self._size = update_size
        self._spans = compressible.spans
        self._rest = _between(compressible.spans, update_size)
        about = settings, compressible.size
        self._codec: Codec[Any] = build(CODECS, settings.name, "compression.name", Codec, *about)  # type: ignore[type-abstract]
        if not compressible.adds_up and (self.remembers or not self._codec.unbiased):
            raise InputError(
                f"compression.name: {settings.name}{' with feedback' * self.remembers} leaves out what later rounds of "
                f"method={config.method} cannot make up for; take qsgd, or randk with compression.feedback=false",
                code="conflict",
            )

    def bits(self, value_bits: int) -> int:
        """Returns the bits of an update's compressible values, as the codec sends them."""
        bits = self._codec.bits(value_bits)
        if not isinstance(bits, int) or bits < 0:
            raise RunError(
                f"compression.name: {self._name} counts {bits!r} bits; a whole number is needed", code="result"
            )
        return bits

    def saved_bits(self, value_bits: int) -> int:
        """Returns how many fewer they are than uncompressed, of `value_bits` a value (below 0 if they are more)."""
        return sum(end - start for start, end in self._spans) * value_bits - self.bits(value_bits)

    @property
    def share(self) -> float:
        """The size of what travels, relative to an update of float32 values."""
        return 1 - self.saved_bits(32) / (32 * self._size)

    def due(self, vector: np.ndarray, memory: np.ndarray | None) -> np.ndarray:
        """Returns p: the compressible values of an update with what is remembered, in an array of its own."""
        due = _taken(vector, self._spans)
        if memory is not None:
            due += memory
        return due

    def encode(self, due: np.ndarray, vector: np.ndarray, device: int, round: int) -> Encoded:
        """Returns what a device sends: the code of `due`, and what else is in the update's `vector`."""
        code = self._codec.encode(due, stream(self._seed, Role.COMPRESSION, device, round))
        if not (isinstance(code, tuple) and all(isinstance(array, np.ndarray) for array in code)):
            raise self._wrong("encoded", code, "a tuple of arrays is needed")
        return Encoded(code, _taken(vector, self._rest))

    def decode(self, encoded: Encoded) -> np.ndarray:
        """Returns the update's vector as it arrives, (update_size,) float32."""
        vector, values = np.empty(self._size, np.float32), self._codec.decode(encoded.code)
        if not (isinstance(values, np.ndarray) and values.shape == (self._codec.size,) and values.dtype == np.float32):
            raise self._wrong("decoded", values, f"float32 ({self._codec.size},) is needed")
        _put(vector, self._spans, values)
        _put(vector, self._rest, encoded.rest)
        return vector

    def left_out(self, due: np.ndarray, arrived: np.ndarray) -> np.ndarray:
        """Returns e = p - c, the memory after an update's vector has arrived so."""
        memory: np.ndarray = due - _taken(arrived, self._spans)
        return memory

    def _wrong(self, what: str, made: object, needed: str) -> RunError:
        kind = f"{made.dtype} {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
        return RunError(f"compression.name: {self._name} {what} an update to {kind}; {needed}", code="result")


def _between(spans: tuple[Span, ...], size: int) -> tuple[Span, ...]:
    """Returns what of `size` values is in no span."""
    starts, ends = [0, *(end for _, end in spans)], [*(start for start, _ in spans), size]
    return tuple((start, end) for start, end in zip(starts, ends, strict=True) if start < end)


def _taken(vector: np.ndarray, spans: tuple[Span, ...]) -> np.ndarray:
    return np.concatenate([vector[:0], *(vector[start:end] for start, end in spans)])


def _put(vector: np.ndarray, spans: tuple[Span, ...], values: np.ndarray) -> None:
    for start, end in spans:
        vector[start:end], values = values[: end - start], values[end - start :]

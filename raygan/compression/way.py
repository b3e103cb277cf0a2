"""A vector's way through a codec, whichever direction it takes: a part of its values, and checks of a custom codec."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from raygan.components import CODECS, build
from raygan.compression.codec import Code, Codec
from raygan.config.compression import Kept
from raygan.config.section import Section
from raygan.errors import InputError, RunError

Span = tuple[int, int]
"""Where a part of a vector starts and where it ends."""


def spans_of(places: Sequence[slice]) -> tuple[Span, ...]:
    """Returns where these parts start and end."""
    return tuple((place.start, place.stop) for place in places)


def size_of(spans: tuple[Span, ...]) -> int:
    """Returns the number of values in them."""
    return sum(end - start for start, end in spans)


class Way:
    """The codec of one direction, and the values that it may change."""

    def __init__(self, settings: Any, key: str, spans: tuple[Span, ...]) -> None:
        """Builds the codec of `settings`, the section at `key`, for the values in `spans`, in ascending order.

        Raises:
            InputError: it cannot be built.
        """
        self.spans = spans
        self._key = f"{key}.name"
        self._name = settings.name
        self._codec = codec_of(settings, key, size_of(spans))

    def bits(self, value_bits: int) -> int:
        """Returns the bits of a code, whose real numbers have `value_bits` each."""
        bits = self._codec.bits(value_bits)
        if not isinstance(bits, int) or bits < 0:
            raise RunError(f"{self._key}: {self._name} counts {bits!r} bits; a whole number is needed", code="result")
        return bits

    def coded(self, vector: np.ndarray, random: np.random.Generator) -> Code:
        """Returns the code of the values in the spans, (n,) float32."""
        code = self._codec.encode(vector, random)
        if not (isinstance(code, tuple) and all(isinstance(array, np.ndarray) for array in code)):
            raise self._wrong("encoded", code, "a tuple of arrays is needed")
        return code

    def decoded(self, code: Code) -> np.ndarray:
        """Returns the values that a code stands for, (n,) float32."""
        values, size = self._codec.decode(code), self._codec.size
        if not (isinstance(values, np.ndarray) and values.shape == (size,) and values.dtype == np.float32):
            raise self._wrong("decoded", values, f"float32 ({size},) is needed")
        return values

    def _wrong(self, what: str, made: object, needed: str) -> RunError:
        kind = f"{made.dtype} {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
        return RunError(f"{self._key}: {self._name} {what} a vector to {kind}; {needed}", code="result")


def codec_of(settings: Section, key: str, size: int) -> Codec[Any]:
    """Returns the codec of the section at `key`, for vectors of `size` values.

    Raises:
        InputError: it cannot be built, or is to send more values than there are.
    """
    if isinstance(settings, Kept) and settings.count is not None and settings.count > size:
        raise InputError(f"{key}.count: {settings.count} is more than the {size} values that there are", code="few")
    name: str = settings.name  # type: ignore[attr-defined]
    codec: Codec[Any] = build(CODECS, name, f"{key}.name", Codec, settings, size)  # type: ignore[type-abstract]
    return codec


def taken(vector: np.ndarray, spans: tuple[Span, ...]) -> np.ndarray:
    """Returns the values in these parts, one part after the other, in an array of its own."""
    return np.concatenate([vector[:0], *(vector[start:end] for start, end in spans)])


def put(vector: np.ndarray, spans: tuple[Span, ...], values: np.ndarray) -> None:
    """Write values into these parts, likewise."""
    for start, end in spans:
        vector[start:end], values = values[: end - start], values[end - start :]

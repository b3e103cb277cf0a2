"""The interface of a codec: a vector to arrays that are sent, and back."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import numpy as np

from raygan.config.section import Section

SettingsType = TypeVar("SettingsType", bound=Section)

Code = tuple[np.ndarray, ...]
"""What is sent for a vector: arrays whose bytes together are the codec's bits, but for the filling of last bytes."""


class Codec(ABC, Generic[SettingsType]):
    """Encodes vectors of `size` >= 1 float32 values, all finite and below 2**32 in magnitude.

    What `decode` returns depends on the code alone. What `encode` draws comes from the stream that it is given.
    """

    def __init__(self, settings: SettingsType, size: int) -> None:
        self.settings = settings
        self.size = size

    @property
    def unbiased(self) -> bool:
        """Whether the mean of what is decoded, over what `encode` draws, is the vector."""
        return False

    @property
    def exact(self) -> bool:
        """Whether a value is either decoded as it is, or left out as 0."""
        return False

    @abstractmethod
    def encode(self, vector: np.ndarray, random: np.random.Generator) -> Code:
        """Returns the code of a vector, (size,) float32, which is left unchanged."""

    @abstractmethod
    def decode(self, code: Code) -> np.ndarray:
        """Returns the vector that a code stands for, (size,) float32."""

    @abstractmethod
    def bits(self, value_bits: int) -> int:
        """Returns the bits of a code whose real numbers have `value_bits` each."""


class Identity(Codec[Section]):
    """Sends the vector as it is."""

    @property
    def unbiased(self) -> bool:
        """Nothing is left out."""
        return True

    @property
    def exact(self) -> bool:
        """Likewise."""
        return True

    def encode(self, vector: np.ndarray, random: np.random.Generator) -> Code:
        """The vector."""
        return (vector,)

    def decode(self, code: Code) -> np.ndarray:
        """The vector."""
        return code[0]

    def bits(self, value_bits: int) -> int:
        """All values."""
        return self.size * value_bits

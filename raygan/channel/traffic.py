"""The traffic of a method in a round, as the literature counts it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Coded:
    """A model that goes down as codes of its changes."""

    values: int
    """Its values, which are among those of `Traffic.down`."""
    bits: int
    """Bits of a code."""


@dataclass(frozen=True)
class Traffic:
    """Values per device that takes part in a round; buffers and scalars are not counted."""

    down: int
    up: int
    broadcast: bool
    """Whether the same content goes down to every device, so that it is transmitted once."""
    swap: int = 0
    """Values a device sends to its partner in a round that ends with an exchange."""
    down_bits: int = 0
    """Bits besides, of what is no value: the classes of images."""
    up_bits: int = 0
    """Bits up besides; below 0 where compression saves them."""
    coded: Coded | None = None
    """The part of `down` of which devices keep a copy, if they are sent its changes alone."""
    reported: int = 0
    """Values that each of all devices sends up once, in the first round: its number of samples of each class."""


NO_TRAFFIC = Traffic(down=0, up=0, broadcast=True)

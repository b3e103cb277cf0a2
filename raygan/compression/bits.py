"""Whole numbers and signs in as few bits as they need, one plane of bits after another."""

import numpy as np


def width_of(count: int) -> int:
    """Returns the bits of a number below `count`: ceil(log2(count))."""
    return (count - 1).bit_length()


def holder_of(width: int) -> type[np.unsignedinteger]:
    """Returns the smallest type that holds numbers of `width` bits, up to 32."""
    return np.uint8 if width <= 8 else np.uint16 if width <= 16 else np.uint32


def pack(numbers: np.ndarray, width: int) -> np.ndarray:
    """Pack numbers from 0 to below 2**`width`, (n,) of `holder_of(width)`; returns (width, ceil(n / 8)) uint8."""
    packed = np.empty((width, -(-len(numbers) // 8)), np.uint8)
    for bit, plane in enumerate(packed):
        plane[:] = np.packbits((numbers & numbers.dtype.type(1 << bit)).astype(bool))
    return packed


def unpack(packed: np.ndarray, count: int) -> np.ndarray:
    """Returns `count` numbers that were packed, (count,) of `holder_of`."""
    kind = holder_of(len(packed))
    numbers = np.zeros(count, kind)
    for bit, plane in enumerate(packed):
        numbers |= np.unpackbits(plane, count=count).astype(kind) << kind(bit)
    return numbers


def pack_signs(vector: np.ndarray) -> np.ndarray:
    """Returns (ceil(n / 8),) uint8 with a bit for each value, set where it is below 0."""
    return np.packbits(vector < 0)


def unpack_signs(packed: np.ndarray, count: int) -> np.ndarray:
    """Returns 1 or -1 for each value, (count,) float32."""
    signs: np.ndarray = np.array([1, -1], np.float32).take(np.unpackbits(packed, count=count))
    return signs

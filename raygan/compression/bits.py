"""Whole numbers in as few bits as they need, one plane of bits after another."""

import numpy as np


def width_of(count: int) -> int:
    """Returns the bits of a number below `count`: ceil(log2(count))."""
    return (count - 1).bit_length()


def pack(numbers: np.ndarray, width: int) -> np.ndarray:
    """Pack whole numbers, (n,) from 0 to below 2**`width`; returns (width, ceil(n / 8)) uint8."""
    packed = np.empty((width, -(-len(numbers) // 8)), np.uint8)
    for bit, plane in enumerate(packed):
        plane[:] = np.packbits((numbers >> bit) & 1)
    return packed


def unpack(packed: np.ndarray, count: int) -> np.ndarray:
    """Returns `count` numbers that were packed, (count,) uint32."""
    numbers = np.zeros(count, np.uint32)
    for bit, plane in enumerate(packed):
        numbers |= np.unpackbits(plane, count=count).astype(np.uint32) << np.uint32(bit)
    return numbers

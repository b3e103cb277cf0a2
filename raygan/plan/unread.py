"""Data that is planned for before it is there: only the shape of a sample and their number are known."""

import re
from math import prod

import numpy as np

from raygan.config.partitions import Natural
from raygan.config.tree import Config
from raygan.data import ImageSet
from raygan.errors import InputError

CLASSES = 10
"""Classes that are assumed, in equal parts."""
_SHAPE = re.compile(r"[1-9][0-9]{0,5}(?:x[1-9][0-9]{0,5}){0,2}", re.ASCII)
MOST_SAMPLES = 10**8


class Unread(ImageSet):
    """Samples of noise that take a byte each or four: each begins one value after the one before it."""

    def __post_init__(self) -> None:
        """Leave the array as it is: a copy of it would take the memory of all samples."""


def unread(shape: str, samples: int, config: Config) -> ImageSet:
    """Returns so many samples of a shape, such as 3x64x64 (images) or 2 (points).

    Raises:
        InputError: there can be no such data, or the partition depends on what only the data says.
    """
    sizes = tuple(map(int, shape.lower().split("x"))) if _SHAPE.fullmatch(shape.lower()) else ()
    if len(sizes) not in (1, 3) or (len(sizes) == 3 and sizes[0] not in (1, 3)):
        raise InputError(
            f"--shape: {shape}: a shape is CHANNELSxHEIGHTxWIDTH with 1 or 3 channels, such as 3x64x64, "
            "or the number of coordinates of a point, such as 2"
        )
    if not 0 < samples <= MOST_SAMPLES:
        raise InputError(f"--samples: {samples}; 1 to {MOST_SAMPLES} are right")
    if isinstance(config.data.partition, Natural):
        raise InputError(
            "--shape: data.partition.name=natural goes by who holds each sample, which only the data says; plan with "
            "the data, or with data.partition.name=iid and the number of devices"
        )
    samples = min(samples, config.data.limit or samples)
    labels = np.arange(samples) % min(CLASSES, samples)
    return Unread(_noise(sizes, samples), labels, tuple(map(str, range(int(labels.max()) + 1))))


def _noise(sizes: tuple[int, ...], samples: int) -> np.ndarray:
    """Returns noise: a first step with all samples alike would be no usual one."""
    random, length = np.random.default_rng(0), prod(sizes) + samples
    if len(sizes) == 1:
        values = random.standard_normal(length, np.float32)
    else:
        values = random.integers(0, 256, length, np.uint8)
    strides = values[: prod(sizes)].reshape(sizes).strides
    return np.lib.stride_tricks.as_strided(values, (samples, *sizes), (values.itemsize, *strides), writeable=False)

"""scikit-learn's handwritten digits (UCI "Optical Recognition of Handwritten Digits"): no download."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from raygan.config.data import Digits
from raygan.data.images import ImageSet
from raygan.data.sizes import resize_all

_FILE = Path("datasets", "data", "digits.csv.gz")
"""Where scikit-learn keeps them. Its `load_digits` takes two seconds to import, most of the time of a short run."""


def load(data: Digits, seed: int) -> ImageSet:
    """1,797 grey digits, 8x8 with values 0..16, resized to `data.size`."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    rows = np.loadtxt(Path(package.origin).parent / _FILE, delimiter=",")
    images = np.rint(rows[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return ImageSet(resize_all(images, data.size), rows[:, -1].astype(np.int64), tuple("0123456789"))

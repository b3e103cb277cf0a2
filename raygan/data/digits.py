"""scikit-learn's handwritten digits (UCI "Optical Recognition of Handwritten Digits"): no download."""

import numpy as np
from sklearn.datasets import load_digits

from raygan.config.data import Digits
from raygan.data.images import ImageSet
from raygan.data.sizes import resize_all


def load(data: Digits, seed: int) -> ImageSet:
    """1,797 grey digits, 8x8 with values 0..16, resized to `data.size`."""
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return ImageSet(resize_all(images, data.size), digits.target.astype(np.int64), tuple("0123456789"))

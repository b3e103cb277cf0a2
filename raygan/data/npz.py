"""Arrays in a numpy .npz file."""

import zipfile

import numpy as np

from raygan.config.data import Npz
from raygan.data.images import ImageSet
from raygan.data.sizes import own_side, resize_all
from raygan.errors import InputError


def load(data: Npz, seed: int) -> ImageSet:
    """Load `images` (N, H, W), (N, H, W, 1) or (N, H, W, 3) uint8 and `labels` (N,) integers from 0.

    The optional array `classes` has the names of the classes, in order of the labels. Without it, names are numbers.

    Raises:
        InputError: not such a file; names the file and the array. A pickled array is refused and not loaded.
    """
    try:
        if not zipfile.is_zipfile(data.root):
            raise ValueError("not a zip of arrays")
        with np.load(data.root, allow_pickle=False) as arrays:
            missing = {"images", "labels"} - set(arrays)
            if missing:
                raise InputError(f"{data.root}: has no array named {' and '.join(sorted(missing))}")
            images, labels = arrays["images"], arrays["labels"]
            names = arrays.get("classes")
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"data.root: {data.root} is not a readable .npz file: {error}") from error
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise InputError(
            f"{data.root}: images is {images.dtype} {images.shape}, but (N, H, W) or (N, H, W, 1 or 3) uint8 is needed"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        raise InputError(
            f"{data.root}: labels is {labels.dtype} {labels.shape}, but {len(images)} integers from 0 are needed"
        )
    if len(images) == 0:
        raise InputError(f"{data.root}: images is empty")
    squeezed = images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images
    count = int(labels.max(initial=0)) + 1
    if names is not None and (names.dtype.kind != "U" or names.ndim != 1 or len(names) < count):
        raise InputError(
            f"{data.root}: classes is {names.dtype} {names.shape}, but names of {count} classes are needed (strings)"
        )
    classes = tuple(map(str, range(count))) if names is None else tuple(map(str, names))
    return ImageSet(
        resize_all(squeezed, data.size or own_side([squeezed.shape[1:3]])), labels.astype(np.int64), classes
    )

"""Arrays in a numpy .npz file."""

import numpy as np

from raygan.config.data import Npz
from raygan.data.depth import depth_note
from raygan.data.finish import finished, layout_of, range_for, refuse_black
from raygan.data.images import ImageSet
from raygan.data.labels import NO_LABELS, classes_of, labels_of, one_class
from raygan.data.sizes import own_side, resized_note
from raygan.data.zipped import ZippedArrays
from raygan.errors import InputError

_TRAIN = (("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y"))
_NAMES = "classes"


def load(data: Npz, seed: int) -> ImageSet:
    """Load the arrays of images, labels, holders and names that `data` names or that are usual.

    Images are read from the file in blocks: beside the result, no more than one is in memory.

    Raises:
        InputError: the file or an array is not such; names the key, the file and the array. A pickled array is refused
            and not loaded.
    """
    arrays = ZippedArrays(data.root)
    usual = _usual(data.split)
    key = _chosen(arrays, "images", data.images, [images for images, _ in usual])
    if key is None:
        known = ", ".join(images for images, _ in usual)
        raise InputError(
            f"data.images: {data.root} has no array named {known}; name one of those that it has: {arrays}",
            code="missing",
        )
    header, named = arrays.header(key), f"data.images: {key} in {data.root}"
    count = header.shape[0] if header.shape else 0
    layout = layout_of(header.shape[1:], header.dtype, named)
    if not count:
        raise InputError(f"{named} is empty", code="empty")
    labels, classes = _labels(arrays, data, key, count)
    holders, holder_names = _holders(arrays, data, count)
    found = range_for(data.depth, header.dtype, lambda: (one for block in arrays.blocks(key) for one in block), named)
    size = (layout.height, layout.width)
    channels, side = data.channels or layout.channels, data.size or own_side([size])
    images = np.empty((count, channels, side, side), np.uint8)
    start = 0
    for block in arrays.blocks(key):
        images[start : start + len(block)] = finished(layout.applied(block), found, channels, side, named)
        start += len(block)
    refuse_black(images, data.depth, [header.dtype], named)
    notes = resized_note([size] * count, side) + depth_note(data.depth, [str(header.dtype)], found)
    return ImageSet(images, labels, classes, holders, holder_names, notes)


def _usual(split: str) -> tuple[tuple[str, str], ...]:
    """Returns the usual names of images and labels: of Keras and of MedMNIST."""
    if split == "train":
        return _TRAIN
    return ((f"x_{split}", f"y_{split}"), (f"{split}_images", f"{split}_labels"))


def _chosen(arrays: ZippedArrays, key: str, given: str | None, usual: list[str]) -> str | None:
    if given is not None and given not in arrays.headers:
        raise InputError(f"data.{key}: {arrays.path} has no array named {given}; it has: {arrays}", code="unknown")
    return given or next((name for name in usual if name in arrays.headers), None)


def _labels(arrays: ZippedArrays, data: Npz, images: str, count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    usual = sorted(_usual(data.split), key=lambda pair: pair[0] != images)  # those that belong to the images first
    wanted = None if data.labels == NO_LABELS else _chosen(arrays, "labels", data.labels, [name for _, name in usual])
    if wanted is None:
        if data.names is not None:
            raise InputError(
                f"data.names: {data.names} names classes, but there are no labels; set data.labels", code="conflict"
            )
        return one_class(count, data.root.stem)
    return labels_of(*_column(arrays, "labels", wanted, count), _names(arrays, data))


def _column(arrays: ZippedArrays, key: str, name: str, count: int) -> tuple[np.ndarray, str]:
    """Returns an array with a row for each image, and what to call it in an error."""
    named = f"data.{key}: {name} in {arrays.path}"
    if arrays.headers[name].shape[:1] != (count,):
        raise InputError(f"{named}: is {arrays.headers[name]}, but there are {count:,} images", code="mismatch")
    return arrays.read(name), named


def _holders(arrays: ZippedArrays, data: Npz, count: int) -> tuple[np.ndarray | None, tuple[str, ...]]:
    wanted = _chosen(arrays, "holders", data.holders, [])
    return (None, ()) if wanted is None else classes_of(*_column(arrays, "holders", wanted, count))


def _names(arrays: ZippedArrays, data: Npz) -> list[str] | None:
    key = _chosen(arrays, "names", data.names, [_NAMES])
    if key is None:
        return None
    header = arrays.headers[key]
    if header.dtype.kind not in "US" or len(header.shape) != 1:
        raise InputError(
            f"data.names: {key} in {data.root} is {header}; a list of names (strings) is needed", code="layout"
        )
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in arrays.read(key)]

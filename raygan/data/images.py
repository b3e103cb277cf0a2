"""The common form of all data sets: `ImageSet`."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from raygan.components import DATA_SETS, resolve
from raygan.config.data import Data
from raygan.config.partitions import Natural
from raygan.errors import InputError, counted, naming


@dataclass(frozen=True)
class ImageSet:
    """Samples in memory, with the class and perhaps the holder of each.

    `images` is (N, C, H, W) uint8 for images or (N, d) float32 for points; `labels` is (N,) int64 from 0
    to len(classes) - 1.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    holders: np.ndarray | None = None
    """(N,) int64 from 0 to len(holder_names) - 1; None: the data does not say who holds a sample."""
    holder_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Lines for the user on what loading did to the samples, such as a change of their depth."""

    def __post_init__(self) -> None:
        # Sums run in memory order, so the layout affects the numbers: it must not be that of a loader's views.
        object.__setattr__(self, "images", np.ascontiguousarray(self.images))

    # So do the strides of axes of length 1, which pickling changes: torch takes them as a hint of the layout.

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"strides": self.images.strides}

    def __setstate__(self, state: dict[str, Any]) -> None:
        images, strides = state["images"], state.pop("strides")
        self.__dict__.update(state, images=np.ndarray(images.shape, images.dtype, images, strides=strides))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W), or (d,)."""
        return tuple(self.images.shape[1:])

    @cached_property
    def digest(self) -> str:
        """Hash of the content: pixels and labels, independent of the file."""
        hasher = hashlib.blake2b(digest_size=16)
        for array in (self.images, self.labels):
            hasher.update(repr((array.shape, array.dtype.str)).encode())
            hasher.update(np.ascontiguousarray(array).data)
        return hasher.hexdigest()

    def take(self, indices: np.ndarray) -> "ImageSet":
        """Returns a copy of the samples at `indices`."""
        holders = None if self.holders is None else self.holders[indices]
        return replace(self, images=self.images[indices], labels=self.labels[indices], holders=holders)


def load_data(data: Data, seed: int) -> ImageSet:
    """Load `data`, then keep `data.limit` samples, an equal share of every class.

    With a natural partition, holders with too few samples are left out.

    Raises:
        InputError: the data is missing or not readable; names the key or file.
    """
    load = resolve(DATA_SETS, data.name, "data.name")
    with naming("data.name", data.name):
        images = load(data, seed)
    images = _checked(images, f"data.name: {data.name}")
    if data.limit is not None and data.limit < len(images):
        images = images.take(_first_of_each_class(images.labels, data.limit))
    if isinstance(data.partition, Natural):
        from raygan.data.natural import with_enough

        images = with_enough(images, data.partition)
    return images


def _checked(found: object, named: str) -> ImageSet:
    """Returns the result of a loader, perhaps a custom one, with int64 labels, if it is a valid `ImageSet`.

    Raises:
        InputError: it is not valid; says what it is and what is needed.
    """
    if not isinstance(found, ImageSet):
        raise InputError(f"{named} returned a {type(found).__name__}; a raygan.data.ImageSet is needed", code="kind")
    images, labels, classes = found.images, found.labels, found.classes
    is_images = images.ndim == 4 and images.dtype == np.uint8 and images.shape[1] in (1, 3)
    if not (is_images or (images.ndim == 2 and images.dtype == np.float32)):
        raise InputError(
            f"{named}: its images are {images.dtype} {images.shape}; images as (N, 1 or 3, H, W) uint8 from 0 to 255, "
            "or points as (N, d) float32, are needed",
            code="layout",
        )
    if len(images) == 0:
        raise InputError(f"{named} holds no samples", code="empty")
    if not is_images and not np.isfinite(images).all():
        bad = int(np.count_nonzero(~np.isfinite(images).all(axis=1)))
        raise InputError(
            f"{named}: {counted(bad, 'point')} of {len(images):,} are not finite; leave them out", code="not_finite"
        )
    if not (isinstance(classes, list | tuple) and classes and all(isinstance(name, str) for name in classes)):
        raise InputError(
            f"{named}: its classes are {classes!r}; names of the classes are needed, one at least", code="missing"
        )
    _check_numbers(labels, len(images), len(classes), named, "labels", "classes")
    if found.holders is not None:
        _check_numbers(found.holders, len(images), len(found.holder_names), named, "holders", "holders")
    return replace(found, labels=labels.astype(np.int64, copy=False), classes=tuple(classes))


def _check_numbers(numbers: object, count: int, names: int, named: str, what: str, of: str) -> None:
    """Raise unless these are (count,) integers below the number of names."""
    if not (isinstance(numbers, np.ndarray) and numbers.shape == (count,) and numbers.dtype.kind in "iu"):
        kind, dtype = type(numbers).__name__, getattr(numbers, "dtype", None)  # a tensor has one, too
        are = f"a {kind}" if dtype is None else f"{dtype} {tuple(getattr(numbers, 'shape', ()))}"
        raise InputError(
            f"{named}: its {what} are {are}; a numpy array of {count:,} integers is needed", code="mismatch"
        )
    if not 0 <= numbers.min() <= numbers.max() < names:
        raise InputError(
            f"{named}: its {what} go from {numbers.min()} to {numbers.max()}; from 0 to {names - 1} is needed, as "
            f"it names {names} {of}",
            code="range",
        )


def _first_of_each_class(labels: np.ndarray, limit: int) -> np.ndarray:
    """Returns the indices of `limit` samples, taken from the classes in turn, so that all have equal shares."""
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return np.sort(np.lexsort((labels, rank))[:limit])

"""Labels as files have them: any values, to classes from 0 with names."""

from collections.abc import Sequence

import numpy as np

from raygan.errors import InputError

_SHOWN = 5


NO_LABELS = "none"
"""The value of `data.labels` that makes one class of all images."""


def one_class(count: int, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the labels and the name of the class of images without labels."""
    return np.zeros(count, np.int64), (name,)


def labels_of(values: np.ndarray, named: str, names: Sequence[str] | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns `classes_of`; an error says how to do without labels."""
    try:
        return classes_of(values, named, names)
    except InputError as error:
        raise InputError(f"{error} (data.labels={NO_LABELS}: one class)", code=error.code) from error


def classes_of(
    values: np.ndarray, named: str, names: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns labels (N,) int64 from 0 and the names of the classes, for (N,) or (N, 1) values or (N, C) one-hot.

    The classes are the values that occur, in order; memory does not depend on how large they are. `names` has the name
    of value 0, 1, ...; without it, values are their own names.

    Raises:
        InputError: these are no labels, or a value has no name; begins with `named`.
    """
    values = _flat(np.asarray(values), named)
    found, labels = np.unique(values, return_inverse=True)
    if names is None:
        return labels.reshape(-1).astype(np.int64), tuple(_text(value) for value in found)
    if found.dtype.kind not in "iu":
        raise InputError(
            f"{named}: are {found.dtype}; names of classes need labels that are whole numbers", code="layout"
        )
    if outside := [int(value) for value in found if not 0 <= value < len(names)]:
        shown = ", ".join(map(str, outside[:_SHOWN]))
        raise InputError(
            f"{named}: {shown} {'has' if len(outside) == 1 else 'have'} no name; there are {len(names)}", code="missing"
        )
    return labels.reshape(-1).astype(np.int64), tuple(str(names[int(value)]) for value in found)


def _flat(values: np.ndarray, named: str) -> np.ndarray:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "biuf" and _is_one_hot(values):
        return np.asarray(values.argmax(axis=1))
    if values.ndim == 1 and values.dtype.kind == "f" and (values == np.floor(values)).all():
        values = values.astype(np.int64)
    if values.ndim != 1 or values.dtype.kind not in "biuUSO":
        raise InputError(
            f"{named}: are {values.dtype} {values.shape}; a number or string per image, or one-hot rows, are needed",
            code="layout",
        )
    return values


def _is_one_hot(values: np.ndarray) -> bool:
    return bool((values.max(axis=1) == 1).all() and (np.count_nonzero(values, axis=1) == 1).all())


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

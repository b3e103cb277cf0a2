"""Tables of images in parquet files, in the layout of Hugging Face's `datasets`."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from raygan.config.data import Parquet
from raygan.data.columns import Columns, columns_at
from raygan.data.decoding import Scan
from raygan.data.finish import refuse_black
from raygan.data.images import ImageSet
from raygan.data.labels import NO_LABELS, classes_of, labels_of, one_class
from raygan.data.passes import decode_all, notes_on
from raygan.errors import InputError
from raygan.files import cache_folder, keep_array, keep_in_cache, kept_array, load_json

if TYPE_CHECKING:
    from pyarrow import Array, DataType

_VERSION = 2  # increase it when decoding changes, so that older caches are not used
_IMAGES = ("image", "img")
ColumnContent = bytes | np.ndarray
"""An encoded image, or its numbers."""
_LABELS = ("label", "labels", "fine_label", "class", "target")


def load(data: Parquet, seed: int) -> ImageSet:
    """Returns the rows of parquet files. Every byte of the images is read at each load, to identify the content.

    Each content is decoded once.

    Raises:
        InputError: no such file or column, or an image or label that is not such; names the key, file and row.
    """
    columns = columns_at(data.root, data.split)
    image = _image_column(columns, data)
    label = _label_column(columns, data)
    names = columns.class_names()
    labelled = None if label is None else _values(columns, "labels", label)
    held = None if data.holders is None else _values(columns, "holders", data.holders)
    count, digest = _identity(columns, image, data)
    if not count:
        raise InputError(f"data.root: {columns.where} holds no rows", code="empty")
    labels, classes = (
        one_class(count, Path(columns.where).stem)
        if label is None or labelled is None
        else labels_of(labelled, f"data.labels: {label} in {columns.where}", names.get(label))
    )
    holders, holder_names = (
        (None, ())
        if data.holders is None or held is None
        else classes_of(held, f"data.holders: {data.holders} in {columns.where}", names.get(data.holders))
    )
    images, notes = _kept(digest, count) or _decoded(columns, image, data, count, digest)
    return ImageSet(images, labels, classes, holders, holder_names, (*notes, *_left_out_note(columns)))


def _image_column(columns: Columns, data: Parquet) -> str:
    if data.images is not None:
        if not _holds_images(columns.type_of(data.images, "images")):
            raise InputError(
                f"data.images: {data.images} in {columns.where} is {columns.schema.field(data.images).type}; encoded "
                "images (binary, or a struct with bytes) or lists of rows of numbers are needed",
                code="layout",
            )
        return data.images
    fitting = [field.name for field in columns.schema if _holds_images(field.type)]
    usual = [name for name in _IMAGES if name in fitting]
    if usual or len(fitting) == 1:
        return (usual or fitting)[0]
    which = f"{len(fitting)} columns that may be images" if fitting else "no column of images"
    raise InputError(f"data.images: {columns.where} has {which}; name one of its columns: {columns}", code="missing")


def _holds_images(kind: "DataType") -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type)
    return _is_binary(kind) or _leaf(kind)[0] >= 2


def _is_binary(kind: "DataType") -> bool:
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _leaf(kind: "DataType") -> tuple[int, "DataType"]:
    """Returns how deep lists of numbers are nested, 0 for anything else, and the type inside."""
    from pyarrow import types

    depth = 0
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        depth, kind = depth + 1, kind.value_type
    plain = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return (depth if plain else 0), kind


def _label_column(columns: Columns, data: Parquet) -> str | None:
    if data.labels == NO_LABELS:
        return None
    if data.labels is not None:
        columns.type_of(data.labels, "labels")
        return data.labels
    if usual := [name for name in _LABELS if name in columns.schema.names]:
        return usual[0]
    named = list(columns.class_names())
    return named[0] if len(named) == 1 else None


def _values(columns: Columns, key: str, name: str) -> np.ndarray:
    """Returns a column of numbers or strings, (N,)."""
    from pyarrow import types

    kind = columns.type_of(name, key)
    inside = kind.value_type if types.is_dictionary(kind) else kind
    number = types.is_integer(inside) or types.is_floating(inside) or types.is_boolean(inside)
    if not (number or types.is_string(inside) or types.is_large_string(inside)):
        raise InputError(
            f"data.{key}: {name} in {columns.where} is {kind}; a number or string for each image is needed",
            code="layout",
        )
    found = []
    for path, row, batch in columns.batches([name]):
        column = batch.column(0).dictionary_decode() if types.is_dictionary(kind) else batch.column(0)
        if column.null_count:
            empty = row + int(column.is_null().to_numpy(zero_copy_only=False).argmax())
            raise InputError(
                f"data.{key}: {name} in {path} has no value in row {empty}; leave the row out", code="missing"
            )
        found.append(column.to_numpy(zero_copy_only=False))
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _contents(columns: Columns, name: str) -> Iterator[tuple[str, ColumnContent]]:
    """Yields what to call each image in an error, and the image: encoded, or its numbers."""
    from pyarrow import types

    kind = columns.type_of(name, "images")
    for path, row, batch in columns.batches([name]):
        column = batch.column(0)
        named = [f"data.images: {path}, {name} in row {row + index}" for index in range(len(column))]
        stored = column.flatten()[kind.get_field_index("bytes")] if types.is_struct(kind) else column
        for index in range(len(stored)):
            if not stored[index].is_valid:
                raise InputError(
                    f"{named[index]}: has no bytes in the file (a path elsewhere is not followed)", code="missing"
                )
        yield from zip(named, _plain(stored, named), strict=True)


def _plain(stored: "Array", named: list[str]) -> list[ColumnContent]:
    depth, kind = _leaf(stored.type)
    if not depth:
        return [one.as_py() for one in stored]
    made: list[ColumnContent] = []
    for one, name in zip(stored, named, strict=True):
        try:
            made.append(np.array(one.as_py(), kind.to_pandas_dtype()))
        except (ValueError, TypeError) as error:
            raise InputError(f"{name}: rows of different lengths, or without a value", code="layout") from error
    return made


def _identity(columns: Columns, image: str, data: Parquet) -> tuple[int, str]:
    """Returns the number of images, and a hash of their content and of the keys that pixels depend on."""
    settings = (_VERSION, data.size, data.channels, data.depth, data.ground)
    hasher, count = hashlib.blake2b(repr(settings).encode(), digest_size=16), 0
    for _, content in _contents(columns, image):
        shape = f"{content.dtype} {content.shape}" if isinstance(content, np.ndarray) else ""
        hasher.update(f"{shape}\0{len(content)}\0".encode())
        hasher.update(content.tobytes() if isinstance(content, np.ndarray) else content)
        count += 1
    return count, hasher.hexdigest()


def _decoded(
    columns: Columns, image: str, data: Parquet, count: int, digest: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the images, and lines for the user on what was done to them; keeps both in the cache."""
    found = decode_all(lambda: _contents(columns, image), data, None, count, _in_order, "data.images")
    refuse_black(found.images, data.depth, map(np.dtype, found.seen.kinds), f"data.images: {image} in {columns.where}")
    notes = notes_on(found, data)
    keep_array("images", f"{digest}.npy", found.images)
    keep_in_cache("images", f"{digest}.json", lambda aside: aside.write_text(json.dumps(notes), encoding="utf-8"))
    return found.images, notes


def _in_order(seen: Scan) -> np.ndarray:
    return np.arange(len(seen.names))


def _kept(digest: str, count: int) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Returns what `_decoded` has kept, if it is whole."""
    with suppress(InputError, OSError, ValueError):
        notes = load_json((cache_folder("images") / f"{digest}.json").read_bytes())
        images = kept_array("images", f"{digest}.npy")
        whole = images is not None and images.ndim == 4 and images.dtype == np.uint8 and len(images) == count
        if images is not None and whole and isinstance(notes, list):
            return images, tuple(map(str, notes))
    return None


def _left_out_note(columns: Columns) -> tuple[str, ...]:
    if not columns.left_out:
        return ()
    total = len(columns.left_out) + len(columns.paths)
    return (f"{len(columns.paths)} of {total} parquet files are read, those named after one part (data.split)",)

"""Tables of images in parquet files, in the layout of Hugging Face's `datasets`."""

import hashlib
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from raygan.config.data import Parquet
from raygan.data.columns import Columns, columns_at
from raygan.data.decode import Picture, read_picture
from raygan.data.depth import Range, depth_note, given_range, range_of_set, range_of_type, sampled
from raygan.data.encoded import header
from raygan.data.finish import layout_of, refuse_black
from raygan.data.images import ImageSet
from raygan.data.labels import NO_LABELS, classes_of, labels_of, one_class
from raygan.data.pool import cores
from raygan.data.sizes import own_side, resized_note
from raygan.errors import InputError
from raygan.files import cached_array

if TYPE_CHECKING:
    from pyarrow import Array, DataType

_VERSION = 1  # increase it when decoding changes, so that older caches are not used
_IMAGES = ("image", "img")
_LABELS = ("label", "labels", "fine_label", "class", "target")
ColumnContent = bytes | np.ndarray
"""An encoded image, or its pixels."""


def load(data: Parquet, seed: int) -> ImageSet:
    """Returns the rows of parquet files. Every byte of the images is read at each load, to identify the content.

    Each content is decoded once. A batch of encoded images is in memory at a time, beside the result.

    Raises:
        InputError: no such file or column, or an image or label that is not such; names the key, file and row.
    """
    columns = columns_at(data.root, data.split)
    image = _image_column(columns, data)
    label = _label_column(columns, data)
    names = columns.class_names()
    labelled = None if label is None else _values(columns, "labels", label)
    held = None if data.holders is None else _values(columns, "holders", data.holders)
    scan = _scanned(columns, image, data)
    if not scan.sizes:
        raise InputError(f"data.root: {columns.where} holds no rows", code="empty")
    labels, classes = (
        one_class(len(scan.sizes), Path(columns.where).stem)
        if label is None or labelled is None
        else labels_of(labelled, f"data.labels: {label} in {columns.where}", names.get(label))
    )
    holders, holder_names = (
        (None, ())
        if data.holders is None or held is None
        else classes_of(held, f"data.holders: {data.holders} in {columns.where}", names.get(data.holders))
    )
    side = data.size or own_side(scan.sizes)
    found = given_range(data.depth)
    if found is None and data.depth != "type":
        samples = _done(columns, image, data, lambda one, name: sampled(data.depth, one.values))
        found = range_of_set(data.depth, samples)
    channels = data.channels or (1 if scan.grey else 3)
    images = cached_array(
        "images",
        f"{scan.digest}-{channels}-{side}.npy",
        lambda: _images(columns, image, scan, found, channels, side, data),
    )
    notes = resized_note(scan.sizes, side) + depth_note(data.depth, scan.dtypes, found) + _left_out_note(columns)
    return ImageSet(images, labels, classes, holders, holder_names, notes)


@dataclass(frozen=True)
class _Scan:
    """What is known of all images before they are decoded."""

    digest: str
    sizes: list[tuple[int, int]]
    grey: bool
    dtypes: frozenset[str]


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


def _contents(columns: Columns, name: str) -> Iterator[tuple[list[str], list[ColumnContent]]]:
    """Yields some images, and what to call each in an error."""
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
        yield named, _plain(stored, named)


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


def _picture(content: ColumnContent, data: Parquet, name: str, decoded: bool) -> Picture:
    if isinstance(content, bytes):
        return (read_picture if decoded else header)(content, data.ground, name)
    layout = layout_of(content.shape, content.dtype, name)
    grey, array = layout.channels == 1, layout.applied(content[None])[0]
    return Picture(range_of_type(content.dtype), str(content.dtype), grey, deep=array)


def _scanned(columns: Columns, image: str, data: Parquet) -> _Scan:
    hasher = hashlib.blake2b(repr((_VERSION, data.depth, data.ground)).encode(), digest_size=16)
    sizes, grey, dtypes = [], True, set()
    for names, contents in _contents(columns, image):
        for name, content in zip(names, contents, strict=True):
            one = _picture(content, data, name, decoded=False)
            sizes.append(one.size)
            grey &= one.grey
            dtypes.add(one.kind)
            shape = "" if isinstance(content, bytes) else f"{content.dtype} {content.shape}"
            hasher.update(f"{shape}\0{len(content)}\0".encode())
            hasher.update(content if isinstance(content, bytes) else content.tobytes())
    return _Scan(hasher.hexdigest(), sizes, grey, frozenset(dtypes))


def _done(
    columns: Columns, image: str, data: Parquet, what: Callable[[Picture, str], np.ndarray]
) -> Iterator[np.ndarray]:
    """Yields what is made of each image, decoded on all cores."""

    def one(name: str, content: ColumnContent) -> np.ndarray:
        return what(_picture(content, data, name, decoded=True), name)

    with warnings.catch_warnings(), ThreadPoolExecutor(cores()) as pool:  # Pillow lets other threads run meanwhile
        warnings.simplefilter("ignore")  # each thread does so too, and none must put back what another had
        for names, contents in _contents(columns, image):
            yield from pool.map(one, names, contents)


def _images(
    columns: Columns, image: str, scan: _Scan, found: Range | None, channels: int, side: int, data: Parquet
) -> np.ndarray:
    images = np.empty((len(scan.sizes), channels, side, side), np.uint8)
    for row, pixels in enumerate(
        _done(columns, image, data, lambda one, name: one.pixels(side, channels, found, name))
    ):
        images[row] = pixels
    refuse_black(images, data.depth, map(np.dtype, scan.dtypes), f"data.images: {image} in {columns.where}")
    return images


def _left_out_note(columns: Columns) -> tuple[str, ...]:
    if not columns.left_out:
        return ()
    total = len(columns.left_out) + len(columns.paths)
    return (f"{len(columns.paths)} of {total} parquet files are read, those named after one part (data.split)",)

"""Parquet files, on this machine or at a URI, read a batch of rows after another."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from raygan.errors import InputError
from raygan.files import file_system, is_uri, reaching

if TYPE_CHECKING:
    from pyarrow import DataType, RecordBatch, Schema
    from pyarrow.fs import FileSystem
    from pyarrow.parquet import ParquetFile

_ROWS = 128  # images decoded together
_DEFAULT_SPLIT = "train"
_SHOWN = 20
_ROOT = "data.root"


@dataclass(frozen=True)
class Columns:
    """The columns of one or several files with the same schema."""

    where: str
    files: "FileSystem"
    paths: tuple[str, ...]
    schema: "Schema"
    left_out: tuple[str, ...]
    """Files of other parts."""

    def __str__(self) -> str:
        """Returns the names and types of the columns."""
        listed = [f"{field.name} ({field.type})" for field in self.schema]
        return ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")

    def type_of(self, name: str, key: str) -> "DataType":
        """Returns the type of a column that the key `data.KEY` names.

        Raises:
            InputError: there is none of that name.
        """
        if self.schema.names.count(name) != 1:
            raise InputError(f"data.{key}: {self.where} has no column {name}; it has {self}", code="unknown")
        return self.schema.field(name).type

    def batches(self, names: list[str]) -> Iterator[tuple[str, int, "RecordBatch"]]:
        """Yields the path of a file, the number of the first row and some rows of these columns.

        Raises:
            InputError: a file cannot be read, or differs from the first.
        """
        for path in self.paths:
            with _opened(self.files, path) as file:
                found = file.schema_arrow
                for name in names:
                    if name not in found.names or found.field(name).type != self.schema.field(name).type:
                        raise InputError(
                            f"data.root: {path} has no column {name} like that of {self.paths[0]}", code="mismatch"
                        )
                row = 0
                for group in range(file.num_row_groups):  # otherwise pyarrow reads all of them ahead
                    for batch in file.iter_batches(_ROWS, row_groups=[group], columns=names):
                        yield path, row, batch
                        row += batch.num_rows

    def class_names(self) -> dict[str, list[str]]:
        """Returns the names of classes by column, as the `datasets` library of Hugging Face writes them."""
        try:
            features = json.loads((self.schema.metadata or {})[b"huggingface"])["info"]["features"]
            named = {name: one["names"] for name, one in features.items() if one.get("_type") == "ClassLabel"}
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError):  # another library's, or none
            return {}
        return {name: names for name, names in named.items() if isinstance(names, list) and name in self.schema.names}


def columns_at(root: Path | str, split: str | None) -> Columns:
    """Returns the columns of a file, or of the files of a folder, or of a part of them.

    Raises:
        InputError: there are no such files, or they cannot be read; names the key.
    """
    where = str(root)
    with reaching(where, "read", key=_ROOT):
        files, path, listed = _listed(where)
    found = sorted(one for one in listed if one.endswith(".parquet") or one == path)
    if not found:
        raise InputError(
            f"data.root: {where} is neither a parquet file nor a folder of them (*.parquet)", code="missing"
        )
    wanted = _DEFAULT_SPLIT if split is None else split
    of_split = [one for one in found if wanted in _words(one, path)]
    if split is not None and not of_split:
        names = ", ".join(PurePosixPath(one).name for one in found[:_SHOWN])
        raise InputError(f"data.split: no file of {where} is named after {split}; it has {names}", code="unknown")
    used = of_split or found
    with _opened(files, used[0]) as file:
        schema = file.schema_arrow
    return Columns(where, files, tuple(used), schema, tuple(one for one in found if one not in used))


def _listed(where: str) -> tuple["FileSystem", str, list[str]]:
    """Returns the file system, the path of the root, and the files at or below it, without hidden ones."""
    from pyarrow.fs import FileSelector, FileType, LocalFileSystem

    try:
        files, path = file_system(where) if is_uri(where) else (LocalFileSystem(), str(Path(where).resolve()))
    except InputError as error:
        raise InputError(f"data.root: {error}", code=error.code) from error
    kind = files.get_file_info(path).type
    if kind == FileType.File:
        return files, path, [path]
    selector = FileSelector(path, recursive=True, allow_not_found=True)
    listed = [info.path for info in files.get_file_info(selector) if info.type == FileType.File]
    below = [(one, PurePosixPath(one).relative_to(PurePosixPath(path)).parts) for one in listed]
    return files, path, [one for one, parts in below if not any(part.startswith((".", "_")) for part in parts)]


def _words(path: str, root: str) -> set[str]:
    """Returns the first words of the names of a file and of its folders below the root."""
    parts = PurePosixPath(path).relative_to(PurePosixPath(root)).parts or (PurePosixPath(path).name,)
    return {re.split(r"[-_.]", part)[0] for part in parts}


@contextmanager
def _opened(files: "FileSystem", path: str) -> Iterator["ParquetFile"]:
    from pyarrow.parquet import ParquetFile

    with reaching(path, "read", key=_ROOT), files.open_input_file(path) as content:
        yield ParquetFile(content)

"""The arrays of an .npz file, read from the zip block by block."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from raygan.errors import InputError

_BLOCK = 4 << 20  # bytes
_SHOWN = 12


@dataclass(frozen=True)
class Header:
    """What an array is, without its values."""

    shape: tuple[int, ...]
    dtype: np.dtype
    by_columns: bool
    start: int
    """Where the values begin in the member of the zip (bytes)."""

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}"


class ZippedArrays:
    """The arrays of an .npz file. Opening it reads their headers alone.

    Raises:
        InputError: it is not such a file; names it. A pickled array is refused and not loaded when it is asked for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.headers: dict[str, Header] = {}
        with self._reading():
            if not zipfile.is_zipfile(path):
                raise ValueError("not a zip of arrays" if path.exists() else "it does not exist")
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if member.filename.endswith(".npy"):
                        with archive.open(member) as file:
                            header = _header(file)
                        if not header.dtype.hasobject and header.start + _bytes(header) != member.file_size:
                            raise ValueError(f"{member.filename} is not of the size that its header says")
                        self.headers[member.filename.removesuffix(".npy")] = header

    def __str__(self) -> str:
        """Returns the names, shapes and types of the arrays."""
        listed = [f"{name} {header}" for name, header in self.headers.items()]
        more = f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
        return ", ".join(listed[:_SHOWN]) + more or "none"

    def header(self, name: str) -> Header:
        """Returns the header of an array.

        Raises:
            InputError: it is pickled.
        """
        header = self.headers[name]
        if header.dtype.hasobject:
            raise InputError(
                f"data.root: {self.path}: {name} holds pickled Python objects, which may run code and are not loaded; "
                "save it as numbers or strings",
                code="unsafe",
            )
        return header

    def read(self, name: str) -> np.ndarray:
        """Returns a whole array; raises as the class."""
        header = self.header(name)
        with self._reading(), self._member(name) as file:
            values = np.frombuffer(_whole(file, _bytes(header)), header.dtype)
            _to_the_end(file)
        return values.reshape(header.shape, order="F" if header.by_columns else "C")

    def blocks(self, name: str) -> Iterator[np.ndarray]:
        """Yields an array in blocks of some rows; raises as the class."""
        header = self.header(name)
        count, row = header.shape[0], header.shape[1:]
        row_bytes = header.dtype.itemsize * prod(row)
        step = max(1, _BLOCK // max(row_bytes, 1))
        if header.by_columns:  # a row is spread over all of it
            whole = self.read(name)
            yield from (whole[start : start + step] for start in range(0, count, step))
            return
        with self._reading(), self._member(name) as file:
            for start in range(0, count, step):
                rows = min(step, count - start)
                yield np.frombuffer(_whole(file, rows * row_bytes), header.dtype).reshape(rows, *row)
            _to_the_end(file)

    @contextmanager
    def _member(self, name: str) -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as file:
            _whole(file, self.headers[name].start)
            yield file

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        # The last two: encrypted, and a kind of compression that Python does not know.
        except (
            OSError,
            ValueError,
            EOFError,
            struct.error,
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
            NotImplementedError,
        ) as error:
            raise InputError(f"data.root: {self.path} is not a readable .npz file: {error}", code="damaged") from error


def _header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"arrays of version {version} are not known")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(file)
    return Header(shape, dtype, by_columns, file.tell())


def _bytes(header: Header) -> int:
    return header.dtype.itemsize * prod(header.shape)


def _whole(file: IO[bytes], length: int) -> bytes:
    content = file.read(length)
    if len(content) < length:
        raise EOFError("it is cut off")
    return content


def _to_the_end(file: IO[bytes]) -> None:
    file.read(1)  # at the end, the zip's checksum is compared

"""What of a folder, a tar or a zip is data, and in which order it is read."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from raygan.data.decode import DICOM_HEAD, is_dicom, suffix_of, suffixes
from raygan.errors import InputError

LABELS_FILE = "dataset.json"
"""Extras the pictures: their classes, as StyleGAN's tools write them."""
_JUNK = {"__macosx", "thumbs.db", "desktop.ini", "dicomdir"}
_FRESH_NS = 2_000_000_000
"""A file that was changed so recently may change again within the same tick of its file system's clock."""

Content = bytes | str | np.ndarray
"""The bytes of a picture, the path of its file, or its pixels: numbers in the layout of `raygan.data.finish`."""


@dataclass
class Extras:
    """What there is beside the pictures."""

    folders: set[str] = field(default_factory=set)
    """Folders straight below the root."""
    passed: Counter[str] = field(default_factory=Counter)
    """Files that are no data, by suffix."""
    labels: bytes | None = None
    """The content of `LABELS_FILE`."""


class Source(Protocol):
    """A set of pictures that can be read several times."""

    names: list[str] | None
    """The paths of all pictures below the root, sorted; None before they are read."""
    found: Extras

    def key(self) -> str | None:
        """Returns what changes when the content does, as far as the file system tells; None: it cannot tell yet."""

    def read(self) -> Iterator[tuple[str, Content]]:
        """Yields every picture once. An error at the end means that all before it is not to be believed."""


def is_junk(name: str) -> bool:
    """Whether a name is of a file or folder that programs leave behind: never data, and not worth a word."""
    return name.startswith(".") or name.lower() in _JUNK


def key_of(place: Path, files: Iterable[tuple[str, int, int, int]]) -> str | None:
    """Returns a key of files at a place: of their paths, sizes, and times of modification and change (ns).

    None: one is so fresh that a further change might leave all of these.
    """
    hasher = hashlib.blake2b(os.fsencode(place.resolve()), digest_size=16)
    newest = 0
    for name, size, modified, changed in files:
        hasher.update(f"\0{name}\0{size} {modified} {changed}".encode("utf-8", "surrogateescape"))
        newest = max(newest, modified)
    return hasher.hexdigest() if newest < time.time_ns() - _FRESH_NS else None


class FolderTree:
    """The pictures of a folder and all folders below it; links are followed."""

    def __init__(self, root: Path) -> None:
        self.found = Extras()
        self._root = root
        try:
            self._files = sorted(self._walk())
        except OSError as error:
            raise InputError(
                f"data.root: {error.filename or root} cannot be read: {error.strerror}", code="unreadable"
            ) from error
        self.names: list[str] | None = [file[0] for file in self._files if file[0] != LABELS_FILE]
        if not self.names:
            raise InputError(f"data.root: {root} holds no images ({', '.join(sorted(suffixes()))})", code="empty")

    def key(self) -> str | None:
        """See `Source`."""
        return key_of(self._root, self._files)

    def read(self) -> Iterator[tuple[str, Content]]:
        """See `Source`."""
        assert self.names is not None
        return ((name, os.path.join(self._root, name)) for name in self.names)  # noqa: PTH118

    def _walk(self) -> Iterator[tuple[str, int, int, int]]:
        """Yields the path, size and times of each picture, and of the file of labels."""
        known = suffixes()
        first = self._root.stat()
        waiting = [(str(self._root), "", frozenset([(first.st_dev, first.st_ino)]))]
        while waiting:
            folder, prefix, above = waiting.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if is_junk(name):
                        continue
                    if entry.is_dir():
                        status = entry.stat()
                        if (here := (status.st_dev, status.st_ino)) not in above:  # else a link back up
                            waiting.append((entry.path, f"{prefix}{name}/", above | {here}))
                            if not prefix:
                                self.found.folders.add(name)
                        continue
                    suffix = suffix_of(name)
                    if f"{prefix}{name}" == LABELS_FILE:
                        self.found.labels = Path(entry.path).read_bytes()
                    elif not (suffix in known or (not suffix and _is_dicom_file(entry))) or _is_device(entry):
                        self.found.passed[suffix or "no suffix"] += 1
                        continue
                    yield (f"{prefix}{name}", *_status(entry))


def _status(entry: "os.DirEntry[str]") -> tuple[int, int, int]:
    try:
        status = entry.stat()
    except FileNotFoundError:  # a link to nothing: it is an image that cannot be read
        return 0, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _is_device(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a pipe or the like, which would be waited for."""
    return not entry.is_file() and not entry.is_symlink()


def _is_dicom_file(entry: "os.DirEntry[str]") -> bool:
    if not entry.is_file():
        return False
    try:
        with open(entry.path, "rb") as file:  # noqa: PTH123
            return is_dicom(file.read(DICOM_HEAD))
    except OSError:
        return False

"""Pictures in a tar or a zip, read to its end: what a damaged archive held before the damage is not believed."""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from stat import S_ISLNK
from typing import Any, Protocol

from raygan.data.decode import is_dicom, suffix_of, suffixes
from raygan.data.sources import LABELS_FILE, Content, Extras, is_junk, key_of
from raygan.errors import InputError

_ZIP = b"PK"
_PACKED: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x5d\0\0": lzma.open,
}
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,  # a password, or a compression that zipfile does not know
    ValueError,
    IndexError,
    MemoryError,
)
_PIECE = 1 << 20
_CHECKSUM = slice(148, 156)  # in a header of tar
_END_OF_ZIP, _ENTRIES_AT, _MANY = 22, 10, 0xFFFF
"""The last record of a zip without its comment (bytes), where it has the number of entries, and "see elsewhere"."""


class Readable(Protocol):
    """A file in an archive."""

    def read(self, size: int = -1, /) -> bytes:
        """Returns that many bytes or what is left; all, if no number is given."""


Member = tuple[str, bool, Callable[[], Readable | None] | None]
"""Path, whether it is a folder, and how to open it (None: a link)."""


def archive_of(root: Path) -> "Archive | None":
    """Returns the archive that a path is, or leads into; None if there is none."""
    for place in (root, *root.parents):
        if place.is_file():
            return Archive(place, PurePosixPath(root.relative_to(place).as_posix()))
    return None


class Archive:
    """The pictures of a tar or zip below a folder inside of it. See `raygan.data.sources.Source`."""

    def __init__(self, place: Path, inside: PurePosixPath) -> None:
        self.names: list[str] | None = None
        self.found = Extras()
        self._place, self._inside, self._parts = place, inside, list(inside.parts)
        try:
            with place.open("rb") as file:
                head = file.read(512)
        except OSError as error:
            raise InputError(f"data.root: {place} cannot be read: {error.strerror}", code="unreadable") from error
        self._is_zip = head.startswith(_ZIP)
        self._open = next((opener for magic, opener in _PACKED.items() if head.startswith(magic)), None)
        if not self._is_zip and self._open is None and not tarfile.is_tarfile(place):
            raise InputError(
                f"data.root: {place} is a file, but neither a tar nor a zip; give a folder or one of these",
                code="unknown",
            )

    def key(self) -> str | None:
        """See `Source`."""
        status = self._place.stat()
        name = f"inside {self._inside.as_posix()}"
        return key_of(self._place, [(name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)])

    def read(self) -> Iterator[tuple[str, Content]]:
        """Yields the path below the root and the bytes of every picture.

        Raises:
            InputError: at the end: the archive is damaged, or has no pictures.
        """
        self.found = Extras()
        read = Counter[str]()
        try:
            for name, is_folder, opened in self._members():
                parts = _below(name, self._parts)
                if parts and (is_folder or len(parts) > 1):
                    self.found.folders.add(parts[0])
                path = "" if is_folder or parts is None else "/".join(parts)
                file = opened() if opened is not None else None
                wanted = bool(path) and self._is_data(path, file)
                content = file.read() if file is not None and wanted else None
                while file is not None and file.read(_PIECE):
                    pass  # to its checksum
                if content is not None and self._is_picture(path, content):
                    read[path] += 1
                    yield path, content
        except InputError:
            raise
        except _DAMAGE as error:
            why = str(error) or type(error).__name__
            raise InputError(
                f"data.root: {self._place} is damaged or not a whole archive: {why}", code="damaged"
            ) from error
        if not read:
            raise InputError(f"data.root: {self._place} holds no images below {self._inside}", code="empty")
        if twice := next((name for name, count in read.items() if count > 1), None):
            raise InputError(
                f"data.root: {self._place} holds {twice} twice; unpack it and give the folder", code="twice"
            )
        self.names = sorted(read)

    def _is_data(self, path: str, file: Readable | None) -> bool:
        """Whether a file's content is wanted, as far as its name tells; counts what is not."""
        suffix = suffix_of(path)
        if file is None:
            self.found.passed["links"] += 1
            return False
        if not suffix or suffix in suffixes() or path == LABELS_FILE:
            return True
        self.found.passed[suffix] += 1
        return False

    def _is_picture(self, path: str, content: bytes) -> bool:
        if path == LABELS_FILE:
            self.found.labels = content
            return False
        if not suffix_of(path) and not is_dicom(content):
            self.found.passed["no suffix"] += 1
            return False
        return True

    def _members(self) -> Iterator[Member]:
        return self._of_zip() if self._is_zip else self._of_tar()

    def _of_zip(self) -> Iterator[Member]:
        with zipfile.ZipFile(self._place) as archive:
            entries = archive.infolist()
            if _entries_said(self._place, archive) not in (len(entries), _MANY):
                raise zipfile.BadZipFile("its list of files is not whole")
            for entry in entries:
                link = S_ISLNK(entry.external_attr >> 16)
                name = entry.filename.replace("\\", "/")
                yield name, entry.is_dir(), None if link else partial(archive.open, entry)

    def _of_tar(self) -> Iterator[Member]:
        with (
            self._open(self._place) if self._open else self._place.open("rb") as stream,
            tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictInfo) as tar,
        ):
            for member in tar:
                if member.isdir():
                    yield member.name, True, None
                elif member.isfile():
                    yield member.name, False, partial(_in_stream, tar, member)
                elif member.islnk() or member.issym():
                    yield member.name, False, None
                tar.members = []  # type: ignore[attr-defined]  # a tar in a stream keeps them all otherwise
            rest: Any = tar.fileobj
            while piece := rest.read(_PIECE):
                if piece.count(0) != len(piece):
                    raise tarfile.ReadError("more follows after its end (several tars in a row?)")


class _InStream:
    """A file at the place where the stream of a tar is. That of tarfile takes twice the time for small files."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int = -1) -> bytes:
        size = self._left if size < 0 else min(size, self._left)
        content = bytes(self._stream.read(size)) if size else b""
        if len(content) < size:
            raise tarfile.ReadError("unexpected end of data")
        self._left -= size
        return content


def _in_stream(tar: tarfile.TarFile, member: tarfile.TarInfo) -> "Readable | None":
    stream: Any = tar.fileobj
    usual = not member.issparse() and stream.tell() == member.offset_data
    return _InStream(stream, member.size) if usual else tar.extractfile(member)


class _StrictInfo(tarfile.TarInfo):
    """A header. tarfile takes a damaged one, and the end of the file, for the end of the tar."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_StrictInfo":
        try:
            return _of_file(cls, bytes(buf)) or super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"a header is damaged or missing ({error})") from error


def _of_file(kind: type[_StrictInfo], header: bytes) -> _StrictInfo | None:
    """Returns the header of a usual file, with its name and size; None: tarfile must look at it, which takes longer."""
    if header[156:157] != tarfile.REGTYPE or len(header) != tarfile.BLOCKSIZE or header[124] & 0x80:
        return None
    try:
        checksum, size = (int(header[at].strip(b" \0"), 8) for at in (_CHECKSUM, slice(124, 136)))
        name, prefix = (header[at].partition(b"\0")[0].decode("utf-8") for at in (slice(0, 100), slice(345, 500)))
    except ValueError:
        return None
    if size < 0 or checksum != sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" "):
        return None
    info = kind(f"{prefix}/{name}" if prefix else name)
    info.size = size
    return info


def _entries_said(place: Path, archive: zipfile.ZipFile) -> int:
    """Returns the number of entries that the end of a zip says it has; zipfile does not compare it."""
    with place.open("rb") as file:
        file.seek(-_END_OF_ZIP - len(archive.comment), 2)
        (said,) = struct.unpack_from("<H", file.read(_END_OF_ZIP), _ENTRIES_AT)
    return int(said)


def _below(name: str, inside: list[str]) -> list[str] | None:
    """Returns the parts of a member's path below a folder, or None if it is elsewhere or junk.

    pathlib would take a quarter of the time in which a tar is read.
    """
    parts = [part for part in name.split("/") if part and part != "."]
    below = parts[len(inside) :]
    return None if not below or parts[: len(inside)] != inside or any(map(is_junk, below)) else below

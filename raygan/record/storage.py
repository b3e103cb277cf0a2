"""Where a run folder is kept: on this machine, or at a URI that Ray's storage takes, with a copy on this machine."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from raygan.errors import InputError, StorageError
from raygan.files import cache_folder

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

Stamp = tuple[int, int]
"""Size and time of change: a file whose stamp is another has changed."""

_BY_ARROW = {"file", "s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss"}  # as in Ray; fsspec has the others
_PUT_AT_ONCE = {"s3", "gcs", "abfs"}  # a file is there when all of it is
_METRICS = "metrics.jsonl"
_UNSENT = ".unsent"  # says that the local copy is ahead of what is at the URI


def is_uri(where: str | Path) -> bool:
    """Whether it is a URI, such as s3://bucket/runs/x, rather than a path."""
    return "://" in str(where)


def store_at(where: str | Path) -> "Store":
    """The store of a run whose folder is to be `where`.

    Raises:
        InputError: a URI of a kind that is not known, or that cannot be reached.
    """
    return Remote(str(where)) if is_uri(where) else Store(Path(where).resolve())


class Store:
    """A run folder on this machine: everything is written where it is kept."""

    uri: str | None = None

    def __init__(self, local: Path) -> None:
        self.local = local
        """The folder that a run reads and writes."""

    def pull(self) -> None:
        """Make the local folder what is kept."""

    def clear(self) -> None:
        """Make the local folder ready for a new run."""

    def claim(self) -> None:
        """Write there what a run begins with.

        Raises:
            InputError: it cannot be written.
        """
        try:
            self.push()
        except StorageError as error:
            raise InputError(f"--out: {error}") from error

    def push(self) -> None:
        """Make what is kept the local folder.

        Raises:
            StorageError: it cannot be written; what is kept can be resumed nevertheless.
        """

    @contextmanager
    def named(self) -> Iterator[None]:
        """Inside, what is wrong with the local folder is said of where it is kept."""
        yield


class Remote(Store):
    """A run folder at a URI; the local one is a copy in the cache.

    Stores of objects cannot rename a folder. So that what is there can be resumed at every moment, a checkpoint's
    manifest goes up behind its files, metrics.jsonl behind everything that its lines speak of, and only then does
    anything go away. (HDFS replaces a file in two steps; between them it is missing.)
    """

    def __init__(self, uri: str) -> None:
        self.uri: str = uri.rstrip("/")
        digest = hashlib.blake2b(self.uri.encode(), digest_size=8).hexdigest()
        super().__init__(cache_folder("runs") / f"{_words(self.uri)[-1]}-{digest}")
        with _reaching(self.uri, "reached", InputError):
            self._files, self._root = _resolve(self.uri)
        self._there: dict[str, Stamp | None] = {}

    def pull(self) -> None:
        """Replace the local copy by what is there; one that was not sent to the end is put aside.

        Raises:
            InputError: it cannot be read.
        """
        fresh = Path(tempfile.mkdtemp(prefix=".", dir=self.local.parent))
        try:
            self.fetch(self._names(), fresh)
            if (self.local / _UNSENT).exists():
                self.local.rename(tempfile.mkdtemp(prefix=f"{self.local.name}-unsent-", dir=self.local.parent))
            shutil.rmtree(self.local, ignore_errors=True)
            fresh.rename(self.local)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        self._there = self._here()

    def fetch(self, names: Iterable[str], to: Path) -> None:
        """Copy these files and folders, those of them that are there, into the folder `to`.

        Raises:
            InputError: they cannot be read.
        """
        from pyarrow.fs import FileType, LocalFileSystem, copy_files

        to.mkdir(parents=True, exist_ok=True)
        with _reaching(self.uri, "read", InputError):
            for name in names:
                source = f"{self._root}/{name}"
                kind = self._files.get_file_info(source).type
                if kind == FileType.Directory:
                    (to / name).mkdir()  # copy_files makes those below
                if kind != FileType.NotFound:
                    copy_files(source, str(to / name), self._files, LocalFileSystem())

    def clear(self) -> None:
        """Drop the local copy of an earlier run at this URI.

        Raises:
            InputError: there is something at the URI, or it cannot be read.
        """
        if names := self._names():
            hint = "add --resume to go on with it (in Python resume=True), or " if "config.yaml" in names else ""
            raise InputError(f"--out: {self.uri} exists and is not empty; {hint}name another folder")
        shutil.rmtree(self.local, ignore_errors=True)

    def push(self) -> None:
        """Send what has changed, and remove there what is gone here.

        Raises:
            StorageError: it cannot be written; what is there can be resumed nevertheless.
        """
        unsent = self.local / _UNSENT
        with _reaching(self.uri, "written", StorageError):
            if self.local.exists():
                unsent.touch()
            frozen = self._freeze_metrics()  # before the rest is listed: no line without the picture that goes with it
            here = self._here()
            if _METRICS in here:
                here[_METRICS] = _stamp(frozen)
            for name in sorted(here, key=_turn):
                if self._there.get(name) != here[name]:
                    self._send(frozen if name == _METRICS else self.local / name, name)
                    self._there[name] = here[name]
            self._remove(self._there.keys() - here.keys(), _folders(here))
        unsent.unlink(missing_ok=True)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Inside, what is wrong with the local folder is said of the URI."""
        with _naming(self.local, self.uri):
            yield

    def _names(self) -> list[str]:
        """What is in the folder at the URI."""
        from pyarrow.fs import FileSelector

        with _reaching(self.uri, "read", InputError):
            found = self._files.get_file_info(FileSelector(self._root, allow_not_found=True))
        return [info.base_name for info in found]

    def _here(self) -> dict[str, Stamp | None]:
        """The files of the local folder, without hidden ones: those are being written."""
        found: dict[str, Stamp | None] = {}
        for folder, folders, files in os.walk(self.local):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for path in (Path(folder, name) for name in files if not name.startswith(".")):
                found[path.relative_to(self.local).as_posix()] = _stamp(path)
        return found

    def _freeze_metrics(self) -> Path:
        frozen = self.local / f".{_METRICS}"
        with suppress(FileNotFoundError):
            shutil.copy2(self.local / _METRICS, frozen)
        return frozen

    def _send(self, source: Path, name: str) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        target = PurePosixPath(self._root, name)
        # A half-written checkpoint is known by its checksums; any other file must be there whole or not at all.
        whole = name.startswith("checkpoints/") or self._files.type_name in _PUT_AT_ONCE
        landing = target if whole else target.with_name(f".{target.name}")
        if str(PurePosixPath(name).parent) not in _folders(self._there):
            self._files.create_dir(str(target.parent), recursive=True)
        self._there[name] = None  # from here on there may be a part of it
        copy_files(str(source), str(landing), LocalFileSystem(), self._files)
        if landing != target:
            self._files.move(str(landing), str(target))

    def _remove(self, names: Iterable[str], kept: set[str]) -> None:
        """Remove files; at once those of a folder that is not among the `kept`."""
        doomed: dict[str, list[str]] = {}
        for name in names:
            folder = str(PurePosixPath(name).parent) if kept else ""
            doomed.setdefault(name if folder in kept else folder, []).append(name)
        for path, held in doomed.items():
            with suppress(FileNotFoundError):  # a file that was never sent as a whole
                if path in held:
                    self._files.delete_file(f"{self._root}/{path}")
                else:
                    self._files.delete_dir(f"{self._root}/{path}".rstrip("/"))
            for name in held:
                del self._there[name]


@contextmanager
def opened(where: str | Path, *names: str) -> Iterator[Path]:
    """A run folder to read: itself, or for a URI a copy of these files and folders, dropped in the end.

    Raises:
        InputError: it cannot be read.
    """
    if not is_uri(where):
        yield Path(where)
        return
    remote = Remote(str(where))
    with tempfile.TemporaryDirectory(prefix="raygan-") as scratch:
        local = Path(scratch).resolve().joinpath(*_words(remote.uri))  # named as the URI, for comparisons
        remote.fetch(names, local)
        with _naming(local, remote.uri):
            yield local


@contextmanager
def _naming(local: Path, uri: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace(str(local), uri)) from error


@contextmanager
def _reaching(uri: str, what: str, kind: type[InputError] | type[StorageError]) -> Iterator[None]:
    """Every failure inside is one of reaching the URI, said in one line; each library has its own exceptions."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise kind(f"{uri}: cannot be {what}: {reason}") from error


def _resolve(uri: str) -> tuple["FileSystem", str]:
    """The file system that a URI names, and the folder's path in it."""
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    scheme = uri.partition("://")[0]
    if scheme in _BY_ARROW:
        found: tuple[FileSystem, str] = FileSystem.from_uri(uri)
        return found
    import fsspec

    try:
        fsspec.get_filesystem_class(scheme)
    except ValueError as error:
        known = "s3://, gs://, hdfs://, file:/// or another that fsspec knows"
        raise InputError(f"{uri}: {scheme}:// is not known; use {known}") from error
    files, path = fsspec.url_to_fs(uri)
    files.invalidate_cache()  # fsspec gives the same object to everyone in this process, with what it saw before
    return PyFileSystem(FSSpecHandler(files)), path


def _words(uri: str) -> list[str]:
    """What a URI is made of, without options behind a question mark."""
    return re.split("[:/]+", uri.partition("?")[0])


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _folders(names: Iterable[str]) -> set[str]:
    """All that the files are in."""
    return {str(parent) for name in names for parent in PurePosixPath(name).parents}


def _turn(name: str) -> tuple[bool, bool, bool, str]:
    """Sorts files as they are to be sent: see `Remote`."""
    return name == _METRICS, not name.startswith("checkpoints/"), name.endswith("/manifest.json"), name

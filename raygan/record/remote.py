"""The store of a run folder at a URI that Ray's storage supports, with a copy on this machine."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from raygan.errors import InputError, StorageError
from raygan.files import cache_folder, file_system, is_uri, reaching
from raygan.record.folder import RunFolder
from raygan.record.lease import Lease
from raygan.record.lock import DRIVER, hold
from raygan.record.log import EVALUATIONS, ROUNDS, MetricsLog
from raygan.record.sending import Stamp, files_in, folders_of, stamp, turn
from raygan.record.settings import lasting
from raygan.record.store import Store

_PUT_AT_ONCE = {"s3", "gcs", "abfs"}  # stores where a file appears only when it is complete
_UNSENT = ".unsent"  # marks a local copy that is ahead of the URI


def local_folder(where: str | Path) -> Path:
    """Returns the folder of a run on this machine: itself, or the copy of a URI, which need not be there."""
    if not is_uri(where):
        return Path(where).resolve()
    uri = str(where).rstrip("/")
    digest = hashlib.blake2b(uri.encode(), digest_size=8).hexdigest()
    return cache_folder("runs") / f"{words_of(uri)[-1]}-{digest}"


class Remote(Store):
    """A run folder at a URI, with a local copy in the cache.

    Object stores cannot rename a folder. So that the URI can be resumed at any moment, files are sent in order: a
    checkpoint's files before its manifest, everything that the log refers to before the log, and rounds.jsonl last.
    Only then are files removed. (HDFS replaces a file in two steps; in between it is missing.)
    """

    def __init__(self, uri: str) -> None:
        self.uri: str = uri.rstrip("/")
        super().__init__(local_folder(self.uri))
        with reaching(self.uri, "reached", InputError):
            self._files, self._root = file_system(self.uri)
        self._lease = Lease(self._files, self._root, self.uri)
        self._there: dict[str, Stamp | None] = {}

    def hold(self, said: Callable[[str], None] = lambda text: None) -> None:
        """Become the only writer: on this machine by a lock beside the copy, among machines by a lease at the URI."""
        if self._lock is None:
            self._lock = hold(self.local.with_name(f"{self.local.name}{DRIVER}"), self.uri)
            try:
                self._lease.take(said)
            except BaseException:
                super().release()
                raise

    def release(self) -> None:
        """Let others write."""
        if self._lock is not None:
            self._lease.give_up()
        super().release()

    def pull(self, said: Callable[[str], None] = lambda text: None) -> None:
        """Replace the local copy by the URI's content, or keep it, if it is the same run and was only partly sent.

        Raises:
            InputError: it cannot be read.
        """
        fresh = Path(tempfile.mkdtemp(prefix=".", dir=self.local.parent))
        try:
            self.fetch(self.names(), fresh)
            here, there = MetricsLog(self.local), MetricsLog(fresh)
            unsent = (self.local / _UNSENT).exists()
            if unsent and _same_run(self.local, fresh) and goes_on_from(here, there):
                said(
                    f"{self.uri}: it ends at round {there.last_round()}, as the rest could not be sent; going on from "
                    f"the copy on this machine, which ends at round {here.last_round()} ({self.local})"
                )
                self._there = dict.fromkeys(files_in(fresh))  # sent again, because it is unknown which files are whole
                return
            if unsent and not goes_on_from(there, here):
                aside = tempfile.mkdtemp(prefix=f"{self.local.name}-unsent-", dir=self.local.parent)
                self.local.rename(aside)
                said(f"{self.uri}: a copy on this machine that was not sent went on otherwise; it is now in {aside}")
            shutil.rmtree(self.local, ignore_errors=True)
            fresh.rename(self.local)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        self._there = files_in(self.local)

    def fetch(self, names: Iterable[str], to: Path) -> None:
        """Copy these files and folders, if they exist, into the folder `to`.

        Raises:
            InputError: they cannot be read.
        """
        from pyarrow.fs import FileType, LocalFileSystem, copy_files

        to.mkdir(parents=True, exist_ok=True)
        with reaching(self.uri, "read", InputError):
            for name in names:
                source = f"{self._root}/{name}"
                kind = self._files.get_file_info(source).type
                if kind == FileType.Directory:
                    (to / name).mkdir()  # copy_files creates the folders below
                if kind != FileType.NotFound:
                    copy_files(source, str(to / name), self._files, LocalFileSystem())

    def clear(self) -> None:
        """Lock the URI, and delete the local copy of an earlier run there.

        Raises:
            InputError: the URI is not empty, cannot be read, or is held by another process.
        """
        self.hold()
        if names := self.names():
            hint = "add --resume to go on with it (in Python resume=True), or " if "config.yaml" in names else ""
            raise InputError(f"--out: {self.uri} exists and is not empty; {hint}name another folder", code="exists")
        shutil.rmtree(self.local, ignore_errors=True)  # its content belonged to a run that no longer exists

    def push(self) -> None:
        """Send changed files to the URI, and remove files that no longer exist locally.

        Raises:
            StorageError: the URI cannot be written; its content can still be resumed.
        """
        unsent = self.local / _UNSENT
        self._lease.check()
        with reaching(self.uri, "written", StorageError):
            if self.local.exists():
                unsent.touch()
            frozen = self._freeze_log()  # before the rest is listed, so that no line lacks its picture
            here = files_in(self.local)
            here |= {name: stamp(copy) for name, copy in frozen.items() if name in here}
            for name in sorted(here, key=turn):
                if self._there.get(name) != here[name]:
                    self._send(frozen.get(name, self.local / name), name)
                    self._there[name] = here[name]
            self._remove(self._there.keys() - here.keys(), folders_of(here))
        unsent.unlink(missing_ok=True)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Inside the block, errors about the local folder name the URI."""
        with naming_uri(self.local, self.uri):
            yield

    def names(self) -> list[str]:
        """Returns the content of the folder at the URI."""
        from pyarrow.fs import FileSelector

        with reaching(self.uri, "read", InputError):
            found = self._files.get_file_info(FileSelector(self._root, allow_not_found=True))
        return [info.base_name for info in found if not info.base_name.startswith(".")]

    def _freeze_log(self) -> dict[str, Path]:
        """Copy the current log files: the evaluations first, because their rounds are then in the rounds file."""
        frozen = {}
        for name in (EVALUATIONS, ROUNDS):
            with suppress(FileNotFoundError):
                frozen[name] = Path(shutil.copy2(self.local / name, self.local / f".{name}"))
        return frozen

    def _send(self, source: Path, name: str) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        target = PurePosixPath(self._root, name)
        # A half-written checkpoint is known by its checksums; any other file must be there whole or not at all.
        whole = name.startswith("checkpoints/") or self._files.type_name in _PUT_AT_ONCE
        landing = target if whole else target.with_name(f".{target.name}")
        if str(PurePosixPath(name).parent) not in folders_of(self._there):
            self._files.create_dir(str(target.parent), recursive=True)
        self._there[name] = None  # from here on the file may be partly there
        copy_files(str(source), str(landing), LocalFileSystem(), self._files)
        if landing != target:
            self._files.move(str(landing), str(target))

    def _remove(self, names: Iterable[str], kept: set[str]) -> None:
        """Remove files, and in one step folders that are not among the `kept`."""
        doomed: dict[str, list[str]] = {}
        for name in names:
            folder = str(PurePosixPath(name).parent) if kept else ""
            doomed.setdefault(name if folder in kept else folder, []).append(name)
        for path, held in doomed.items():
            with suppress(FileNotFoundError):  # a file that was never sent completely
                if path in held:
                    self._files.delete_file(f"{self._root}/{path}")
                else:
                    self._files.delete_dir(f"{self._root}/{path}".rstrip("/"))
            for name in held:
                del self._there[name]


@contextmanager
def naming_uri(local: Path, uri: str | None) -> Iterator[None]:
    """Inside the block, errors about a copy name its URI; without a copy, errors are unchanged."""
    try:
        yield
    except InputError as error:
        if uri is None:
            raise
        key = error.key and error.key.replace(str(local), uri)
        raise InputError(str(error).replace(str(local), uri), code=error.code, key=key) from error


def words_of(uri: str) -> list[str]:
    """Returns the names of a URI's parts, without options after a question mark."""
    return re.split("[:/]+", uri.partition("?")[0])


def _same_run(one: Path, other: Path) -> bool:
    try:
        settings = [lasting(RunFolder(root).read_config()) for root in (one, other)]
    except InputError:
        return False
    return settings[0] == settings[1]


def goes_on_from(one: MetricsLog, other: MetricsLog) -> bool:
    """Returns whether one log starts with all of the other: it is of the same run, at least as far."""
    mine, theirs = (log.rounds.read_bytes() if log.rounds.exists() else b"" for log in (one, other))
    return mine.startswith(theirs)

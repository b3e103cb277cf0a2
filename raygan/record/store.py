"""The store of a run folder that lies on this machine, and what every store does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from raygan.errors import InputError, StorageError
from raygan.record.lock import DRIVER, Lock, hold, remove_recorders


class Store:
    """A run folder on this machine, which needs no copy."""

    uri: str | None = None

    def __init__(self, local: Path) -> None:
        self.local = local
        """The local folder that a run reads and writes."""
        self._lock: Lock | None = None

    def hold(self, said: Callable[[str], None] = lambda text: None) -> None:
        """Become the only writer, until `release` or the end of this process; does nothing if it is the writer already.

        Raises:
            InputError: another process is the writer; names it.
        """
        if self._lock is None and self.local.is_dir():
            self._lock = hold(self.local / DRIVER, str(self.local))

    def release(self) -> None:
        """Let others write."""
        if self._lock is not None:
            remove_recorders(self.local)
            self._lock.release()
            self._lock = None

    def pull(self, said: Callable[[str], None] = lambda text: None) -> None:
        """Update the local folder from the storage, to continue writing; returns a message about it."""

    def clear(self) -> None:
        """Prepare the local folder for a new run."""

    def claim(self) -> None:
        """Write the first files of a run to the storage.

        Raises:
            InputError: the storage cannot be written.
        """
        try:
            self.push()
        except StorageError as error:
            raise InputError(f"--out: {error}", code=error.code) from error

    def push(self) -> None:
        """Update the storage from the local folder.

        Raises:
            StorageError: the storage cannot be written; its content can still be resumed.
        """

    @contextmanager
    def named(self) -> Iterator[None]:
        """Inside the block, errors about the local folder name its storage."""
        yield

"""The lock by which one process writes a run folder, held as long as the process lives.

It is a lock of the operating system on a file in the folder, which is released when the process ends for any reason.
"""

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from raygan.errors import InputError, RunError

DRIVER, RECORDER = ".lock", ".recorder.lock"
PATIENCE_S = 5.0
"""How long a resumed run waits for the previous process, which may just be ending."""
RECORDER_PATIENCE_S = 120.0
"""How long a recorder may continue to write after its run was interrupted (a checkpoint that it has begun)."""
_STEP_S = 0.05


class Lock:
    """A lock file that one process holds, or several processes that `share` it."""

    def __init__(self, path: Path, share: bool = False) -> None:
        self._path = path
        self._how = fcntl.LOCK_SH if share else fcntl.LOCK_EX
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """Acquire the lock, unless a process holds it without sharing; returns whether it is held now.

        Raises:
            OSError: the file system has no locks, or the file cannot be opened.
        """
        while self._file is None:
            file = self._path.open("a+", encoding="utf-8")
            try:
                fcntl.flock(file, self._how | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
            except OSError:
                file.close()
                raise
            if _is_at(file, self._path):
                self._file = file
                self._sign(file)
            else:
                file.close()  # its holder has just removed it
        return True

    def release(self) -> None:
        """Release the lock and remove the file."""
        if self._file is not None:
            with self._file as file, suppress(BlockingIOError):  # another process that shares it still needs it
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(file, self._path):
                    self._path.unlink()
            self._file = None

    def __del__(self) -> None:
        """Release the lock when it is garbage-collected."""
        if self._file is not None:
            self._file.close()

    def holder(self) -> str:
        """Returns the process that signed the file, in words."""
        try:
            signed = json.loads(self._path.read_text(encoding="utf-8"))
            return f"process {signed['pid']} on {signed['machine']} since {signed['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def _sign(self, file: IO[str]) -> None:
        """Write whose lock it is. On a full disk it is nobody's by name, and a lock like any other."""
        if self._how == fcntl.LOCK_EX:
            with suppress(OSError):
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), json.dumps(signature()).encode())


def signature() -> dict[str, object]:
    """Describes this process; `kernel` is the scope of its id: one boot of one machine or container."""
    return {
        "pid": os.getpid(),
        "machine": socket.gethostname(),
        "kernel": _kernel(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _kernel() -> str:
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return socket.gethostname()


def hold(path: Path, of: str, patience_s: float = PATIENCE_S) -> Lock:
    """Lock a run with the file at `path`.

    Raises:
        InputError: another process holds the lock; names that process and the run, `of`.
    """
    lock, deadline = Lock(path), time.monotonic() + patience_s
    while not _taken(lock, of):
        if time.monotonic() > deadline:
            raise InputError(
                f"--out: {of} is being written by {lock.holder()}; wait until that run is over, or end it", code="held"
            )
        time.sleep(_STEP_S)
    return lock


def share(root: Path) -> Lock:
    """Lock the run folder `root` as a recorder."""
    lock = Lock(root / RECORDER, share=True)
    while not lock.take():  # another process is checking for recorders
        time.sleep(_STEP_S)
    return lock


def wait_for_recorder(root: Path) -> None:
    """Wait until no recorder of an earlier attempt writes in the run folder `root`.

    Raises:
        RunError: one does so for too long.
    """
    lock, deadline = Lock(root / RECORDER), time.monotonic() + RECORDER_PATIENCE_S
    while not lock.take():
        if time.monotonic() > deadline:
            raise RunError(f"{root}: the recorder of an earlier try still writes there; end its process", code="held")
        time.sleep(_STEP_S)
    lock.release()


def remove_recorders(root: Path, patience_s: float = PATIENCE_S) -> None:
    """Remove the lock of recorders that were ended in the run folder `root`, once the last of them is gone."""
    lock, deadline = Lock(root / RECORDER), time.monotonic() + patience_s
    while (root / RECORDER).exists() and time.monotonic() < deadline:
        if lock.take():
            lock.release()
        else:
            time.sleep(_STEP_S)


def _taken(lock: Lock, of: str) -> bool:
    try:
        return lock.take()
    except OSError as error:
        raise InputError(f"--out: {of} cannot be locked: {error.strerror or error}", code="unreadable") from error


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False

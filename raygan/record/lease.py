"""The lease by which one process writes a run at a URI; it expires if it is not renewed.

An object store has no locks, and overwrites files that exist. So a lease is written and read again a moment later: of
two processes that start at once, the one that finds the other's name gives way. A renewal is detected by waiting,
without comparing the clocks of two machines.
"""

import json
import os
import secrets
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING

from raygan.errors import InputError, StorageError
from raygan.record.lock import signature

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

NAME = ".lease.json"
RENEWED_S = 10.0
"""Interval of renewals."""
OVER_S = 35.0
"""A lease that has not changed for so long has expired."""
SETTLED_S = 0.5
"""Time between writing a lease and reading it again."""


class Lease:
    """A hidden file in a run folder at a URI."""

    def __init__(self, files: "FileSystem", root: str, uri: str) -> None:
        self._files = files
        self._path = f"{root.rstrip('/')}/{NAME}"
        self._uri = uri
        self._name = secrets.token_hex(8)
        self._over = Event()
        self._thread: Thread | None = None
        self._lost = ""

    def take(self, said: Callable[[str], None]) -> None:
        """Acquire the lease, and renew it until it is released; reports a wait for another one.

        Raises:
            InputError: another process holds the lease, or it cannot be written.
        """
        try:
            self._wait_for_the_end_of_another(said)
            self._write(0)
            time.sleep(SETTLED_S)
            if (found := self._read()) is not None and found.get("name") != self._name:
                raise InputError(_held(self._uri, found), code="held")
        except InputError:
            raise
        except Exception as error:  # each library has its own exceptions
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"--out: {self._uri}: cannot be written: {reason}", code="unreadable") from error
        self._thread = Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise StorageError if another process has taken over the run."""
        if self._lost:
            raise StorageError(self._lost, code="held")

    def give_up(self) -> None:
        """Release the lease."""
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        if not self._lost:
            try:
                self._files.delete_file(self._path)
            except Exception:
                return  # the lease expires by itself

    def _wait_for_the_end_of_another(self, said: Callable[[str], None]) -> None:
        found, until = self._read(), time.monotonic() + OVER_S
        if found is not None and not _is_dead(found):
            said(f"{self._uri}: waiting up to {OVER_S:g} s to see whether {_who(found)} still writes there")
        while found is not None and not _is_dead(found):
            if time.monotonic() > until:
                return
            time.sleep(min(1.0, OVER_S / 10))
            now = self._read()
            if now is not None and now != found:
                raise InputError(_held(self._uri, now), code="held")
            found = now

    def _renew(self) -> None:
        times = 0
        while not self._over.wait(RENEWED_S):
            times += 1
            try:
                found = self._read()
                if found is not None and found.get("name") != self._name:
                    self._lost = _held(self._uri, found)
                    return
                self._write(times)
            except Exception:
                continue  # the network may be back at the next renewal

    def _write(self, times: int) -> None:
        signed = {"name": self._name, "renewed": times, **signature()}
        self._files.create_dir(self._path.rpartition("/")[0], recursive=True)
        with self._files.open_output_stream(self._path) as file:
            file.write(json.dumps(signed).encode())

    def _read(self) -> dict[str, object] | None:
        """Returns the lease at the URI; {} if it is being written."""
        from pyarrow.fs import FileType

        if self._files.get_file_info(self._path).type == FileType.NotFound:
            return None
        try:
            with self._files.open_input_stream(self._path) as file:
                found = json.loads(file.read())
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def _is_dead(found: dict[str, object]) -> bool:
    """Returns whether the lease was signed by a process of this machine that has ended."""
    if found.get("kernel") != signature()["kernel"] or not isinstance(pid := found.get("pid"), int):
        return False
    if pid == os.getpid():
        return True  # an earlier run of this process, which did not release it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _who(found: dict[str, object]) -> str:
    return f"process {found.get('pid')} on {found.get('machine')}"


def _held(uri: str, found: dict[str, object]) -> str:
    since = found.get("since")
    return f"--out: {uri} is being written by {_who(found)} since {since}; wait until that run is over, or end it"

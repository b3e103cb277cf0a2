"""Processes that decode pictures beside this one.

They are commands of their own, neither forked (this process has threads) nor of multiprocessing (which would run the
user's script once more). Each ends when this process closes its pipe or is gone.
"""

import fcntl
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self

from raygan.errors import RunError

if TYPE_CHECKING:
    from raygan.data.decoding import Scan, Task

_QUEUED = 4
"""Tasks that a process has at most, so that it never waits for the next."""
_MOST = 15
_PIPE_BYTES = 1 << 20
_COMMAND = "import sys; sys.path[:] = {path!r}; from raygan.data.pool import serve; serve({down}, {up})"


def cores() -> int:
    """Returns the number of cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # on macOS
    return min(usable, _MOST + 1)


class Pool:
    """Processes for tasks of `raygan.data.decoding`, which end with the block."""

    def __init__(self, count: int) -> None:
        self._helpers: list[_Helper] = []
        try:
            for _ in range(count):
                self._helpers.append(_Helper())
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for helper in self._helpers:
            helper.end()

    def give(self, start: int, task: "Task") -> bool:
        """Give a task to a process that is up and has few; returns whether there is one."""
        free = min(self._helpers, key=lambda helper: len(helper.starts))
        if not free.up or len(free.starts) >= _QUEUED:
            return False
        free.give(start, task)
        return True

    def ready(self) -> "list[tuple[int, Scan]]":
        """Returns what is done, without waiting."""
        return self._collected(0)

    def rest(self) -> "Iterator[tuple[int, Scan]]":
        """Yields everything that is not done yet, as it is."""
        while any(helper.starts for helper in self._helpers):
            yield from self._collected(None)

    def _collected(self, seconds: float | None) -> "list[tuple[int, Scan]]":
        by_pipe = {helper.up_pipe: helper for helper in self._helpers if helper.starts or not helper.up}
        done = [by_pipe[pipe].take() for pipe in wait(list(by_pipe), seconds)]  # type: ignore[index]
        return [one for one in done if one is not None]


class _Helper:
    def __init__(self) -> None:
        self.up = False
        self.starts: list[int] = []
        down, to = os.pipe()
        of, up = os.pipe()
        for pipe in (down, up):
            with suppress(OSError, AttributeError):  # smaller ones do, more slowly; other systems have no such call
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        command = _COMMAND.format(path=sys.path, down=down, up=up)
        self._to = Connection(to, readable=False)
        self.up_pipe = Connection(of, writable=False)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", command],
                pass_fds=(down, up),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the process that started it
            )
        finally:
            os.close(down)
            os.close(up)

    def give(self, start: int, task: "Task") -> None:
        self.starts.append(start)
        try:
            self._to.send_bytes(pickle.dumps(task, pickle.HIGHEST_PROTOCOL))
        except OSError as error:
            raise self._lost() from error

    def take(self) -> "tuple[int, Scan] | None":
        """Returns the first task's result; None: the process is only up."""
        try:
            result = pickle.loads(self.up_pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if not self.up:
            self.up = True
            return None
        if isinstance(result, str):
            raise RunError(f"data: decoding images failed: {result}", code="failed")
        return self.starts.pop(0), result

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._to.close()
        self.up_pipe.close()

    def _lost(self) -> RunError:
        return RunError(
            f"data: a process that decodes images ended (status {self._process.wait()}); is there too little memory?",
            code="failed",
        )


def serve(down: int, up: int) -> None:
    """Decode what comes, until the pipe is closed."""
    from raygan.data.decoding import work

    results = Connection(up, readable=False)
    waiting: SimpleQueue[Task | None] = SimpleQueue()
    Thread(target=_receive, args=(down, waiting), daemon=True).start()
    with suppress(OSError):
        results.send_bytes(pickle.dumps("up"))
        while (task := waiting.get()) is not None:
            try:
                answer: object = work(task)
            except Exception as error:
                answer = f"{type(error).__name__}: {error}"
            results.send_bytes(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


def _receive(down: int, waiting: "SimpleQueue[Task | None]") -> None:
    """Take tasks at once, so that a process that sends one never waits for one that sends a result."""
    tasks = Connection(down, writable=False)
    with suppress(EOFError, OSError):
        while True:
            waiting.put(pickle.loads(tasks.recv_bytes()))
    waiting.put(None)

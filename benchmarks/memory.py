"""Memory of a process and all that it has started, told by kind of process."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import psutil

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))  # where tests is, before all others of the name

from tests.processes import descendants

STORE = "/dev/shm/"  # where Ray's object store lies


class Memory:
    """Memory of a process, of this one if none is named, and of all that it has started (bytes)."""

    def __init__(self, pid: int | None = None) -> None:
        self.private: Counter[str] = Counter()
        """By kind of process; what nobody else maps, the object store left out."""
        self.stored = 0
        """Pages of the object store in use."""
        self.mapped = 0
        """Their shares of what else several of them map, such as libraries."""
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(pid)
            for process in [first, *descendants(first.pid)]:
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    self._add(process, "driver" if process.pid == first.pid else None)

    def _add(self, process: psutil.Process, kind: str | None) -> None:
        maps, kind = process.memory_maps(), kind or _kind(process.cmdline()[0])
        for one in maps:
            if one.path.startswith(STORE):
                self.stored += one.pss
            else:
                private = one.private_clean + one.private_dirty
                self.private[kind] += private
                self.mapped += one.pss - private

    @property
    def total(self) -> int:
        """Private memory of all processes."""
        return sum(self.private.values())

    def __str__(self) -> str:
        return f"{self.total / 1e6:,.0f} MB private and {self.stored / 1e6:,.0f} MB in the object store"


@dataclass
class Peak:
    """The most of each that was seen, not of one moment (bytes)."""

    private: int = 0
    stored: int = 0
    mapped: int = 0


@contextmanager
def peak(pid: int | None = None) -> Iterator[Peak]:
    """Look at the memory again and again inside. That takes time of its own, so nothing should be timed meanwhile."""
    most, over = Peak(), Event()

    def look() -> None:
        while True:
            now = Memory(pid)
            most.private = max(most.private, now.total)
            most.stored = max(most.stored, now.stored)
            most.mapped = max(most.mapped, now.mapped)
            if over.wait(0.05):
                return

    looking = Thread(target=look, daemon=True)
    looking.start()
    try:
        yield most
    finally:
        over.set()
        looking.join()


def _kind(command: str) -> str:
    """An actor's class, or what else a process runs."""
    if command.startswith("ray::"):
        return command.removeprefix("ray::").split(".")[0]
    return Path(command).name

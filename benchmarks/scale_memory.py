"""Memory of a process and all that it has started, told by kind of process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import psutil

SHARED = "/dev/shm/"  # where Ray's object store lies


class Memory:
    """Memory of this process and all that it has started (bytes)."""

    def __init__(self) -> None:
        self.private: Counter[str] = Counter()
        """By kind of process; what nobody else maps, the object store left out."""
        self.shared = 0
        """Pages of the object store in use."""
        this = psutil.Process()
        for process in [this, *this.children(recursive=True)]:
            try:
                maps, command = process.memory_maps(), process.cmdline()[0]
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            stored = [one for one in maps if one.path.startswith(SHARED)]
            self.shared += sum(one.pss for one in stored)
            private = sum(one.private_clean + one.private_dirty for one in maps)
            private -= sum(one.private_clean + one.private_dirty for one in stored)
            self.private["driver" if process.pid == this.pid else _kind(command)] += private

    @property
    def total(self) -> int:
        """Private memory of all processes."""
        return sum(self.private.values())

    def __str__(self) -> str:
        return f"{self.total / 1e6:,.0f} MB private and {self.shared / 1e6:,.0f} MB shared"


@contextmanager
def peak() -> Iterator[list[Memory]]:
    """Look at the memory again and again inside; the list is empty until the end, then holds the highest."""
    seen: list[Memory] = []
    over = Event()

    def look() -> None:
        while not over.wait(0.05):
            seen.append(Memory())

    looking = Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()
        seen.sort(key=lambda memory: memory.total, reverse=True)


def _kind(command: str) -> str:
    """An actor's class, or what else a process runs."""
    if command.startswith("ray::"):
        return command.removeprefix("ray::").split(".")[0]
    return Path(command).name

"""Peak memory of a process and of all it has started."""

import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil

MB = 1e6


class PeakMemory:
    """Samples in a thread while inside. Sampling takes time of its own, so nothing should be timed meanwhile."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.private_mb = 0.0
        """The most that would be free again if they all ended: the sum of their unique set sizes."""
        self.shared_mb = 0.0
        """The most of their shares of what several processes map, such as libraries and the object store."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            private, shared = self._now()
            self.private_mb = max(self.private_mb, private / MB)
            self.shared_mb = max(self.shared_mb, shared / MB)
            if self._over.wait(0.1):
                return

    def _now(self) -> tuple[int, int]:
        """Bytes: private, and the shares of what is shared."""
        private = shared = 0
        for process in [self._process, *self._process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                memory = process.memory_full_info()
                private += memory.uss
                shared += memory.pss - memory.uss
        return private, shared

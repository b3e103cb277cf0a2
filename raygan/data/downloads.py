"""Data set downloads: one process of a machine downloads while others wait."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock


@contextmanager
def one_at_a_time(folder: Path, name: str) -> Iterator[None]:
    """Exclude other processes with the same data set and folder inside the block: the second one finds the files.

    If no lock can be written, nothing can be downloaded either, and existing files are read without a lock.
    """
    with ExitStack() as held:
        with suppress(OSError):
            held.enter_context(FileLock(folder / f".{name}.lock"))
        yield

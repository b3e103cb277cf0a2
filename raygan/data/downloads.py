"""Data sets that are downloaded: by one process of a machine, while others wait for it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock


@contextmanager
def one_at_a_time(folder: Path, name: str) -> Iterator[None]:
    """Inside, no other process is, with the same data set in the same folder: the second finds what the first wrote.

    Where no lock can be written nothing can be downloaded either, and what is there is read without one.
    """
    with ExitStack() as held:
        with suppress(OSError):
            held.enter_context(FileLock(folder / f".{name}.lock"))
        yield

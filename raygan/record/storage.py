"""Where a run folder is kept: a path on this machine or a URI, to write it and to read it."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raygan.files import is_uri
from raygan.record.remote import Remote, local_folder, naming_uri, words_of
from raygan.record.store import Store


def store_at(where: str | Path) -> Store:
    """Returns the store of a run whose folder is `where`.

    Raises:
        InputError: the URI is of an unknown kind, or cannot be reached.
    """
    return Remote(str(where)) if is_uri(where) else Store(local_folder(where))


def copied(uri: str) -> Path:
    """Returns a copy of the run folder at a URI for reading, deleted when this process ends.

    Raises:
        InputError: it cannot be read.
    """
    remote = Remote(uri)
    scratch = Path(tempfile.mkdtemp(prefix="raygan-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    local = scratch / words_of(remote.uri)[-1]
    remote.fetch(remote.names(), local)
    return local


@contextmanager
def opened(where: str | Path, *names: str) -> Iterator[Path]:
    """Yields a run folder for reading: itself, or for a URI a copy of these files and folders, deleted afterwards.

    Raises:
        InputError: it cannot be read.
    """
    if not is_uri(where):
        yield Path(where)
        return
    remote = Remote(str(where))
    with tempfile.TemporaryDirectory(prefix="raygan-") as scratch:
        local = Path(scratch).resolve().joinpath(*words_of(remote.uri))  # named like the URI, for comparisons
        remote.fetch(names, local)
        with naming_uri(local, remote.uri):
            yield local

"""Atomic file writes, the cache of reusable files, and file systems at URIs."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from raygan.errors import InputError, StorageError

if TYPE_CHECKING:
    import numpy as np
    from pyarrow.fs import FileSystem

_BY_ARROW = {"file", "s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss"}  # as in Ray; fsspec handles the others


def cache_folder(name: str) -> Path:
    """Returns a sub-folder of the cache, which is at `$RAYGAN_CACHE` or the platform's place for caches.

    Raises:
        InputError: the folder cannot be created.
    """
    root = os.environ.get("RAYGAN_CACHE") or platformdirs.user_cache_dir("raygan")
    folder = Path(root) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"RAYGAN_CACHE: the cache folder {folder} cannot be made: {error.strerror}", code="unreadable"
        ) from error
    return folder


def cache_problem() -> str | None:
    """Returns why nothing can be kept in the cache, or None if it can. A test file is written to find out.

    The cache is a convenience: without it, its content is computed again.
    """
    try:
        folder = cache_folder("")
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
    except (InputError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return f"nothing is kept in the cache, so it is made anew each time ({why}); RAYGAN_CACHE names another folder"
    return None


def keep_in_cache(folder: str, name: str, write: Callable[[Path], object]) -> None:
    """`write_whole` a file in a sub-folder of the cache, or do nothing if the cache is not usable (`cache_problem`)."""
    with suppress(InputError, OSError):
        write_whole(cache_folder(folder) / name, write)


def cached_array(folder: str, name: str, make: Callable[[], "np.ndarray"]) -> "np.ndarray":
    """Returns the array of `make`: from the cache if it is there and whole, else computed and, if possible, cached."""
    kept = kept_array(folder, name)
    if kept is not None:
        return kept
    made = make()
    keep_array(folder, name, made)
    return made


def kept_array(folder: str, name: str) -> "np.ndarray | None":
    """Returns an array of the cache, or None if it is not there and whole."""
    import numpy as np

    with suppress(InputError, OSError, ValueError, EOFError):  # missing, or truncated by a full disk
        kept: np.ndarray = np.load(cache_folder(folder) / name, allow_pickle=False)
        return kept
    return None


def keep_array(folder: str, name: str, array: "np.ndarray") -> None:
    """Put an array into the cache, if possible."""
    import numpy as np

    keep_in_cache(folder, name, lambda aside: np.save(aside, array, allow_pickle=False))


def make_folder(root: Path, begun: Path) -> list[Path]:
    """Create an empty folder and its parents, for something that can be resumed once the file `begun` exists.

    Returns the folders that did not exist before, for `unmake_folder`.

    Raises:
        InputError: the folder exists and is not empty, or cannot be written.
    """
    try:
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            hint = "add --resume to go on with it (in Python resume=True), or " if begun.exists() else ""
            raise InputError(f"--out: {root} exists and is not empty; {hint}name another folder", code="exists")
        made = [folder for folder in (root, *root.parents) if not folder.exists()]
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out: {root} cannot be written: {error.strerror or error}", code="unreadable") from error
    return made


def unmake_folder(root: Path, made: list[Path]) -> None:
    """Undo `make_folder`, and delete the content of the folder."""
    empty_folder(root)  # as it was before
    with suppress(OSError):  # another run may have started beside it
        for folder in made:
            folder.rmdir()


def empty_folder(root: Path) -> None:
    """Remove everything in a folder."""
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def load_json(text: str | bytes) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: the text is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def claim(path: Path, text: str) -> None:
    """Create a file atomically, with its content: of two processes, one succeeds.

    Raises:
        FileExistsError: the file exists.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    aside = Path(temporary)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.chmod(0o644)  # mkstemp makes it private
        try:
            path.hardlink_to(aside)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    finally:
        aside.unlink()


def save_arrays(arrays: "Mapping[str, np.ndarray]", path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write named arrays as a safetensors file. Shapes are kept, also those without dimensions.

    Each array is copied to C order first. safetensors 0.8.0 writes the memory of a numpy view (`m.T`, a column,
    `v[::2]`) from its first value on under the view's shape, which reads back as other numbers (findings/).
    """
    import numpy as np
    from safetensors.numpy import save_file

    save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, path, metadata)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary path beside `path`, flush it to disk, then rename it: the file is whole or absent."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    aside = Path(temporary)
    try:
        write(aside)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.chmod(0o644)  # mkstemp makes it private
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def is_uri(where: str | Path) -> bool:
    """Returns whether `where` is a URI, such as s3://bucket/runs/x, rather than a path."""
    return "://" in str(where)


def file_system(uri: str) -> tuple["FileSystem", str]:
    """Returns the file system of a URI, and the path in it.

    Raises:
        InputError: the URI is of an unknown kind. Other errors are those of the file system's library.
    """
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    scheme = uri.partition("://")[0]
    if scheme in _BY_ARROW:
        found: tuple[FileSystem, str] = FileSystem.from_uri(uri)
        return found
    import fsspec

    try:
        fsspec.get_filesystem_class(scheme)
    except ValueError as error:
        known = "s3://, gs://, hdfs://, file:/// or another that fsspec knows"
        raise InputError(f"{uri}: {scheme}:// is not known; use {known}", code="unknown") from error
    files, path = fsspec.url_to_fs(uri)
    files.invalidate_cache()  # fsspec shares one object in this process, with cached listings
    return PyFileSystem(FSSpecHandler(files)), path


@contextmanager
def reaching(
    where: str, what: str, kind: type[InputError] | type[StorageError] = InputError, key: str | None = None
) -> Iterator[None]:
    """Turn every failure inside the block into one line about a place; each library has its own exceptions.

    `what` could not be done there, such as `read`; with `key` the line begins with that key.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        place = where if key is None else f"{key}: {where}"
        raise kind(f"{place}: cannot be {what}: {reason}", code="unreadable") from error

"""What of a run folder has changed since it was sent, and the order in which it is sent."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from raygan.record.log import EVALUATIONS, ROUNDS

Stamp = tuple[int, int]
"""Size and modification time: a file with another stamp has changed."""


def files_in(root: Path) -> dict[str, Stamp | None]:
    """Returns the files of a folder, without hidden ones, which are being written."""
    found: dict[str, Stamp | None] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(folder, name) for name in files if not name.startswith(".")):
            with suppress(FileNotFoundError):  # removed a moment ago
                found[path.relative_to(root).as_posix()] = stamp(path)
    return found


def stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def folders_of(names: Iterable[str]) -> set[str]:
    """Returns all folders that contain these files."""
    return {str(parent) for name in names for parent in PurePosixPath(name).parents}


def turn(name: str) -> tuple[bool, bool, bool, bool, str]:
    """Sort key for the order of sending: see `Remote`."""
    is_checkpoint, is_manifest = name.startswith("checkpoints/"), name.endswith("/manifest.json")
    return name == ROUNDS, name == EVALUATIONS, not is_checkpoint, is_manifest, name

"""Snapshots of a run folder after a round, saved with a trial's report and restored from it."""

import shutil
from pathlib import Path

from raygan.files import empty_folder
from raygan.record.folder import RunFolder

_PRIVATE = ".metadata.json"  # Ray's, of a checkpoint


def take(folder: RunFolder, round: int, to: Path) -> None:
    """Copy a run folder as of `round`, after which it was saved and measured; `to` becomes a run folder."""
    for part in (folder.samples, folder.checkpoints / f"round_{round:06d}"):
        shutil.copytree(part, to / part.relative_to(folder.root))
    begun_with, so_far = (
        (folder.config, folder.environment, folder.data),
        (folder.log.rounds, folder.log.evaluations, folder.events),
    )
    for file in (*begun_with, *so_far, folder.classifier, folder.generator, folder.evaluation):
        if file.exists():  # the last two exist only if the run is over
            shutil.copy2(file, to)
    RunFolder(to).trim(round)


def put_back(kept: Path, folder: RunFolder) -> int:
    """Restore a run folder from a snapshot of itself or of another; returns the round."""
    clear(folder)
    shutil.copytree(kept, folder.root, ignore=shutil.ignore_patterns(_PRIVATE), dirs_exist_ok=True)
    return folder.log.last_round()


def clear(folder: RunFolder) -> None:
    """Remove the content of a run folder, which may have been deleted; the folder itself reserves a trial's number."""
    folder.root.mkdir(exist_ok=True)
    empty_folder(folder.root)

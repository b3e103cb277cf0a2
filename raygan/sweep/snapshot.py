"""A run folder as it was after a round: what goes with a trial's report, and what it goes on from."""

import shutil
from pathlib import Path

from raygan.files import empty_folder
from raygan.record.folder import RunFolder

_PRIVATE = ".metadata.json"  # Ray's, of a checkpoint


def take(folder: RunFolder, round: int, to: Path) -> None:
    """Copy what a run that has been saved and measured after `round` had come to; `to` is a run folder then."""
    for part in (folder.samples, folder.checkpoints / f"round_{round:06d}"):
        shutil.copytree(part, to / part.relative_to(folder.root))
    begun_with, so_far = (
        (folder.config, folder.environment, folder.data),
        (folder.log.rounds, folder.log.evaluations, folder.events),
    )
    for file in (*begun_with, *so_far, folder.classifier, folder.generator, folder.evaluation):
        if file.exists():  # the last two only of a run that is over
            shutil.copy2(file, to)
    RunFolder(to).trim(round)


def put_back(kept: Path, folder: RunFolder) -> int:
    """Make a run folder what it was when it, or another, was taken; returns the round."""
    clear(folder)
    shutil.copytree(kept, folder.root, ignore=shutil.ignore_patterns(_PRIVATE), dirs_exist_ok=True)
    return folder.log.last_round()


def clear(folder: RunFolder) -> None:
    """Remove all that is in a run folder; it itself stands for a trial's number, and may have been deleted."""
    folder.root.mkdir(exist_ok=True)
    empty_folder(folder.root)

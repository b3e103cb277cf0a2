"""A run folder as it was after a round: what goes with a trial's report, and what it goes on from."""

import shutil
from pathlib import Path

from raygan.run_folder import RunFolder

_PRIVATE = ".metadata.json"  # Ray's, of a checkpoint


def take(folder: RunFolder, round: int, to: Path) -> None:
    """Copy what a run that has been saved and measured after `round` had come to; `to` is a run folder then."""
    kept = RunFolder(to)
    shutil.copytree(folder.checkpoints / f"round_{round:06d}", kept.checkpoints / f"round_{round:06d}")
    kept.samples.mkdir()
    for row in folder.rows()[: round + 1]:
        kept.append(row)
        if (picture := folder.picture(int(str(row["round"])))).exists():
            shutil.copy2(picture, kept.samples)
    for file in (folder.config, folder.environment, folder.generator):
        if file.exists():  # the generator only of a run that is over
            shutil.copy2(file, to)


def put_back(kept: Path, folder: RunFolder) -> int:
    """Make a run folder what it was when it, or another, was taken; returns the round."""
    clear(folder)
    shutil.copytree(kept, folder.root, ignore=shutil.ignore_patterns(_PRIVATE), dirs_exist_ok=True)
    return folder.last_round()


def clear(folder: RunFolder) -> None:
    """Remove all that is in a run folder; it itself stands for a trial's number."""
    for path in folder.root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()

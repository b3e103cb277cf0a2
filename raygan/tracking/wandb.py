"""Weights & Biases, as WANDB_MODE, WANDB_PROJECT and WANDB_ENTITY say; offline, it writes into the run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from raygan.record.folder import RunFolder
from raygan.record.settings import flatten
from raygan.tracking.sink import Sink, Status, remember, remembered

_EXITS: Mapping[Status, int] = {"finished": 0, "stopped": 255, "failed": 1}


class WandbSink(Sink):
    """One run in the group of the experiment. Rounds are the metric that all others are drawn against.

    W&B's own steps only go up: rounds that a resumed run repeats, and late evaluations, would be dropped.
    """

    def __init__(self, folder: RunFolder, experiment: str) -> None:
        """Begin a run, or go on with the one of this run folder."""
        import wandb

        self._image: Any = wandb.Image
        run = remembered(folder, "wandb") or uuid4().hex[:8]
        self._run: Any = wandb.init(
            id=run,
            resume="allow",
            name=folder.root.name,
            group=experiment,
            config=flatten(folder.read_config().model_dump(mode="json")),
            dir=str(folder.root),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        remember(folder, "wandb", run)
        self._root = folder.root
        self._run.define_metric("round")
        self._run.define_metric("*", step_metric="round")

    def metrics(self, values: Mapping[str, float], round: int) -> None:
        """With the round."""
        self._run.log({"round": round, **values})

    def picture(self, path: Path, round: int) -> None:
        """As the image `samples`."""
        self._run.log({"round": round, "samples": self._image(str(path))})

    def file(self, path: Path) -> None:
        """A copy, below files/."""
        self._run.save(str(path), base_path=str(self._root), policy="now")

    def close(self, status: Status) -> None:
        """Wait until all is sent, or written."""
        self._run.finish(exit_code=_EXITS[status])

"""TensorBoard files out of a run folder's metrics and pictures."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter


class TensorBoardMirror:
    """Writes the lines that metrics.jsonl has gained since the last `update`, and their pictures.

    `first_round` is the first that is not there yet: 0, or where a resumed run goes on.
    """

    def __init__(self, root: Path, first_round: int) -> None:
        self._root = root
        self._writer = SummaryWriter(str(root / "tensorboard"))
        self._written = first_round - 1

    def update(self) -> None:
        """Take in what is new."""
        path = self._root / "metrics.jsonl"
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n") and (row := json.loads(line))["round"] > self._written:
                self._write(row)  # a line without its end is still being written
        self._writer.flush()

    def _write(self, row: dict[str, object]) -> None:
        round = self._written = int(str(row.pop("round")))
        for name, value in row.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(name, value, round)
        picture = self._root / "samples" / f"round_{round:06d}.png"
        if picture.exists():
            with Image.open(picture) as image:
                self._writer.add_image("samples", np.asarray(image.convert("RGB")), round, dataformats="HWC")

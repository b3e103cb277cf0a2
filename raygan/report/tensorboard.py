"""TensorBoard files out of a run folder's metrics and pictures."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter


class TensorBoardMirror:
    """Writes the lines that metrics.jsonl has gained since the last `update`, and their pictures.

    `first_round` is the first that is not there yet: 0, or where a resumed run goes on. Its writer has a file, a pipe
    and a thread until it is closed.
    """

    def __init__(self, root: Path, first_round: int) -> None:
        self._root = root
        self._writer = SummaryWriter(str(root / "tensorboard"))
        self._written = first_round - 1
        self._read = 0  # bytes of metrics.jsonl

    def update(self) -> None:
        """Take in what is new."""
        path = self._root / "metrics.jsonl"
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is still being written
                self._read += len(line)
                if (row := json.loads(line))["round"] > self._written:
                    self._write(row)
        self._writer.flush()

    def close(self) -> None:
        """Write what is still in the pipe, and end the writer."""
        self._writer.close()

    def _write(self, row: dict[str, object]) -> None:
        round = self._written = int(str(row.pop("round")))
        for name, value in row.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(name, value, round)
        picture = self._root / "samples" / f"round_{round:06d}.png"
        if picture.exists():
            with Image.open(picture) as image:
                self._writer.add_image("samples", np.asarray(image.convert("RGB")), round, dataformats="HWC")

"""TensorBoard files, written from a run folder's log and pictures."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from threading import Event, Thread

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter

from raygan.record.log import EVALUATIONS, ROUNDS

INTERVAL_S = 5.0
"""Interval between checks for new lines."""


class TensorBoardMirror:
    """Writes new lines of the log, and the pictures of evaluations, in a thread until it is closed.

    `first_round` is the first round to write: 0, or the one at which a resumed run continues. Data of that and later
    rounds from an earlier attempt is marked as replaced. `late` are earlier rounds that are still to be evaluated.
    """

    def __init__(self, root: Path, first_round: int, late: Collection[int] = ()) -> None:
        self._root = root
        self._writer = SummaryWriter(
            str(root / "tensorboard"), purge_step=first_round, filename_suffix=f".{first_round:09d}"
        )  # otherwise files of the same second would be one file
        self._first = first_round
        self._late = set(late)
        self._read = dict.fromkeys((ROUNDS, EVALUATIONS), 0)  # bytes
        self._over = Event()
        self._failure: OSError | None = None
        self._thread = Thread(target=self._follow, name="tensorboard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the remaining lines, and close the writer.

        Raises:
            OSError: a file could not be written.
        """
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        self._writer.close()
        if self._failure is not None:
            raise self._failure

    def _follow(self) -> None:
        try:
            while not self._over.wait(INTERVAL_S):
                self._update()
            self._update()
        except OSError as error:
            self._failure = error

    def _update(self) -> None:
        for row in self._new(ROUNDS):
            self._write(row)
        for row in self._new(EVALUATIONS, self._late):
            self._write(row)
            self._draw(int(str(row["round"])))
        self._writer.flush()

    def _new(self, name: str, late: Collection[int] = ()) -> Iterator[dict[str, object]]:
        """Returns whole lines that have not been read yet, of rounds that have not been written yet."""
        path = self._root / name
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read[name])
            for line in file:
                if not line.endswith(b"\n"):
                    return  # the line is still being written
                self._read[name] += len(line)
                row = json.loads(line)
                if row["round"] >= self._first or row["round"] in late:
                    yield row

    def _write(self, row: dict[str, object]) -> None:
        round = int(str(row["round"]))
        for name, value in row.items():
            if isinstance(value, int | float) and name != "round":
                self._writer.add_scalar(name, value, round)

    def _draw(self, round: int) -> None:
        picture = self._root / "samples" / f"round_{round:06d}.png"
        if picture.exists():
            with Image.open(picture) as image:
                self._writer.add_image("samples", np.asarray(image.convert("RGB")), round, dataformats="HWC")

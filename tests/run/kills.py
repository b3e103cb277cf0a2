"""Death at a chosen operation of a run: as an exception, or with what kill -9 leaves behind."""

import json
import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import pytest

from raygan.evaluation import recorder
from raygan.evaluation.recorder import Recorder
from raygan.record import checkpoint, generator_file
from raygan.record.folder import RunFolder
from raygan.record.log import MetricsLog
from raygan.round.server import Server
from raygan.round.worker import Worker
from raygan.run import loop as rounds

OPERATIONS = [
    (Worker, "update"),
    (Worker, "take_over"),
    (Server, "update"),
    (Recorder, "evaluate"),
    (Recorder, "save"),
    (Recorder, "export"),
    (MetricsLog, "append_round"),
    (MetricsLog, "append_evaluation"),
    (Recorder, "keep"),
    (RunFolder, "trim"),
    (RunFolder, "write_config"),
    (RunFolder, "write_environment"),
    (RunFolder, "write_data"),
    (RunFolder, "write_evaluation"),
    (checkpoint, "save_arrays"),
    (checkpoint, "_checksum"),
    (checkpoint, "_flush"),
    (generator_file, "save_arrays"),
    (recorder, "save_picture"),
    (recorder, "remove_old"),
    (rounds, "remove_later"),
    (Path, "rename"),  # a checkpoint, into place
    (Path, "replace"),  # a file that is written whole
]


class KilledError(BaseException):
    """Passes through `except Exception`, as a second Ctrl-C does."""


@dataclass(frozen=True)
class Death:
    """At the `nth` time that `point` is reached. `hard`: `finally` clauses change nothing any more."""

    point: str
    nth: int
    hard: bool


class Points:
    """Counts the points of a run that are reached, and dies at one of them."""

    def __init__(self, out: Path, death: Death | None) -> None:
        self.reached: Counter[str] = Counter()
        self._out = out
        self._death = death

    def reach(self, point: str, half_done=lambda: None) -> None:
        self.reached[point] += 1
        death = self._death
        if death is None or (point, self.reached[point]) != (death.point, death.nth):
            return
        half_done()
        if death.hard and self._out.exists():
            shutil.copytree(self._out, _left_by(self._out))
        raise KilledError(point)

    def around(self, owner: object, name: str):
        original = getattr(owner, name)
        label = f"{owner.__name__.rsplit('.', 1)[-1]}.{name}"

        @wraps(original)
        def watched(*arguments, **named):
            self.reach(f"before {label}")
            if name.startswith("append_"):
                self.reach(f"within a line ({name})", lambda: _half_a_line(*arguments))
            if name == "save_arrays":
                self.reach(f"within {label}", lambda: arguments[1].write_bytes(b"half a file"))
            result = original(*arguments, **named)
            self.reach(f"after {label}")
            return result

        return watched


def _half_a_line(log: MetricsLog, *line: object) -> None:
    path = log.rounds if len(line) == 1 else log.evaluations
    with path.open("a") as file:
        text = json.dumps(line[-1])
        file.write(text[: len(text) // 2])


def _left_by(out: Path) -> Path:
    return out.with_name(out.name + "-left")


@contextmanager
def points(out: Path, death: Death | None = None):
    """Inside, what is done in the run folder `out` is counted, until `death`, which is the end of the block."""
    watch = Points(out, death)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in OPERATIONS:
                patch.setattr(owner, name, watch.around(owner, name))
            yield watch
    except KilledError:
        if (left := _left_by(out)).exists():
            shutil.rmtree(out, ignore_errors=True)
            left.rename(out)

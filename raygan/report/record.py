"""The content of a run folder, read and validated."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from raygan.config import Config
from raygan.errors import InputError
from raygan.files import load_json
from raygan.record.folder import RunFolder
from raygan.record.log import Row
from raygan.report.content import Closing, DataFacts, Environment, Event, Record, RoundLine
from raygan.report.curves import checked_curve


@dataclass(frozen=True)
class RunRecord:
    """The record of one run: its config and its results so far. None stands for a missing file."""

    folder: RunFolder
    config: Config
    rounds: pd.DataFrame
    """A row per line of rounds.jsonl, with the fields of `RoundLine`; round 0 is before training."""
    curve: pd.DataFrame
    """A row per evaluation, as `curves.curve_of` has them; no columns if there was none."""
    data: DataFacts | None
    events: list[Event]
    closing: Closing | None
    ended: int | None
    """The round of generator.safetensors, which is written last at the end of a run, and removed when it is resumed."""
    environment: Environment | None
    nearest_picture: Path | None

    @property
    def last_round(self) -> int:
        """The last round in rounds.jsonl; 0 if it has none."""
        return int(self.rounds["round"].iloc[-1]) if len(self.rounds) else 0


def read_record(root: Path) -> RunRecord:
    """Read a run folder.

    Raises:
        InputError: it is not a run folder, or a file in it is damaged; names the file.
    """
    folder = RunFolder(root)
    config = folder.read_config()
    ended = _round_of(folder.generator)  # read before the rows, as evaluation.json: written after them
    closing = _whole(folder.evaluation, Closing)
    rows = folder.log.rows()  # read once: a running run adds to them
    record = RunRecord(
        folder=folder,
        config=config,
        rounds=_rounds(folder, rows),
        curve=checked_curve(rows, folder),
        data=_whole(folder.data, DataFacts),
        events=_lines(folder.events),
        closing=closing,
        ended=ended,
        environment=_whole(folder.environment, Environment),
        nearest_picture=folder.nearest if folder.nearest.is_file() else None,
    )
    if closing is not None and closing.round >= len(rows):
        raise InputError(
            f"{folder.log.rounds}: lines are missing: it has {len(rows)}, but {folder.evaluation.name} is of round "
            f"{closing.round}",
            code="missing",
        )
    return record


Kind = TypeVar("Kind", bound=Record)


def _rounds(folder: RunFolder, rows: list[Row]) -> pd.DataFrame:
    lines = [
        {"round": row["round"], "wall_s": row["wall_s"], "sim_s": row["sim_s"]}
        | dict(_checked(row, RoundLine, f"{folder.log.rounds}, line {number}"))
        for number, row in enumerate(rows, 1)
    ]
    return pd.DataFrame(lines, columns=["round", "wall_s", "sim_s", *RoundLine.model_fields])


def _lines(path: Path) -> list[Event]:
    """Returns the whole lines of a file; text after the last line end is still being written."""
    lines = (_content(path) or b"").split(b"\n")[:-1]
    return [
        _checked(_parsed(line, f"{path}, line {number}"), Event, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
    ]


def _whole(path: Path, kind: type[Kind]) -> Kind | None:
    content = _content(path)
    return None if content is None else _checked(_parsed(content, str(path)), kind, str(path))


def _round_of(generator: Path) -> int | None:
    """Returns the round of a file, or None if it is missing or damaged: a page needs nothing else of it."""
    try:
        with safe_open(generator, framework="numpy") as file:
            return int(load_json(file.metadata()["raygan"])["round"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}", code="unreadable") from error


def _parsed(content: bytes, where: str) -> object:
    try:
        return load_json(content)
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error})", code="damaged") from error


def _checked(value: object, kind: type[Kind], where: str) -> Kind:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{where}: not what raygan wrote: {key + ': ' if key else ''}{said}", code="damaged"
        ) from error

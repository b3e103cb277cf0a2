"""The log of a run: a line per round in rounds.jsonl, a line per evaluation in evaluations.jsonl.

A round is written when it is over and an evaluation when it is done, so that a slow measurement delays nothing. Readers
join the two.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from raygan.errors import InputError
from raygan.files import load_json, write_whole

Row = dict[str, object]
"""One line: that of a round, with its evaluation if it has one."""

ROUNDS, EVALUATIONS = "rounds.jsonl", "evaluations.jsonl"
_BLOCK = 2**16  # bytes read at a time from a file's end


class MetricsLog:
    """The two log files of a run folder."""

    def __init__(self, root: Path) -> None:
        self.rounds = root / ROUNDS
        self.evaluations = root / EVALUATIONS

    def append_round(self, row: Row) -> None:
        """Append the line of a round atomically."""
        _append(self.rounds, row)

    def append_evaluation(self, round: int, measured: Row) -> None:
        """Append the line of an evaluation atomically."""
        _append(self.evaluations, {"round": round, **measured})

    def rows(self) -> list[Row]:
        """Returns a row per round from 0, with its measurements. Text after the last line end is ignored.

        Raises:
            InputError: a line is damaged.
        """
        rows = [_checked(row, self.rounds, number) for number, row in enumerate(_lines(self.rounds))]
        for number, measured in enumerate(_lines(self.evaluations)):
            round = _round_of(measured, self.evaluations, number)
            if round < len(rows):  # in a running run, the other file may have been read a moment before
                rows[round] |= measured
        return rows

    def last_round(self) -> int:
        """Returns the round of the last whole line; -1 if there is none.

        Raises:
            InputError: the line is damaged.
        """
        return _last(self.rounds)

    def last_evaluation(self) -> int:
        """Returns the last evaluated round; -1 if there is none. Raises as `last_round`."""
        return _last(self.evaluations)

    def trim(self, last_round: int) -> None:
        """Drop the lines of rounds after `last_round`, and a partial line."""
        _keep(self.rounds, last_round)
        _keep(self.evaluations, last_round)


def _append(path: Path, row: Row) -> None:
    """Append a line, and undo it if only part was written, as on a full disk."""
    line = (json.dumps(row) + "\n").encode()
    with path.open("ab", buffering=0) as file:
        end = file.tell()
        try:
            while line:
                line = line[file.write(line) :]
        except OSError:
            file.truncate(end)
            raise


def _lines(path: Path) -> Iterator[Row]:
    if not path.exists():
        return
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}", code="unreadable") from error
    for number, line in enumerate(lines, 1):
        try:
            row = load_json(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not JSON ({error})", code="damaged") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: not a line that raygan wrote", code="damaged")
        yield row


def _checked(row: Row, path: Path, round: int) -> Row:
    if not (row.get("round") == round and all(isinstance(row.get(key), float | int) for key in ("wall_s", "sim_s"))):
        raise InputError(
            f"{path}, line {round + 1}: not the line of round {round}, with wall_s and sim_s, that raygan wrote",
            code="damaged",
        )
    return row


def _round_of(row: Row, path: Path, number: int) -> int:
    round = row.get("round")
    if not isinstance(round, int) or isinstance(round, bool) or round < 0:
        raise InputError(
            f"{path}, line {number + 1}: not the line of an evaluation, with its round, that raygan wrote",
            code="damaged",
        )
    return round


def _last(path: Path) -> int:
    """Returns the last whole line, read from the file's end; text after the last line end is still being written."""
    if not path.exists():
        return -1
    with path.open("rb") as file:
        start, tail = path.stat().st_size, b""
        while start > 0 and tail.count(b"\n") < 2:
            step = min(_BLOCK, start)
            start -= step
            file.seek(start)
            tail = file.read(step) + tail
    lines = tail.split(b"\n")[:-1]
    try:
        return int(json.loads(lines[-1])["round"]) if lines else -1
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: its last line is not one that raygan wrote", code="damaged") from error


def _keep(path: Path, last_round: int) -> None:
    kept = [row for number, row in enumerate(_lines(path)) if _round_of(row, path, number) <= last_round]
    text = "".join(json.dumps(row) + "\n" for row in kept)
    write_whole(path, lambda aside: aside.write_text(text, encoding="utf-8"))

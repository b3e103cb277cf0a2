"""The rows of metrics.jsonl on their way from the executor to the run folder and to whoever watches."""

from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from raygan.errors import InputError, RunError
from raygan.executors.interface import Pending, Played
from raygan.record.folder import Row, RunFolder

IN_FLIGHT = 2
"""Rounds started ahead of the one whose result is awaited, so that no process waits for the driver."""
ALONE = 10
"""Rounds in a row in which nobody's update counts, before a run ends."""
BEHIND = 8
"""Evaluations that may be unfinished before training waits for the oldest."""


class Watcher(Protocol):
    """Someone who watches a run, such as a progress display."""

    def on_phase(self, text: str) -> None:
        """Something other than rounds goes on, or the rounds begin."""

    def on_event(self, text: str) -> None:
        """Something happened that one should know of afterwards, such as the loss of a process."""

    def on_round(self, row: Row) -> None:
        """A round is over. On evaluation rounds the measurements follow later."""

    def on_evaluation(self, round: int, metrics: Row) -> None:
        """The generator of a round has been measured, and the round's row is written."""

    def on_checkpoint(self, round: int) -> None:
        """The state after a round has been written to the run folder."""


@dataclass
class _Entry:
    round: int
    playing: Pending[Played] | None
    evaluation: Pending[Row] | None
    simulated: Row
    row: Row | None = None


class Ledger:
    """Keeps rounds in order: each row is written once its round and its evaluation are done.

    It goes on behind the rows that the run folder has, the `last` round among them.
    """

    def __init__(self, folder: RunFolder, watchers: list[Watcher], last: int) -> None:
        rows = folder.rows()
        self._folder = folder
        self._watchers = watchers
        self._start = perf_counter() - (float(str(rows[-1]["wall_s"])) if rows else 0.0)
        self._entries: deque[_Entry] = deque()
        self._missing: set[int] = set()
        self._alone = 0
        self._told_of_yardstick = False
        self.completed = last
        """The last round that is known to be over."""

    def add(self, round: int, playing: Pending[Played] | None, evaluation: Pending[Row] | None, simulated: Row) -> None:
        """Note a round that was started, and wait until no more than `IN_FLIGHT` rounds are under way."""
        self._entries.append(_Entry(round, playing, evaluation, simulated))
        self._settle(IN_FLIGHT, BEHIND)

    def finish(self) -> None:
        """Wait for everything and write it."""
        self._settle(0, 0)

    def rescue(self) -> None:
        """After a failure: write the rows of the rounds that were finished before it."""
        with suppress(RunError, InputError, OSError):
            self._complete_rounds(len(self._entries))
        with suppress(RunError, InputError, OSError):
            self._write_rows(0)

    def _settle(self, in_flight: int, behind: int) -> None:
        self._complete_rounds(in_flight)
        self._write_rows(behind)

    def _complete_rounds(self, in_flight: int) -> None:
        """Take the results of rounds that are done, and wait until no more than `in_flight` are not."""
        playing = [entry for entry in self._entries if entry.row is None]
        for index, entry in enumerate(playing):
            if index >= len(playing) - in_flight and not (entry.playing is None or entry.playing.done()):
                return
            self._complete(entry)

    def _write_rows(self, behind: int) -> None:
        """Write the rows that are complete, and wait until no more than `behind` evaluations are unfinished."""
        while self._entries and (row := self._entries[0].row) is not None:
            entry = self._entries[0]
            measured: Row = {}
            if entry.evaluation is not None:
                late = sum(other.evaluation is not None for other in self._entries) > behind
                if not (late or entry.evaluation.done()):
                    return
                measured = entry.evaluation.result()
                row |= measured
            try:
                self._folder.append(row)
            except BaseException:
                self._entries.clear()  # the line may be there, or half of it: none may follow
                raise
            self._entries.popleft()
            if entry.evaluation is not None:
                self._tell_of_yardstick(measured)
                for watcher in self._watchers:
                    watcher.on_evaluation(entry.round, measured)

    def _tell_of_yardstick(self, measured: Row) -> None:
        """Once, if distances tell little."""
        if (weakness := measured.get("yardstick")) and not self._told_of_yardstick:
            self._told_of_yardstick = True
            for watcher in self._watchers:
                watcher.on_event(str(weakness))

    def _complete(self, entry: _Entry) -> None:
        outcome = entry.playing.result() if entry.playing is not None else None
        entry.row = {"round": entry.round, "wall_s": round(perf_counter() - self._start, 3), **entry.simulated}
        if outcome is not None:
            entry.row["dropped"] = {str(number): reason for number, reason in outcome.dropped.items()}
            entry.row["spent_s"] = {phase: round(seconds, 6) for phase, seconds in outcome.spent_s.items()}
            entry.row |= outcome.metrics
            self._tell_of_dropped(entry.round, outcome.dropped)
            self._check_that_someone_counts(entry, outcome)
        self.completed = entry.round
        for watcher in self._watchers:
            watcher.on_round(entry.row)

    def _tell_of_dropped(self, round: int, dropped: dict[int, str]) -> None:
        """Of devices that were not missing in the round before."""
        for number in sorted(dropped.keys() - self._missing):
            text = f"round {round} goes on without device {number} ({dropped[number]})"
            for watcher in self._watchers:
                watcher.on_event(text)
            with suppress(OSError, InputError):  # a full disk, or damage, has worse to say
                self._folder.note(text)
        self._missing = set(dropped)

    def _check_that_someone_counts(self, entry: _Entry, outcome: Played) -> None:
        devices = int(str(entry.simulated["devices"]))
        self._alone = self._alone + 1 if 0 < devices <= len(outcome.dropped) else 0
        if self._alone == ALONE:
            reason = next(iter(outcome.dropped.values()))
            raise RunError(f"round {entry.round}: nobody's update has counted for {ALONE} rounds in a row: {reason}")

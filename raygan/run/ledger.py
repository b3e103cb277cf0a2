"""The ledger: waits for rounds and evaluations in order, writes them to the log, and tells the watchers."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Protocol

from raygan.errors import InputError, RunError
from raygan.executors.transport import Pending
from raygan.record.folder import RunFolder
from raygan.record.log import Row
from raygan.round.reports import Outcome

IN_FLIGHT = 2
"""Rounds started ahead of the one whose result is awaited, so that no process waits for the driver."""
ALONE = 10
"""Rounds in a row in which nobody's update counts, before a run ends."""
BEHIND = 8
"""Evaluations that may be unfinished before training waits for the oldest."""
NAMED = 3
"""Devices that one line names."""


class Watcher(Protocol):
    """Someone who watches a run, such as a progress display."""

    def on_phase(self, text: str) -> None:
        """Something other than rounds goes on, or the rounds begin."""

    def on_event(self, text: str) -> None:
        """Something happened that one should know of afterwards, such as the loss of a process."""

    def on_round(self, row: Row) -> None:
        """A round is over, and its row is written. On evaluation rounds the measurements follow later."""

    def on_evaluation(self, round: int, metrics: Row) -> None:
        """The generator of a round has been measured, and that is written."""

    def on_checkpoint(self, round: int) -> None:
        """The state after a round has been written to the run folder."""


@dataclass
class _Entry:
    round: int
    outcome: Pending[Outcome] | None
    row: Row


class Ledger:
    """Keeps rounds and evaluations in order: each is written when it is done.

    It goes on behind the rows that the run folder has, the `last` round among them.
    """

    def __init__(self, folder: RunFolder, watchers: list[Watcher], last: int) -> None:
        rows = folder.log.rows()
        self._folder = folder
        self._watchers = watchers
        self._start = perf_counter() - (float(str(rows[-1]["wall_s"])) if rows else 0.0)
        self._rounds: deque[_Entry] = deque()
        self._evaluations: deque[tuple[int, Pending[Row]]] = deque()
        self._missing: set[int] = set()
        self._alone = 0
        self._told_of_yardstick = False
        self.completed = last
        """The last round that is known to be over."""

    def add_round(self, round: int, outcome: Pending[Outcome] | None, planned: Row) -> None:
        """Note a round that was started, and wait until no more than `IN_FLIGHT` rounds are under way."""
        self._rounds.append(_Entry(round, outcome, planned))
        self._complete_rounds(IN_FLIGHT)
        self._write_evaluations(BEHIND)

    def add_evaluation(self, round: int, evaluation: Pending[Row]) -> None:
        """Note the evaluation of a round, and wait until no more than `BEHIND` are under way."""
        self._evaluations.append((round, evaluation))
        self._write_evaluations(BEHIND)

    def finish(self) -> None:
        """Wait for everything and write it."""
        self._complete_rounds(0)
        self._write_evaluations(0)

    def rescue(self) -> None:
        """After a failure: write the rounds and evaluations that were finished before it."""
        with suppress(RunError, InputError, OSError):
            self._complete_rounds(len(self._rounds))
        with suppress(RunError, InputError, OSError):
            self._write_evaluations(0)

    def _complete_rounds(self, in_flight: int) -> None:
        """Write the rounds that are done, and wait until no more than `in_flight` are not."""
        while self._rounds:
            entry = self._rounds[0]
            if len(self._rounds) <= in_flight and not (entry.outcome is None or entry.outcome.done()):
                return
            self._complete(entry)

    def _write_evaluations(self, behind: int) -> None:
        """Write the evaluations that are done, and wait until no more than `behind` are not."""
        while self._evaluations and self._evaluations[0][0] <= self.completed:
            round, evaluation = self._evaluations[0]
            if len(self._evaluations) <= behind and not evaluation.done():
                return
            measured = evaluation.result()
            self._write(partial(self._folder.log.append_evaluation, round, measured))
            self._evaluations.popleft()
            self._folder.drop_pending(round)
            self._tell_of_yardstick(measured)
            for watcher in self._watchers:
                watcher.on_evaluation(round, measured)

    def _write(self, append: Callable[[], None]) -> None:
        try:
            append()
        except BaseException:
            self._rounds.clear()  # the line may be there, or half of it: none may follow
            self._evaluations.clear()
            raise

    def _tell_of_yardstick(self, measured: Row) -> None:
        """Once, if distances tell little."""
        if (weakness := measured.get("yardstick")) and not self._told_of_yardstick:
            self._told_of_yardstick = True
            for watcher in self._watchers:
                watcher.on_event(str(weakness))

    def _complete(self, entry: _Entry) -> None:
        outcome = entry.outcome.result() if entry.outcome is not None else None
        row = {"round": entry.round, "wall_s": round(perf_counter() - self._start, 3), **entry.row}
        if outcome is not None:
            row["dropped"] = {str(number): reason for number, reason in outcome.dropped.items()}
            row["spent_s"] = {phase: round(seconds, 6) for phase, seconds in outcome.spent_s.items()}
            row |= outcome.metrics
            self._tell_of_dropped(entry.round, outcome.dropped)
            self._check_that_someone_counts(entry, outcome)
        self.completed = entry.round
        self._write(partial(self._folder.log.append_round, row))
        self._rounds.popleft()
        for watcher in self._watchers:
            watcher.on_round(row)

    def _tell_of_dropped(self, round: int, dropped: dict[int, str]) -> None:
        """Tell in one line of all devices that were not missing in the round before."""
        if new := sorted(dropped.keys() - self._missing):
            reasons = [f"device {number} ({dropped[number]})" for number in new[:NAMED]]
            more = [f"{len(new) - NAMED:,} more devices"] if len(new) > NAMED else []
            text = f"round {round} goes on without {', '.join(reasons + more)}"
            for watcher in self._watchers:
                watcher.on_event(text)
            with suppress(OSError, InputError):  # a full disk, or damage, has worse to say
                self._folder.note(text)
        self._missing = set(dropped)

    def _check_that_someone_counts(self, entry: _Entry, outcome: Outcome) -> None:
        devices = int(str(entry.row["devices"]))
        self._alone = self._alone + 1 if 0 < devices <= len(outcome.dropped) else 0
        if self._alone == ALONE:
            reason = next(iter(outcome.dropped.values()))
            raise RunError(
                f"round {entry.round}: nobody's update has counted for {ALONE} rounds in a row: {reason}",
                code="not_finite",
            )

"""A run for scripts/chaos.py: played by the real command line, and seen only by what anyone could see of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from raygan.record.folder import RunFolder
from tests.processes import descendants

MARK = "RAYGAN_CHAOS"
"""Environment variable that every process of a run inherits, so that none can get lost."""
PATIENCE_S = 240.0
"""Longest wait for anything: for rounds to show, for an end, for a line of output."""
GONE_S = 20.0
"""How long processes may take to notice that what started them is dead."""
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
AGENTS_GONE_S = 90.0
"""Ray's own agents take longer: when everything is killed at once, they try for a minute to report it to the dead."""


class MissedError(Exception):
    """The fault did not hit: nothing was there, or the run was over before it could notice."""


class LostError(Exception):
    """The run did not do what raygan promises."""


class Run:
    """One run folder, and the process that plays it, started as often as faults make necessary."""

    def __init__(
        self,
        folder: Path,
        words: list[str],
        logs: Path,
        mark: str,
        elsewhere: Callable[[], list[psutil.Process]] = list,
    ) -> None:
        self.folder = RunFolder(folder)
        self.out, self.err = logs / f"{folder.name}.out", logs / f"{folder.name}.err"
        self.injected = 0
        """Faults that hit."""
        self.left: set[str] = set()
        """Processes that stayed when the command was over."""
        self.allowed_complaints = 0
        """Lines that belong on stderr."""
        self._words, self._mark, self._elsewhere = words, mark, elsewhere
        self._seen: set[psutil.Process] = set()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The command that was started last."""
        assert self._process is not None
        return self._process

    def start(self, resume: bool = False) -> None:
        """Start the run, or go on with it. Output and errors of all starts are kept, one behind the other."""
        command = [sys.executable, "-m", "raygan.cli", "train", *self._words, "--out", str(self.folder.root)]
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self._process = subprocess.Popen(
                [*command, *(["--resume"] if resume else [])],
                stdout=out,
                stderr=err,
                env=os.environ | {MARK: self._mark},
                start_new_session=True,
            )

    def said(self) -> list[str]:
        """The lines of output so far."""
        return self.out.read_text(encoding="utf-8").splitlines()

    def complained(self) -> list[str]:
        """The lines on stderr so far."""
        return self.err.read_text(encoding="utf-8").splitlines()

    def recorded(self) -> int:
        """The last round in rounds.jsonl, -1 before the first."""
        return self.folder.log.last_round()

    def wait_for_round(self, round: int) -> None:
        """Wait until rounds.jsonl reaches a round.

        Raises:
            MissedError: the run was over before.
        """
        self._wait_until(lambda: self.recorded() >= round, f"round {round}")
        self.descendants()

    def wait_for_line(self, *parts: str, behind: int = 0) -> None:
        """Wait until a line of output behind the first so many holds all these parts."""
        self._wait_until(
            lambda: any(all(part in line for part in parts) for line in self.said()[behind:]), f"the line {parts}"
        )

    def _wait_until(self, happened: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not happened():
            if self.process.poll() is not None and not happened():
                if self.process.returncode == 0:
                    raise MissedError(f"the run was over before {what}")
                raise LostError(f"exit status {self.process.returncode} while waiting for {what}")
            if time.monotonic() > deadline:
                raise LostError(f"no {what} in {PATIENCE_S:g} s")
            time.sleep(0.02)

    def wait(self, expected: int) -> None:
        """Wait for the end of the command, and of all that it started.

        Raises:
            MissedError: it is done, but was expected to end otherwise.
            LostError: it failed with another status than expected, or did not end.
        """
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise LostError(f"no end in {PATIENCE_S:g} s") from error
        self.left |= wait_until_gone(
            lambda: [one for one in self._processes() if not title_of(one).startswith(AGENTS)], GONE_S
        )
        if status == 0 != expected:
            raise MissedError("the run was over before it noticed")
        if status != expected:
            raise LostError(f"exit status {status}, {expected} expected")

    def descendants(self, title: str = "") -> list[psutil.Process]:
        """Processes below the command's whose command line begins so."""
        found = descendants(self.process.pid) if self.process.poll() is None else []
        self._seen |= set(found)
        return [process for process in found if title_of(process).startswith(title)]

    def wait_for_agents(self) -> None:
        """Wait until even Ray's agents are gone, those of earlier starts among them."""
        self.left |= wait_until_gone(self._processes, AGENTS_GONE_S)

    def half_files(self) -> list[str]:
        """What was being written aside and never got its name."""
        return [str(path) for path in self.folder.root.rglob(".*")]

    def _processes(self) -> list[psutil.Process]:
        """All that any start of the command has left alive."""
        return [*{*marked(self._mark), *self._elsewhere(), *filter(is_alive, self._seen)}]

    def kill(self) -> None:
        """Kill the command and all that it started."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        kill_all(self._processes())


def marked(mark: str) -> list[psutil.Process]:
    """Processes that have inherited a mark that begins so."""
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get(MARK, "").startswith(mark) and is_alive(process)
    ]


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs: one that is dead but not yet waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(find: Callable[[], list[psutil.Process]], patience_s: float) -> set[str]:
    """Wait, with some patience, until no process is found; says of those that stay what they are."""
    deadline = time.monotonic() + patience_s
    while (found := find()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return {f"process {process.pid} {title_of(process).strip()[:80]}" for process in found}


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill each that is still there."""
    for process in processes:
        if is_alive(process):
            process.kill()


def title_of(process: psutil.Process) -> str:
    """The command line; empty for one that is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""

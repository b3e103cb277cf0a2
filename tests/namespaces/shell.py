"""Runs command lines and shows them: each as `$ ...`, with what it wrote. Where one runs stands in front of the `$`."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class ShellError(RuntimeError):
    """A command failed, or what was checked is not so."""


def say(text: str) -> None:
    """Say what was found."""
    print(text, flush=True)


def chapter(title: str) -> None:
    """Say what comes next."""
    say(f"\n== {title}\n")


def run(command: str, on: str = "", words: Sequence[str] | None = None, check: bool = True) -> tuple[int, str]:
    """Run a command line (as these words, where it runs elsewhere) and show it.

    Returns its exit status and all that it wrote, standard error with the rest.

    Raises:
        ShellError: its exit status is not 0, and `check` is set.
    """
    say(f"{on}$ {command}")
    process = subprocess.Popen(
        words or ["bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            print(line, end="" if line.endswith("\n") else "\n", flush=True)
        status = process.wait()
    finally:
        if process.poll() is None:  # interrupted
            process.kill()
            process.wait()
    if status and check:
        raise ShellError(f"exit status {status}: {on}$ {command}")
    return status, "".join(lines)


class Running:
    """A command line under way, which shows what it wrote when it is over."""

    def __init__(self, command: str, on: str, words: Sequence[str], log: Path) -> None:
        say(f"{on}$ {command} &")
        self._what, self._log = f"{on}$ {command}", log
        with log.open("wb") as file:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def wait_until(self, happened: Callable[[], bool], what: str, patience_s: float) -> None:
        """Wait for something that it is to bring about.

        Raises:
            ShellError: it was over before, or too slow.
        """
        deadline = time.monotonic() + patience_s
        while not happened():
            if self._process.poll() is not None:
                self.finish()
                raise ShellError(f"it was over before {what}: {self._what}")
            if time.monotonic() > deadline:
                raise ShellError(f"no {what} in {patience_s:g} s")
            time.sleep(0.02)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def finish(self) -> None:
        """Wait for its end, and show what it wrote.

        Raises:
            ShellError: its exit status is not 0.
        """
        status = self._process.wait()
        say(f"{self._what}\n{self._log.read_text(encoding='utf-8', errors='replace').rstrip()}")
        if status:
            raise ShellError(f"exit status {status}: {self._what}")

    def kill(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait()

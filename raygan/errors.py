"""Failures that a user sees as one line instead of a traceback."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Code = Literal[
    "unknown",  # no key, name, column or option is called so
    "missing",  # something that is needed is not there or not given
    "value",  # of a wrong type, or out of bounds
    "conflict",  # ruled out by another setting
    "kind",  # a component is another kind of object than its key needs
    "import",  # a component cannot be imported
    "failed",  # a component or a library raised an error
    "result",  # a component returned something else than its contract says
    "package",  # a package that has to be installed
    "unreadable",  # the system cannot read or write it
    "damaged",  # not of the format it should have, or not whole
    "unsafe",  # reading it would run code
    "empty",  # nothing is in it
    "twice",  # named or there more than once
    "exists",  # something is in the way
    "held",  # another process writes there
    "mismatch",  # two things that should belong together do not
    "layout",  # folders, or an array's type and axes
    "range",  # pixels outside of `data.depth`
    "few",  # too little data or too few devices for what is asked
    "resources",  # more than the machines have
    "not_finite",  # values that are not finite
    "finished",  # the run is over
]
"""What is wrong with the key of an error. Programs may rely on these words; messages may change."""

_KEY = re.compile(r"(?:(--[a-z-]+|[a-z_.]+(?==)).*?|(.+?)(?:, line \d+)?): ", re.DOTALL)
"""An option or config key before its value, or anything else, at the start of a message."""


class _KeyedError(Exception):
    """Base of raygan's errors. Messages have the form "KEY: what is wrong; what would be right"."""

    def __init__(self, message: str, code: Code | None = None, key: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        """What kind of fault it is; None where the key alone tells."""
        self._key = key

    @property
    def key(self) -> str | None:
        """The config key, option, file or place (round and device) that the error is about.

        The message begins with it, and with the file that the key was read from, if it is a file of its own.
        """
        found = _KEY.match(str(self))
        return self._key or (found and (found[1] or found[2])) or None


class InputError(_KeyedError, ValueError):
    """The input is wrong. The message names the key or file, what is wrong and what would be right (exit status 2)."""


class RunError(_KeyedError, RuntimeError):
    """The run failed. The message says what happened, what is kept and what to do (exit status 1)."""


class ProcessLostError(RunError):
    """A process of the run died and can be started again."""

    def __init__(self, message: str, actor: str | None = None) -> None:
        super().__init__(message)
        self.actor = actor
        """Ray's id of the actor, if the process was an actor's."""


class BadUpdateError(RunError):
    """A device's update cannot be averaged. The device can be left out of the round."""


class StorageError(RunError):
    """The run folder cannot be sent to the URI where it is kept."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised in the same way as Ctrl-C (exit status 143)."""


def place_of(error: BaseException) -> str:
    """Returns the file and line of an error: the innermost outside raygan and installed packages, if there is one."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "no line is known"
    here = str(Path(__file__).parent)
    own = [frame for frame in frames if not frame.filename.startswith((here, "<")) and not _installed(frame.filename)]
    frame = (own or frames)[-1]
    return f"{frame.filename}, line {frame.lineno}"


def _installed(file: str) -> bool:
    parts = Path(file).parts
    return "site-packages" in parts or "dist-packages" in parts or any(part.startswith("python3.") for part in parts)


@contextmanager
def naming(key: str, name: str, kind: "type[InputError] | type[RunError]" = InputError) -> Iterator[None]:
    """Add to any error that a component raises inside the block its name, its key, and the file and line.

    `kind` is raised in its place. An error of raygan's own is left unchanged.
    """
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        raise kind(
            f"{key}: {name} failed: {type(error).__name__}: {error} ({place_of(error)})", code="failed"
        ) from error


def counted(count: int, noun: str) -> str:
    """Returns a count in words: "1 sample", "1,000 samples"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

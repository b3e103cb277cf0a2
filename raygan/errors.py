"""Failures that a user sees as one line instead of a traceback."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """The input is wrong. The message names the key or file, what is wrong and what would be right (exit status 2)."""


class RunError(RuntimeError):
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
        raise kind(f"{key}: {name} failed: {type(error).__name__}: {error} ({place_of(error)})") from error


def counted(count: int, noun: str) -> str:
    """Returns a count in words: "1 sample", "1,000 samples"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

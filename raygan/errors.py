"""The kinds of failure a user sees as one line instead of a traceback."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """The user's input is wrong: names the key or file, what is wrong and what would be right (exit status 2)."""


class RunError(RuntimeError):
    """The run itself failed: says what happened, what is kept and what to do (exit status 1)."""


class ProcessLostError(RunError):
    """A process of the run died: it can be started again."""

    def __init__(self, message: str, actor: str | None = None) -> None:
        super().__init__(message)
        self.actor = actor
        """Ray's id of the actor, if it was one's."""


class BadUpdateError(RunError):
    """A device's update cannot go into the average: the device can be left out of the round."""


class StorageError(RunError):
    """What the run has done cannot be sent to where it is kept."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised as Ctrl-C is (exit status 143)."""


def place_of(error: BaseException) -> str:
    """File and line where an error came up: the last that is neither raygan's nor an installed package's, if any is."""
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
    """Say of whatever a component raises inside which one it was, named by which key, in which file and line.

    `kind` is what is raised in its place; one of ours that was raised inside is left as it is.
    """
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        raise kind(f"{key}: {name} failed: {type(error).__name__}: {error} ({place_of(error)})") from error


def counted(count: int, noun: str) -> str:
    """So many of them: "1 sample", "1,000 samples"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

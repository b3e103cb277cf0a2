"""The kinds of failure a user sees as one line instead of a traceback."""


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

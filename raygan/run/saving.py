"""Checkpoints on their way: to the run folder, and from there to where it is kept."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from types import TracebackType
from typing import Self

from raygan.errors import StorageError
from raygan.executors.transport import Pending
from raygan.record.store import Store

SEND_PATIENCE = 3
"""Failures in a row to send a run folder before the run ends."""


class Saving:
    """One checkpoint at a time is written and then sent, both beside the rounds.

    What could not be sent goes with the next checkpoint, a few times.
    """

    def __init__(self, store: Store, report: Callable[[str], None], saved: Callable[[int], None]) -> None:
        self._store = store
        self._report = report
        self._saved = saved
        self._writing: tuple[int, Pending[None]] | None = None
        self._sending: Future[None] | None = None
        self._failures = 0

    def begin(self, round: int, save: Callable[[], Pending[None]]) -> None:
        """Start the checkpoint of a round, once the one before has been sent."""
        self.finish()
        self._writing = round, save()

    def move_on(self) -> None:
        """Begin to send what has been written; to be called now and then.

        Raises:
            StorageError: it could not be sent for too long.
        """
        self._advance(wait=False)

    def finish(self) -> None:
        """Wait until everything has been written and sent.

        Raises:
            StorageError: it could not be sent for too long.
        """
        self._advance(wait=True)

    def __enter__(self) -> Self:
        """Nothing is begun."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Wait for what is being sent, whatever becomes of it; but not for who pressed Ctrl-C twice."""
        if self._sending is not None and not isinstance(error, KeyboardInterrupt):
            self._sending.exception()

    def _advance(self, wait: bool) -> None:
        if self._writing is not None and (wait or self._writing[1].done()):
            round, writing = self._writing
            writing.result()
            self._writing, self._sending = None, self._send()
            self._saved(round)
        if self._sending is not None and (wait or self._sending.done()):
            sending, self._sending = self._sending, None
            self._note(sending)

    def _send(self) -> "Future[None]":
        """In a thread that does not keep the command from ending."""
        sending: Future[None] = Future()

        def push() -> None:
            try:
                self._store.push()
            except Exception as error:
                sending.set_exception(error)
            else:
                sending.set_result(None)

        Thread(target=push, daemon=True).start()
        return sending

    def _note(self, sent: Future[None]) -> None:
        try:
            sent.result()
            self._failures = 0
        except StorageError as error:
            self._failures += 1
            if self._failures == SEND_PATIENCE:
                raise
            self._report(f"{error}; trying again after the next checkpoint")

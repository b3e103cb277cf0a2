"""Ctrl-C and SIGTERM as a wish to stop after the round."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from signal import SIGINT, SIGTERM, Signals, getsignal, signal
from types import FrameType

from raygan.errors import Terminated


@dataclass
class StopWish:
    """Which signal asked for the end, if any."""

    signal: Signals | None = None


@contextmanager
def noting(wish: StopWish, then: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Inside, the first SIGINT or SIGTERM is noted, and `then` called; a second one raises KeyboardInterrupt at once.

    In a thread other than the main one (a Tune trial) signals are not ours to take and nothing is noted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        if wish.signal is not None:
            raise Terminated if number == SIGTERM else KeyboardInterrupt
        wish.signal = Signals(number)
        then()

    before = {number: signal(number, note) for number in (SIGINT, SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal(number, handler)


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Afterwards, SIGTERM is handled as before: Ray takes it for itself when it starts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = getsignal(SIGTERM)
    try:
        yield
    finally:
        signal(SIGTERM, before)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Inside, SIGTERM is raised as `Terminated`, just as Ctrl-C is as KeyboardInterrupt; in the main thread only."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with sigterm_kept():
        if threading.current_thread() is threading.main_thread():
            signal(SIGTERM, end)
        yield


@contextmanager
def stop_wish(then: Callable[[], object] = lambda: None) -> Iterator[StopWish]:
    """A wish, and inside, signals are noted in it."""
    wish = StopWish()
    with noting(wish, then):
        yield wish

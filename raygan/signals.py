"""Handling of Ctrl-C and SIGTERM: the run stops after the current round."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from signal import SIGINT, SIGTERM, Signals, getsignal, signal
from types import FrameType

from raygan.errors import Terminated


@dataclass
class StopWish:
    """The signal that asked for the end, if any."""

    signal: Signals | None = None


@contextmanager
def noting(wish: StopWish, then: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Inside the block, record the first SIGINT or SIGTERM and call `then`; a second raises KeyboardInterrupt at once.

    In a thread other than the main one (a Tune trial), signals cannot be handled and nothing is recorded.
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
    """Restore the handler of SIGTERM afterwards: Ray replaces it when it starts."""
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
    """Inside the block, SIGTERM raises `Terminated`, as Ctrl-C raises KeyboardInterrupt; in the main thread only."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with sigterm_kept():
        if threading.current_thread() is threading.main_thread():
            signal(SIGTERM, end)
        yield


@contextmanager
def stop_wish(then: Callable[[], object] = lambda: None) -> Iterator[StopWish]:
    """Yields a `StopWish` in which signals are recorded inside the block."""
    wish = StopWish()
    with noting(wish, then):
        yield wish

"""The watch over processes that the run waits for: a process that hangs is named, and in the end counts as lost."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from signal import SIGTERM
from time import monotonic

from raygan.errors import ProcessLostError, Terminated
from raygan.signals import StopWish

TELL_S = 60.0
"""After so long without anything done, who is waited for is said."""
GIVE_UP_S = 60.0
"""After Ctrl-C a round may take so long, or `SLOWER` times the longest wait so far, until it is given up."""
SLOWER = 3.0
CHECK_S = 1.0
HEARD_S = 3.0
"""After Ctrl-C a round may take so long without a word."""
ENDED_S = 30.0
"""Seconds that Ray may take to notice that a process was ended."""


@dataclass(frozen=True)
class Someone:
    """A process of the run."""

    role: str
    actor: str
    """Ray's id."""
    where: str = "not known to have started"
    """Node and process id, in words."""


@dataclass
class Vigil:
    """The rules of waiting for the processes of a run."""

    hang_timeout_s: float
    """After so long without anything done, who is waited for is taken for lost (seconds; 0: never)."""
    say: Callable[[str], None]
    """To who watches, and into the run folder."""
    wish: StopWish
    end: Callable[[Someone], bool] = lambda someone: False
    """End a process that may not listen any more; whether it could be. Waits for some seconds at most."""
    busy: Callable[[Someone], bool] = lambda someone: False
    """Returns whether a process, though it is late, is known to be alive."""
    check: Callable[[], None] = lambda: None
    """Raises if there is nothing to wait for, such as when Ray's head is gone."""
    longest: float = field(default=0.0, init=False)
    """The longest wait so far that came to an end (seconds)."""
    wished: float | None = field(default=None, init=False)
    """Since when somebody is seen to wish for the end."""
    told: bool = field(default=False, init=False)
    """True once the user was told that the end is waited for."""

    _checked: float = field(default=0.0, init=False)

    def check_now_and_then(self) -> None:
        """`check`, at most once a second: rounds may be short, and go on for a while without a head."""
        if (now := monotonic()) - self._checked >= CHECK_S:
            self._checked = now
            self.check()

    def begin(self) -> "Watch":
        """Look after one wait."""
        return Watch(self)


class Watch:
    """One wait: `look` is called now and then, with the processes whose work is not done."""

    def __init__(self, vigil: Vigil) -> None:
        self._vigil = vigil
        self._since = monotonic()
        self._left: int | None = None
        self._told_after = TELL_S
        self._ended: set[str] = set()
        self._ended_at = 0.0

    def over(self) -> None:
        """It is done."""
        self._vigil.longest = max(self._vigil.longest, monotonic() - self._since)

    def look(self, left: int, late: Iterable[Someone]) -> None:
        """See to it that the wait ends: `left` counts what is not done, `late` are those that it depends on now.

        Raises:
            ProcessLostError: someone hangs, and could not be ended, or is not seen to be.
            KeyboardInterrupt, Terminated: somebody wishes for the end, and the wait would go on.
        """
        vigil, now, names = self._vigil, monotonic(), list(late)
        vigil.check_now_and_then()
        if self._left is None or left < self._left:  # something was done since
            if self._left is not None:
                vigil.longest = max(vigil.longest, now - self._since)
                self._since, self._told_after = now, TELL_S
            self._left = left
        waited = now - self._since
        self._heed_wish(now, names)
        if self._ended and now - self._ended_at >= ENDED_S:
            someone = next(one for one in names or [Someone("a process", "")])
            raise ProcessLostError(
                f"{someone.role}: it hung, was ended, and Ray does not notice", someone.actor or None
            )
        if waited >= self._told_after:
            self._told_after *= 2
            vigil.say(f"nothing was done for {waited:.0f} s: waiting for {_described(names)}")
        if vigil.hang_timeout_s and waited >= vigil.hang_timeout_s and not self._ended:
            self._end(names)

    def _heed_wish(self, now: float, names: list[Someone]) -> None:
        vigil = self._vigil
        if vigil.wish.signal is None:
            return
        limit = max(GIVE_UP_S, SLOWER * vigil.longest)
        vigil.wished = vigil.wished or now
        waited = now - max(vigil.wished, self._since)
        if waited >= HEARD_S and not vigil.told:
            vigil.told = True
            vigil.say(f"stopping: waiting for {_described(names)}, given up after {limit:.0f} s (once more: at once)")
        if waited >= limit:
            vigil.say(f"given up: {_described(names)} did nothing for {limit:.0f} s")
            raise Terminated if vigil.wish.signal == SIGTERM else KeyboardInterrupt

    def _end(self, names: list[Someone]) -> None:
        """End those who hang; Ray then says of them what it says of any process that died."""
        vigil = self._vigil
        hanging = [one for one in names if not vigil.busy(one)]
        if not hanging:
            self._since, self._told_after = monotonic(), TELL_S
            return
        what = f"did nothing for {vigil.hang_timeout_s:g} s (engine.hang_timeout_s)"
        for one in hanging:
            if not vigil.end(one):
                raise ProcessLostError(f"{one.role}: {what}, and could not be ended ({one.where})", one.actor)
            vigil.say(f"{one.role} {what}, and was ended ({one.where})")
        self._ended, self._ended_at = {one.actor for one in hanging}, monotonic()


def _described(names: list[Someone]) -> str:
    if not names:
        return "the cluster"
    shown = [f"{one.role} ({one.where})" for one in names[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


_SHOWN = 4

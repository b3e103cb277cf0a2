"""Who hangs is named and ended, on a clock that is made up. No Ray here."""

from signal import SIGINT, SIGTERM

import pytest

from raygan.errors import ProcessLostError, Terminated
from raygan.executors import vigil
from raygan.executors.vigil import ENDED_S, GIVE_UP_S, Someone, Vigil
from raygan.signals import StopWish
from tests.errors import raises

DEVICE = Someone("device 1", "d1", "process 7 on 10.0.0.2")


class Waiting:
    """A wait for one process, looked after every second."""

    def __init__(self, monkeypatch, hang_timeout_s=0.0, **does):
        self.now, self.said, self.ended, self.wish = 100.0, [], [], StopWish()
        monkeypatch.setattr(vigil, "monotonic", lambda: self.now)
        self.vigil = Vigil(hang_timeout_s, self.said.append, self.wish, **{"end": self.end, **does})
        self.watch = self.vigil.begin()

    def end(self, someone):
        self.ended.append((self.now - 100.0, someone.role))
        return True

    def wait(self, seconds, left=1, late=(DEVICE,)):
        for _ in range(seconds):
            self.now += 1.0
            self.watch.look(left, late)


def test_who_is_waited_for_is_said_ever_more_rarely(monkeypatch):
    waiting = Waiting(monkeypatch)
    waiting.wait(59)
    assert waiting.said == []
    waiting.wait(1)
    assert waiting.said == ["nothing was done for 60 s: waiting for device 1 (process 7 on 10.0.0.2)"]
    waiting.wait(440)
    assert len(waiting.said) == 4  # after 60, 120, 240, 480 s
    assert waiting.ended == []


def test_what_is_done_begins_the_wait_anew(monkeypatch):
    waiting = Waiting(monkeypatch, hang_timeout_s=50.0)
    waiting.wait(49, left=3)
    waiting.wait(49, left=2)
    waiting.wait(48, left=1)
    assert (waiting.said, waiting.ended) == ([], [])
    assert waiting.vigil.longest == 50.0


def test_who_hangs_is_ended_once_and_then_lost_if_ray_does_not_notice(monkeypatch):
    waiting = Waiting(monkeypatch, hang_timeout_s=30.0)
    waiting.wait(30 + int(ENDED_S) - 1)
    assert waiting.ended == [(30.0, "device 1")]
    assert waiting.said == [
        "device 1 did nothing for 30 s (engine.hang_timeout_s), and was ended (process 7 on 10.0.0.2)"
    ]
    with raises("device 1", None, "was ended", kind=ProcessLostError) as caught:
        waiting.wait(1)
    assert caught.value.actor == "d1"


def test_who_cannot_be_ended_is_lost_at_once(monkeypatch):
    waiting = Waiting(monkeypatch, hang_timeout_s=30.0, end=lambda someone: False)
    with raises("device 1", None, "could not be ended", kind=ProcessLostError) as caught:
        waiting.wait(30)
    assert caught.value.actor == "d1"


def test_who_answers_may_take_as_long_as_it_likes(monkeypatch):
    waiting = Waiting(monkeypatch, hang_timeout_s=30.0, busy=lambda someone: True)
    waiting.wait(1000)
    assert waiting.ended == []


@pytest.mark.parametrize(("number", "error"), [(SIGINT, KeyboardInterrupt), (SIGTERM, Terminated)])
def test_a_wish_for_the_end_gives_up_what_does_not_end(monkeypatch, number, error):
    waiting = Waiting(monkeypatch)
    waiting.wait(10)
    waiting.wish.signal = number
    waiting.wait(int(GIVE_UP_S))
    assert waiting.said[0].startswith("stopping: waiting for device 1 (process 7 on 10.0.0.2), given up after 60 s")
    with pytest.raises(KeyboardInterrupt) as caught:
        waiting.wait(1)
    assert type(caught.value) is error


def test_a_slow_run_has_more_time_to_end(monkeypatch):
    waiting = Waiting(monkeypatch)
    waiting.now += 100.0
    waiting.watch.over()
    waiting.watch = waiting.vigil.begin()
    waiting.wish.signal = SIGINT
    waiting.wait(300)
    with pytest.raises(KeyboardInterrupt):
        waiting.wait(1)


def test_a_lost_head_ends_every_wait(monkeypatch):
    def gone():
        raise ProcessLostError("gone")

    with pytest.raises(ProcessLostError, match="gone"):
        Waiting(monkeypatch, check=gone).wait(1)

"""Where a round's time goes."""

import pytest

from raygan.round.timing import ServerTimes, WorkerTimes, spent

SERVER = ServerTimes(sent=10.0, received=17.5, averaged=17.75, ended=20.0)


def test_the_worker_that_ended_last_is_the_one_that_was_waited_for():
    early, late = WorkerTimes(10.5, 5.0, 16.0), WorkerTimes(11.0, 4.0, 17.0)
    phases = spent([late, early], SERVER, asked=9.0)
    assert phases == {"down": 1.0, "devices": 4.0, "host": 2.0, "up": 0.5, "average": 0.25, "server": 2.25}
    assert sum(phases.values()) == SERVER.ended - SERVER.sent


def test_a_round_that_nobody_answered_is_the_servers():
    phases = spent([], SERVER, asked=9.0)
    assert phases == {"up": 7.5, "average": 0.25, "server": 2.25}
    assert sum(phases.values()) == pytest.approx(SERVER.ended - SERVER.sent)


def test_a_round_that_is_asked_for_late_begins_then():
    """As after an evaluation in the same process."""
    phases = spent([WorkerTimes(11.0, 4.0, 17.0)], SERVER, asked=10.75)
    assert phases["down"] == 0.25
    assert sum(phases.values()) == SERVER.ended - 10.75

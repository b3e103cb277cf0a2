"""What comes back from the cluster when something is lost."""

import pytest
from ray.exceptions import ActorDiedError, ObjectLostError, OutOfMemoryError

from raygan.errors import ProcessLostError
from raygan.executors.results import LOST, Fetcher, RayPending

LOSSES = {
    "memory": OutOfMemoryError("1 worker(s) were killed due to the node running low on memory."),
    "object": ObjectLostError("ab" * 28, None, "somewhere"),
    "actor": ActorDiedError(),
}


@pytest.mark.parametrize("error", LOSSES.values(), ids=LOSSES)
def test_every_kind_of_loss_is_one(error, monkeypatch):
    def get(refs):
        raise error

    assert isinstance(error, LOST)
    monkeypatch.setattr("raygan.executors.results.ray.get", get)
    with pytest.raises(ProcessLostError) as caught:
        Fetcher()([None])
    assert "\n" not in str(caught.value)


def test_what_failed_once_is_not_tried_again():
    """To ask again could replace a process that the run has given up."""
    asked = []

    def combine():
        asked.append(1)
        raise ProcessLostError("gone")

    pending = RayPending([], combine)
    for _ in range(2):
        with pytest.raises(ProcessLostError, match="gone"):
            pending.result()
    assert len(asked) == 1

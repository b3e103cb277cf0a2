"""What comes back from the cluster when something is lost."""

import pytest
from ray.exceptions import ActorDiedError, ObjectLostError, OutOfMemoryError

from raygan.errors import ProcessLostError
from raygan.executors.ray_values import LOST, Fetcher
from raygan.executors.vigil import Vigil
from raygan.signals import StopWish

LOSSES = {
    "memory": OutOfMemoryError("1 worker(s) were killed due to the node running low on memory."),
    "object": ObjectLostError("ab" * 28, None, "somewhere"),
    "actor": ActorDiedError(),
}


@pytest.mark.parametrize("error", LOSSES.values(), ids=LOSSES)
def test_every_kind_of_loss_is_one(error, monkeypatch):
    def get(refs, timeout):
        raise error

    assert isinstance(error, LOST)
    monkeypatch.setattr("raygan.executors.ray_values.ray.get", get)
    with pytest.raises(ProcessLostError) as caught:
        Fetcher(Vigil(0, print, StopWish()), lambda: None)([None])
    assert "\n" not in str(caught.value)

"""Work that is recorded and replayed: who is called when, with whose memory. The recording itself needs a GPU."""

import pytest
import torch

from raygan.gan import replay
from raygan.gan.networks import build_networks
from raygan.gan.replay import MOST, Recorded, Replay
from tests.helpers import tiny

CPU = torch.device("cpu")
OWN = "tests.gan.test_replay"


@pytest.fixture
def recordings(monkeypatch):
    """Stands for a GPU: recorded work reads and writes memory of its own whenever it is launched. Who was recorded."""
    recorded = []

    def record(work, owner, given):
        recorded.append(work)
        mine = [torch.empty_like(one) if one is not None else None for one in given]
        made = tuple(torch.empty_like(one) for one in work(owner, *given))

        def launch():
            for place, one in zip(made, work(owner, *mine), strict=True):
                place.copy_(one)

        return Recorded(launch, mine, made)

    monkeypatch.setattr(replay, "_on_gpu", lambda given: True)
    monkeypatch.setattr(replay, "_record", record)
    return recorded


def double(owner, x, y=None):
    return (x * owner if y is None else x * owner + y,)


def test_on_a_cpu_work_is_called_as_it_is():
    x = torch.ones(2)
    assert Replay(True)(lambda owner, given: (given,), None, x)[0] is x


def test_work_is_recorded_at_its_second_call_and_each_shape_on_its_own(recordings):
    call, counts = Replay(True), []
    for shape in [(2,), (2,), (2,), (3,), (3,), (2,)]:
        x = torch.rand(shape)
        assert torch.equal(call(double, 2.0, x)[0], 2 * x)
        counts.append(len(recordings))
    assert counts == [0, 1, 1, 1, 2, 2]


def test_what_is_made_is_the_callers_own_and_what_is_given_stays(recordings):
    call = Replay(True)
    given = [torch.full((2,), float(i)) for i in range(4)]
    made = [call(double, 2.0, x, None)[0] for x in given]
    assert [one[0].item() for one in made] == [0, 2, 4, 6]
    assert [one[0].item() for one in given] == [0, 1, 2, 3]
    assert len({one.data_ptr() for one in made}) == 4


def test_more_shapes_than_graphs_are_kept_of_are_launched_as_they_are(recordings):
    call = Replay(True)
    for _ in range(3):
        for size in range(1, MOST + 4):
            assert torch.equal(call(double, 3.0, torch.ones(size))[0], torch.full((size,), 3.0))
    assert len(recordings) == MOST


def test_without_graphs_nothing_is_recorded(recordings):
    call = Replay(False)
    for _ in range(3):
        call(double, 2.0, torch.ones(2))
    assert recordings == []


class Promising(torch.nn.Module):
    replayable = True

    def __init__(self, shape, gan):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(shape).flatten())

    def forward(self, samples):
        return samples.flatten(1) @ self.weight


class Silent(Promising):
    replayable = False


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], True),
        (["engine.cuda_graphs=false"], False),
        ([f"gan.discriminator={OWN}:Promising"], True),
        ([f"gan.discriminator={OWN}:Silent"], False),
        (["gan.loss=raygan.gan.losses:hinge"], False),
    ],
)
def test_networks_of_ones_own_are_replayed_if_they_promise_that_they_can_be(words, expected):
    assert build_networks(tiny(*words), (1, 16, 16), CPU).replay.on is expected


def test_what_has_moved_is_recorded_anew(recordings):
    call = Replay(True)
    for _ in range(3):
        call(double, 2.0, torch.ones(2))
    call.forget()
    counts = []
    for _ in range(3):
        call(double, 2.0, torch.ones(2))
        counts.append(len(recordings))
    assert counts == [1, 2, 2], "the first call loads kernels again"

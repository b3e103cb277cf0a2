"""FedAsync's and FedBuff's arithmetic on tiny cases, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raygan.config.asynchronous import Asynchronous
from raygan.methods.base import Mean
from raygan.methods.staleness import factor, merged
from raygan.round.messages import Message, Slots
from tests.helpers import tiny
from tests.methods.parties import parties

OWN = np.array([8, -4], np.float32)


def mean(values, weight=1):
    return Mean(np.array(values, np.float32), weight)


def settings(**keys):
    return Asynchronous(**keys)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"staleness": "constant"}, [1, 1, 1, 1, 1]),
        ({"staleness": "polynomial"}, [1, 2**-0.5, 3**-0.5, 0.5, 5**-0.5]),
        ({"staleness": "polynomial", "exponent": 2.0}, [1, 1 / 4, 1 / 9, 1 / 16, 1 / 25]),
        ({"staleness": "hinge", "exponent": 0.5, "grace": 2}, [1, 1, 1, 1 / 1.5, 1 / 2]),
        ({"staleness": "hinge", "exponent": 10.0}, [1, 1 / 11, 1 / 21, 1 / 31, 1 / 41]),
    ],
)
def test_factors_by_hand(keys, expected):
    assert [factor(staleness, settings(**keys)) for staleness in range(5)] == pytest.approx(expected)


@given(
    st.integers(0, 10**6), st.sampled_from(["constant", "polynomial", "hinge"]), st.floats(1e-3, 50), st.integers(0, 9)
)
def test_a_fresh_update_counts_whole_and_none_counts_more(staleness, name, exponent, grace):
    chosen = settings(staleness=name, exponent=exponent, grace=grace)
    assert factor(0, chosen) == 1
    assert 0 <= factor(staleness + 1, chosen) <= factor(staleness, chosen) <= 1


def test_fedasync_by_hand():
    """One update of staleness 3: a s = 0.5 (1 + 3)^-0.5 = 1/4; 3/4 of (8, -4) and 1/4 of (0, 8)."""
    new = merged({3: mean([0, 8], 20)}, lambda: OWN, settings(mixing=0.5))
    assert new.vector.tolist() == [6, -1]
    assert new.weight == 20


def test_fedbuff_by_hand():
    """Differences of staleness 0, 0 and 3: 0.5/3 (d1 + d2 + d3/2), of which two are in one mean; nothing of the own."""
    new = merged({0: mean([6, -3], 2), 3: mean([6, 12])}, lambda: np.zeros(2, np.float32), settings(mixing=0.5))
    assert new.vector == pytest.approx(np.array([(2 * 6 + 3) / 6, (2 * -3 + 6) / 6]))


def test_several_values_and_weights_by_hand():
    """Weights 1 and 3, factors 1 and 1/2, mixing 1: S = 1/4 + 3/8 = 5/8, so 3/8 of the own stays."""
    new = merged({0: mean([8, 0]), 3: mean([0, 16], 3)}, lambda: OWN, settings())
    assert new.vector.tolist() == [3 + 2 + 0, -1.5 + 0 + 6]


VECTORS = arrays(np.float32, 5, elements=st.floats(-(2.0**20), 2.0**20, width=32))


@given(VECTORS, VECTORS)
def test_fresh_updates_mixed_with_one_come_out_as_they_are(update, own):
    new = merged({0: Mean(update + np.float32(0), 7)}, lambda: own, settings())
    assert new.vector.tobytes() == (update + np.float32(0)).tobytes()


@given(VECTORS, st.integers(1, 9), st.floats(0.01, 1), st.sampled_from(["constant", "polynomial"]))
def test_who_sends_the_servers_own_changes_nothing(own, staleness, mixing, name):
    new = merged({0: Mean(own, 2), staleness: Mean(own, 1)}, lambda: own, settings(mixing=mixing, staleness=name))
    assert new.vector == pytest.approx(own, rel=1e-6)


def stale(config, sizes, staleness):
    """The discriminator behind one version of all devices' updates of such staleness; and D, and the sent vectors."""
    worker, server = parties(config, sizes)
    down, before = server.down(1), server.side.networks.discriminator.averaged.numpy().copy()
    messages = [worker.update_devices(1, down, [device])[0] for device in worker.devices]
    server.update(1, iter(messages[::-1]), staleness)
    sent = [message.updates[0].vector for message in messages]
    return server.side.networks.discriminator.averaged.numpy().copy(), before, sent


ASYNCHRONOUS = ["schedule=asynchronous", "generator_steps=1", "gan.discriminator_norm=none"]


def test_with_mixing_and_factor_one_the_discriminator_is_the_last_arrivals():
    config = tiny(*ASYNCHRONOUS, "devices=1", "asynchronous.staleness=constant")
    after, _, (sent,) = stale(config, [20], {0: 5})
    assert after.tobytes() == sent.tobytes()


@pytest.mark.parametrize("upload", ["weights", "delta"])
def test_the_server_weighs_updates_by_their_age(upload):
    words = [*ASYNCHRONOUS, "devices=3", "asynchronous.buffer=3", "asynchronous.mixing=0.5", "averaged.weights=shard"]
    after, own, sent = stale(tiny(*words, f"averaged.upload={upload}"), [10, 20, 30], {0: 3, 2: 8})
    moved = [vector - (own if upload == "weights" else 0) for vector in sent]
    step = 0.5 * (10 / 2 * moved[0] + 20 * moved[1] + 30 / 3 * moved[2]) / 60
    assert after == pytest.approx(own + step, abs=1e-6)
    assert np.abs(step).max() > 1e-5


def test_updates_of_one_staleness_are_one_exact_mean_in_any_order():
    config = tiny(*ASYNCHRONOUS, "devices=3", "asynchronous.buffer=3")
    worker, server = parties(config, [20, 20, 20])
    messages = [worker.update_devices(1, server.down(1), [device])[0] for device in worker.devices]
    results = []
    for order in ([0, 1, 2], [2, 0, 1]):
        slots = Slots(config, server._problem)
        for device in order:
            assert slots.take_in(messages[device], {0: 2, 2: 2}) == []
        results.append(slots.means(lambda: server.side.reference(1))[0].vector)
    assert results[0].tobytes() == results[1].tobytes()
    single = [message.updates[0].vector.astype(float) for message in messages]
    share = 3**-0.5
    own = server.side.reference(1).astype(float) * (1 - math.fsum([1, 2 * share]) / 3)
    assert results[0] == pytest.approx(own + (single[1] + share * (single[0] + single[2])) / 3, rel=1e-5, abs=1e-6)


def test_an_empty_message_of_a_lost_device_changes_nothing():
    config = tiny(*ASYNCHRONOUS, "devices=1")
    _, server = parties(config, [20])
    before = server.side.networks.discriminator.dump().tobytes()
    _, report = server.update(1, [Message(lost={0: "its process died"})], {0: 1})
    assert report.dropped == {0: "its process died"}
    assert server.side.networks.discriminator.dump().tobytes() == before


def test_a_checkpoint_has_a_device_under_way_as_it_started():
    config = tiny(*ASYNCHRONOUS, "devices=2")
    worker, server = parties(config, [20, 20])
    down = server.down(1)

    def moments(states):
        return {device: state["optimizer"].tobytes() for device, state in states.items()}

    worker.update_devices(1, down, [0], ahead=True)
    assert moments(worker.states([0])) == {}, "it had none"
    (first,) = moments(worker.states()).values()
    worker.update_devices(2, down, [0], ahead=True)
    worker.update_devices(2, down, [1])
    under_way = moments(worker.states([0]))
    assert under_way[0] == first
    assert under_way[1] != first
    assert moments(worker.states([]))[0] != first

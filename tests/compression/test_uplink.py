"""What devices remember, what travels, and that where devices are played changes no bit."""

import pickle

import numpy as np
import pytest

from raygan.components import METHODS
from raygan.compression.uplink import Compressible, Uplink
from raygan.errors import BadUpdateError, RunError
from raygan.methods.base import Update
from raygan.round.messages import pre_aggregated
from raygan.round.shards import WorkerShards
from raygan.round.worker import Worker
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import CPU, IMAGES, parties, problem_of

DELTA = ["averaged.upload=delta", "fedgan.upload=delta"]
REMEMBERS = {
    "none": ["name=raygan.compression.codec:Identity", "feedback=true"],
    "topk": ["name=topk", "share=0.1"],
    "randk": ["name=randk", "share=0.1", "feedback=true"],
    "sign": ["name=sign"],
}
FORGETS = {
    "topk, forgotten": ["name=topk", "feedback=false"],
    "randk, scaled": ["name=randk"],
    "qsgd": ["name=qsgd"],
}
CODECS = {"topk": ["name=topk"], "sign": ["name=sign"], "randk": ["name=randk"], "qsgd": ["name=qsgd"]}


def words(*ours):
    return [f"compression.{one}" for one in ours]


def uplink(size, *ours, spans=None):
    return Uplink(tiny(*words(*ours)), Compressible(((0, size),) if spans is None else spans), size)


def sends(way, vectors, late=()):
    """What arrives of a device's updates round by round (None of a late one), and its memory in the end."""
    memory, arrived = None, []
    for round, vector in enumerate(vectors, start=1):
        due = way.due(vector, memory)
        if round in late:
            memory = due
            arrived.append(None)
            continue
        arrived.append(way.decode(way.encode(due, vector, 0, round)))
        memory = way.left_out(due, arrived[-1])
    return arrived, memory


def on_a_grid(count, size=200):
    """Updates whose sums are exact: small multiples of a power of two."""
    return np.random.default_rng(1).integers(-999, 999, (count, size)).astype(np.float32) / 1024


@pytest.mark.parametrize("late", [(), (1,), (3, 4, 9), range(1, 10)], ids=str)
@pytest.mark.parametrize("name", ["none", "topk", "randk"])
def test_what_was_sent_and_the_memory_are_all_updates_exactly(name, late):
    """sum c_t + e_T = sum delta_t; a late message is still in the memory."""
    deltas = on_a_grid(9)
    arrived, memory = sends(uplink(200, *REMEMBERS[name]), deltas, late)
    sent = sum((one for one in arrived if one is not None), np.zeros(200, np.float32))
    assert np.array_equal(sent + memory, deltas.sum(axis=0))
    assert name == "none" or np.abs(memory).max() > 0, "something was left out"


@pytest.mark.parametrize("name", ["topk", "sign"])
def test_they_are_so_but_for_rounding(name):
    """A round rounds twice: delta + e, and p - c (not of topk). Each errs by half a unit in the last place."""
    deltas = np.random.default_rng(2).standard_normal((50, 200)).astype(np.float32)
    arrived, memory = sends(uplink(200, *REMEMBERS[name]), deltas)
    error = np.sum(arrived, axis=0, dtype=np.float64) + memory - deltas.sum(axis=0, dtype=np.float64)
    largest = np.abs(np.cumsum(deltas, axis=0)).max() + np.abs(arrived).max()
    assert np.abs(error).max() <= 50 * 2 * largest * 2.0**-24


def test_the_memory_of_one_large_value_is_the_rest():
    vector = np.array([0.5, -8.0, 0.25, 0.0], np.float32)
    (arrived,), memory = sends(uplink(4, "name=topk", "count=1"), [vector])
    assert arrived.tolist() == [0, -8, 0, 0]
    assert memory.tolist() == [0.5, 0, 0.25, 0]


def test_a_small_value_is_sent_when_it_has_grown():
    """0.4 a round against 1: it comes through in the third, with all of it."""
    vector = np.array([1.0, 0.4], np.float32)
    arrived, _ = sends(uplink(2, "name=topk", "count=1"), [vector] * 3)
    assert [one.tolist() for one in arrived] == [[1, 0], [1, 0], [0, np.float32(0.4) + np.float32(0.8)]]


def test_only_the_spans_are_compressed():
    way = uplink(10, "name=topk", "count=1", spans=((1, 3), (6, 8)))
    vector = np.arange(1, 11, dtype=np.float32)
    due = way.due(vector, np.array([0, 9, 0, 0], np.float32))
    assert due.tolist() == [2, 12, 7, 8]
    assert vector.tolist() == list(range(1, 11)), "an update is left as it was"
    encoded = way.encode(due, vector, 0, 1)
    arrived = way.decode(encoded)
    assert arrived.tolist() == [1, 0, 12, 4, 5, 6, 0, 0, 9, 10]
    assert way.left_out(due, arrived).tolist() == [2, 0, 7, 8]
    assert encoded.nbytes == 4 * 6 + 4 + 2, "6 values, one value, and a place in two planes of bits"
    assert way.bits(32) == 34
    assert way.saved_bits(32) == 4 * 32 - 34
    assert way.share == pytest.approx((6 * 32 + 34) / 320)


@pytest.mark.parametrize("ours", [["name=topk"], ["name=sign"], ["name=randk", "feedback=true"]], ids=str)
def test_what_no_later_round_makes_up_for_needs_an_unbiased_codec(ours):
    config = tiny("method=mdgan", *words(*ours))
    with raises("compression.name", "conflict", "method=mdgan", "qsgd"):
        problem_of(config, 60).uplink(config)


# --- devices ----------------------------------------------------------------------------------------


def played(config, rounds=3, late=None, sizes=(20, 20, 20)):
    """A worker and a server after some rounds; device 1 is overdue in the round `late`."""
    worker, server = parties(config, list(sizes))
    for round in range(1, rounds + 1):
        chosen = [0, 2] if round == late else [0, 1, 2]
        message, report = worker.update_devices(round, server.down(round), chosen, False, [1] if round == late else [])
        assert sorted(report.devices) == chosen
        server.update(round, [message])
    return worker, server


def bits_of(server):
    return {name: array.tobytes() for name, array in server.side.state().items()}


@pytest.mark.parametrize("name", METHODS)
def test_identity_is_no_compression_bit_for_bit(name):
    """Also where it remembers, which is nothing."""
    if name == "centralized":
        with raises("compression.name", "conflict", "method=centralized", "compression.name=none"):
            problem_of(tiny("method=centralized", "compression.name=topk"), 60)
        return
    ours = ["name=randk", "share=1"] if name == "mdgan" else ["name=topk", "share=1"]
    config = [f"method={name}", *DELTA, "gan.discriminator_norm=batch"]
    (worker, server), (_, plain) = played(tiny(*config, *words(*ours))), played(tiny(*config))
    assert bits_of(server) == bits_of(plain)
    memories = [state.get("compression.memory") for state in worker.states().values()]
    assert all(memory is None if name == "mdgan" else not memory.any() for memory in memories)


AROUND = ["gan.augment=ada", "server_optimizer.name=adam", "proximal.mu=0.1", "scaffold.option=I"]


@pytest.mark.parametrize("method", ["averaged", "fedgan"])
@pytest.mark.parametrize("around", AROUND)
def test_what_is_around_a_method_is_sent_as_it_is(around, method):
    config = [f"method={method}", *DELTA, "fedgan.weights=uniform", around]
    (worker, server), (_, plain) = played(tiny(*config, *words("name=topk", "share=1"))), played(tiny(*config))
    assert bits_of(server) == bits_of(plain)
    compressible = problem_of(tiny(f"method={method}", *DELTA, *words("name=topk")), 60).compressible
    assert worker._problem.compressible == compressible


@pytest.mark.parametrize("name", ["averaged", "fedgan"])
def test_differences_are_asked_for(name):
    with raises(f"{name}.upload", "conflict", "topk", "delta"):
        problem_of(tiny(f"method={name}", "compression.name=topk"), 60)


def test_a_method_that_does_not_say_what_may_be_compressed_is_refused():
    with raises("compression.name", "conflict", "tests.own:silent", "compressible"):
        problem_of(tiny("method=tests.own:silent", "compression.name=topk"), 60)


@pytest.mark.parametrize("aggregation", ["mean", "median", "clipped_mean"])
@pytest.mark.parametrize("method", ["averaged", "fedgan", "mdgan"])
@pytest.mark.parametrize("name", CODECS)
def test_where_devices_are_changes_no_bit(name, method, aggregation):
    """Together in a worker, one in each, or one in each with a node that adds up."""
    if (method == "mdgan" and name in ("topk", "sign")) or (aggregation == "median" and name in ("topk", "randk")):
        return  # refused
    config = tiny(f"method={method}", *DELTA, f"aggregation.name={aggregation}", *words(*CODECS[name]))
    problem, offsets = problem_of(config, 60), np.array([0, 20, 40, 60])

    def alone(device):
        return Worker(config, problem, WorkerShards(range(device, device + 1), IMAGES[20 * device :], offsets[:2]), CPU)

    ends = []
    for packing in ("together", "alone", "added up"):
        worker, server = parties(config, [20, 20, 20])
        workers = [worker] if packing == "together" else [alone(device) for device in range(3)]
        for round in (1, 2, 3):
            down = server.down(round)
            messages = [one.update_devices(round, down, list(one.devices))[0] for one in workers]
            if packing == "added up":
                messages = [messages[0], pre_aggregated(messages[1:], config, problem)]
            server.update(round, messages)
        states = {number: state for one in workers for number, state in one.states().items()}
        memories = {number: {name: a.tobytes() for name, a in state.items()} for number, state in states.items()}
        ends.append((bits_of(server), dict(sorted(memories.items()))))
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("method", ["averaged", "fedgan"])
def test_a_single_device_sends_a_hundredth(method):
    config = tiny(f"method={method}", *DELTA, "devices=1", *words("name=topk"), "gan.discriminator_width=16")
    worker, server = parties(config, [60])
    message, _ = worker.update_devices(1, server.down(1), [0])
    plain, other = parties(tiny(f"method={method}", *DELTA, "devices=1", "gan.discriminator_width=16"), [60])
    whole, _ = plain.update_devices(1, other.down(1), [0])
    assert len(pickle.dumps(message, 5)) < len(pickle.dumps(whole, 5)) / 15


@pytest.mark.parametrize("name", REMEMBERS)
def test_an_overdue_device_remembers_its_whole_update(name, monkeypatch):
    config = tiny("averaged.upload=delta", *words(*REMEMBERS[name]))
    before, _ = played(config, rounds=2)
    worker, server = played(config, rounds=2)
    original, vectors = worker._side.update, {}

    def update(shard, *given):
        made, state = original(shard, *given)
        vectors[shard.device] = made.vector
        return made, state

    monkeypatch.setattr(worker._side, "update", update)
    worker.update_devices(3, server.down(3), [0, 2], False, [1])
    memory, then = (one.states()[1]["compression.memory"] for one in (worker, before))
    assert np.array_equal(memory, vectors[1][: len(then)] + then)
    assert not np.array_equal(worker.states()[1]["optimizer"], before.states()[1]["optimizer"]), "it has trained"


def test_an_overdue_device_is_in_no_message():
    config = tiny("averaged.upload=delta", *words("name=topk"))
    worker, server = parties(config, [20, 20, 20])
    message, report = worker.update_devices(1, server.down(1), [], False, [1])
    assert (message.updates, message.parts, report.devices, report.times) == ([], [], {}, None)
    assert list(worker.states()) == [1]


def test_an_overdue_update_that_is_bad_is_forgotten_or_ends_the_run():
    bad = ["method=tests.own:sends_nan", "averaged.upload=delta", *words("name=topk")]
    worker, server = parties(tiny(*bad), [20, 20, 20])
    with raises("round 2, device 0", "not_finite", kind=BadUpdateError):
        worker.update_devices(2, server.down(2), [], False, [0])
    worker, server = parties(tiny(*bad, "engine.on_bad_update=drop"), [20, 20, 20])
    _, report = worker.update_devices(2, server.down(2), [1], False, [0])
    assert (list(report.devices), report.dropped, list(worker.states())) == ([1], {}, [1])


def test_what_becomes_too_large_on_the_way_is_a_bad_update_and_changes_no_state():
    """Few random values, scaled up."""
    config = tiny("averaged.upload=delta", *words("name=randk", "count=1"))
    worker, server = parties(config, [20, 20, 20])

    def huge(shard, round, down, state):
        vector = np.full(server.side.update_size, 2.0**31, np.float32)
        return Update(shard.device, vector, 1, {"d_loss": 0.0}), {"kept": np.zeros(1, np.float32)}

    worker._side.update = huge
    with raises("round 1, device 0", "not_finite", kind=BadUpdateError):
        worker.update_devices(1, server.down(1), [0])
    assert worker.states() == {}


@pytest.mark.parametrize("name", REMEMBERS | FORGETS)
def test_states_carry_memories(name):
    """A worker that is restored in the middle goes on to the same bits, with a late message before and after."""
    config = tiny("averaged.upload=delta", *words(*(REMEMBERS | FORGETS)[name]))
    straight, _ = played(config, 4, late=2)
    worker, server = played(config, 2, late=2)
    other, _ = parties(config, [20, 20, 20])
    other.restore(worker.states())
    for round in (3, 4):
        message, _ = other.update_devices(round, server.down(round), [0, 1, 2])
        server.update(round, [message])
    left, right = straight.states(), other.states()
    assert left.keys() == right.keys()
    assert all(np.array_equal(array, right[number][key]) for number in left for key, array in left[number].items())
    assert ("compression.memory" in left[0]) == (name in REMEMBERS)


def test_a_memory_stays_at_an_exchange():
    """It is of what its device has sent; only the method's state changes places."""
    config = tiny("averaged.upload=delta", "method=tests.own:swaps", *words("name=topk"))
    worker, _ = played(config, 2)
    before = worker.states()
    worker.take_over({0: 1, 1: 0}, worker.hand_over([0, 1]))
    after = worker.states()
    for receiver, giver in ((0, 1), (1, 0)):
        assert np.array_equal(after[receiver]["optimizer"], before[giver]["optimizer"])
        assert np.array_equal(after[receiver]["compression.memory"], before[receiver]["compression.memory"])


WRONG = {
    "encodes_a_list": ("encoded", "list"),
    "decodes_doubles": ("decoded", "float64"),
    "decodes_too_few": ("decoded", "(3,)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_custom_codec_that_breaks_its_contract(name):
    config = tiny("averaged.upload=delta", f"compression.name=tests.own:{name}")
    worker, server = parties(config, [20, 20, 20])
    with raises("compression.name", "result", f"tests.own:{name}", *WRONG[name], kind=RunError):
        worker.update_devices(1, server.down(1), [0])

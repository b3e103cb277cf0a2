"""What goes down: the server's memory, who is sent what, and that where devices are played changes no bit."""

import numpy as np
import pytest

from raygan.channel.copies import Copies
from raygan.channel.traffic import Coded, Traffic
from raygan.components import METHODS
from raygan.compression.downlink import Downlink
from raygan.errors import RunError
from raygan.round.messages import pre_aggregated
from raygan.round.shards import WorkerShards
from raygan.round.worker import Worker
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import CPU, IMAGES, parties, problem_of

DELTA = ["averaged.upload=delta", "fedgan.upload=delta"]
CODECS = {
    "none": ["name=raygan.compression.codec:Identity"],
    "topk": ["name=topk", "share=0.1"],
    "randk": ["name=randk", "share=0.1"],
    "sign": ["name=sign"],
    "qsgd": ["name=qsgd"],
}


def words(*ours):
    return [f"downlink_compression.{one}" for one in ours]


def downlink(*ours, spans=((0, 200),)):
    return Downlink(tiny(*words(*ours)), spans)


def models(count, size=200):
    """Models whose differences and their sums are exact: small multiples of a power of two."""
    steps = np.random.default_rng(1).integers(-999, 999, (count, size)).astype(np.float32) / 1024
    return np.cumsum(steps, axis=0, dtype=np.float32)


def received(way, downs):
    """What devices have of each, one round after the other."""
    copy, had = None, []
    for round, down in enumerate(downs, start=1):
        one, copy = way.sent(down, copy, round)
        had.append(one)
    return had


# --- the memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "topk", "randk"])
def test_all_codes_and_what_the_copy_lacks_are_all_steps_exactly(name, monkeypatch):
    """x_1 + sum c_t + e_T = x_T, where c_t are the codes as a device decodes them, and e_T is what it lacks."""
    way, codes, sent = downlink(*CODECS[name]), [], models(9)
    original = way.decoded
    monkeypatch.setattr(way, "decoded", lambda code: codes.append(original(code)) or codes[-1])
    had = received(way, sent)
    assert len(codes) == 8, "the first model is sent whole"
    assert np.array_equal(had[0] + np.sum(codes, axis=0, dtype=np.float32), had[-1])
    lacks = sent[-1] - had[-1]
    assert np.abs(lacks).max() == 0 if name == "none" else np.abs(lacks).max() > 0


@pytest.mark.parametrize("name", CODECS)
def test_a_model_that_stands_still_is_reached(name):
    """||x - w||^2 falls by the share of the squared norm that a code has, in the mean."""
    first, last = models(2)
    had = received(downlink(*CODECS[name]), [first, *[last] * 200])
    errors = [float(np.square(one - last, dtype=np.float64).sum()) for one in had]
    assert errors[-1] <= 1e-3 * errors[0]
    assert name == "none" or errors[1] > 0


def test_the_memory_is_error_feedback():
    """The steps d_t = x_t - x_(t-1) by p = d + e, c = C(p), e = p - c: the same codes."""
    sent, way = models(9), downlink("name=topk", "count=20")
    had, other, memory, copy = (
        received(way, sent),
        downlink("name=topk", "count=20"),
        np.zeros(200, np.float32),
        sent[0],
    )
    for round, step in enumerate(np.diff(sent, axis=0), start=2):
        due = step + memory
        change = other.decoded(other.coded(due, np.random.default_rng(0)))
        memory, copy = due - change, copy + change
        assert np.array_equal(copy, had[round - 1])


def test_a_value_sent_in_full_is_the_models():
    """1 - (1 - 1e-9) in float32: the copy is at the model, not at the sum."""
    before, after = np.array([1, 0], np.float32), np.array([1e-9, 0], np.float32)
    assert before[0] + (after - before)[0] == 0, "as rounded"
    for name in ("none", "topk"):
        _, last = received(downlink(*CODECS[name], spans=((0, 2),)), [before, after])
        assert np.array_equal(last, after)


def test_only_the_model_is_coded():
    way = downlink("name=topk", "count=1", spans=((1, 3), (5, 6)))
    first, second = np.arange(7, dtype=np.float32), np.arange(7, dtype=np.float32) * 3
    _, last = received(way, [first, second])
    assert last.tolist() == [0, 1, 2, 9, 12, 15, 18]
    assert second.tolist() == [0, 3, 6, 9, 12, 15, 18], "what the server has is left as it was"


def test_too_few_levels_would_let_the_memory_grow():
    """The bound min(P / s^2, sqrt(P) / s) is below 1 for s above sqrt(P) alone."""
    with raises("downlink_compression.levels", "value", "14 levels", "200", "at least 15"):
        downlink("name=qsgd", "levels=14")
    downlink("name=qsgd", "levels=15")
    with raises("downlink_compression.levels", "value", "at least 15"):
        downlink("name=qsgd", "levels=14", spans=((0, 196),))


@pytest.mark.parametrize("name", ["topk", "randk"])
def test_more_values_than_there_are(name):
    with raises("downlink_compression.count", "few", "201", "200"):
        downlink(f"name={name}", "count=201")


# --- rounds -----------------------------------------------------------------------------------------


def played(config, rounds=3, chosen=(0, 1, 2), restored=()):
    """A worker and a server after some rounds; before those `restored`, they are new and restored to what was kept."""
    worker, server = parties(config, [20, 20, 20])
    for round in range(1, rounds + 1):
        if round in restored:
            states, state = worker.states(), server.state()
            worker, server = parties(config, [20, 20, 20])
            worker.restore(states)
            server.restore(state)
        message, _ = worker.update_devices(round, server.down(round), list(chosen))
        server.update(round, [message])
    return worker, server


def bits_of(server):
    return {name: array.tobytes() for name, array in server.side.state().items()}


@pytest.mark.parametrize("name", METHODS)
def test_identity_is_no_compression_bit_for_bit(name):
    config = [f"method={name}", *DELTA, "gan.discriminator_norm=batch"]
    for ours in (["name=raygan.compression.codec:Identity"], ["name=topk", "share=1"]):
        if name in ("mdgan", "centralized"):
            with raises("downlink_compression.name", "conflict", f"method={name}", "downlink_compression.name=none"):
                problem_of(tiny(*config, *words(*ours)), 60)
            continue
        assert bits_of(played(tiny(*config, *words(*ours)))[1]) == bits_of(played(tiny(*config))[1])


AROUND = ["gan.augment=ada", "server_optimizer.name=adam", "proximal.mu=0.1", "scaffold.option=I"]


@pytest.mark.parametrize("method", ["averaged", "fedgan"])
@pytest.mark.parametrize("around", AROUND)
def test_what_is_around_a_method_goes_down_as_it_is(around, method):
    config = [f"method={method}", *DELTA, "fedgan.weights=uniform", around]
    ours = tiny(*config, *words("name=topk", "share=1"))
    assert bits_of(played(ours)[1]) == bits_of(played(tiny(*config))[1])
    plain = problem_of(tiny(f"method={method}", *DELTA, *words("name=topk")), 60)
    assert problem_of(ours, 60).broadcast == plain.broadcast


def test_updates_are_clipped_around_the_copy():
    """A private run with all values sent is the one without codes."""
    private = ["privacy.name=user", "privacy.clip=0.1", "privacy.noise_multiplier=0.5", "gan.discriminator_norm=group"]
    (_, ours), (_, plain) = (played(tiny(*DELTA, *private, *more)) for more in (words("name=topk", "share=1"), []))
    assert bits_of(ours) == bits_of(plain)


@pytest.mark.parametrize("method", ["averaged", "fedgan"])
def test_devices_start_from_the_copy_and_the_server_goes_on_from_its_own(method):
    """x_(t+1) = x_t + mean of what devices have learnt at w_t."""
    config = tiny(f"method={method}", *DELTA, *words("name=topk"), "gan.ema=0")
    worker, server = played(config, 3)
    (g, d), networks = problem_of(config, 60).broadcast, server.side.networks
    down = server.down(4)
    assert not np.array_equal(down[slice(*g)], networks.generator.parameters.detach().numpy())
    assert not np.array_equal(down[slice(*d)], networks.discriminator.parameters.detach().numpy())
    assert np.array_equal(server.down(4), down), "asked again, it is the same"
    before = networks.discriminator.parameters.detach().numpy().copy()
    updates = [worker.update(device, 4, down)[0] for device in range(3)]
    place = server.side.parameters()[-1]
    mean = np.average([one.vector[place] for one in updates], axis=0, weights=[one.weight for one in updates])
    message, _ = played(config, 3)[0].update_devices(4, down, [0, 1, 2])
    server.update(4, [message])
    assert np.allclose(networks.discriminator.parameters.detach().numpy(), before + mean, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["averaged", "fedgan"])
def test_differences_are_asked_for(name):
    with raises(f"{name}.upload", "conflict", "downlink_compression", "delta"):
        problem_of(tiny(f"method={name}", "downlink_compression.name=topk"), 60)


def test_a_method_that_does_not_say_where_its_networks_are_is_refused():
    with raises("downlink_compression.name", "conflict", "tests.own:silent", "broadcast_parameters"):
        problem_of(tiny("method=tests.own:silent", "downlink_compression.name=topk"), 60)


@pytest.mark.parametrize("method", ["averaged", "fedgan", "fegan"])
@pytest.mark.parametrize("name", CODECS)
def test_where_devices_are_changes_no_bit_nor_does_a_restart(name, method):
    """Together in a worker, one in each, or one in each with a node that adds up; and restored twice. The way up is
    compressed, too."""
    config = tiny(f"method={method}", *DELTA, *words(*CODECS[name]), "compression.name=sign")
    problem, offsets = problem_of(config, 60), np.array([0, 20, 40, 60])

    def alone(device):
        return Worker(config, problem, WorkerShards(range(device, device + 1), IMAGES[20 * device :], offsets[:2]), CPU)

    ends = [bits_of(played(config, 4)[1]), bits_of(played(config, 4, restored=(2, 4))[1])]
    for packing in ("alone", "added up"):
        _, server = parties(config, [20, 20, 20])
        workers = [alone(device) for device in range(3)]
        for round in (1, 2, 3, 4):
            down = server.down(round)
            messages = [one.update_devices(round, down, list(one.devices))[0] for one in workers]
            if packing == "added up":
                messages = [messages[0], pre_aggregated(messages[1:], config, problem)]
            server.update(round, messages)
        ends.append(bits_of(server))
    assert all(end == ends[0] for end in ends)


def test_a_custom_codec_that_breaks_its_contract():
    config = tiny("averaged.upload=delta", "downlink_compression.name=tests.own:decodes_doubles")
    with raises("downlink_compression.name", "result", "decoded", "float64", kind=RunError):
        played(config)


# --- who is sent what -------------------------------------------------------------------------------


def copies(model=100, code=30, others=7):
    """Of a model of 100 values of one bit, with codes of 30 bits and 7 bits that are sent as they are."""
    return Copies(Traffic(down=model, up=0, broadcast=True, down_bits=others, coded=Coded(model, code)), 1, 4)


def test_who_has_missed_rounds_is_sent_their_codes_or_the_model():
    ours, everyone = copies(), np.arange(4)
    assert ours.codes(1, everyone).tolist() == [0, 0, 0, 0], "nobody has a model"
    ours.received(1, np.array([0, 1, 2]))
    assert ours.codes(2, everyone).tolist() == [1, 1, 1, 0]
    ours.received(2, np.array([0]))
    ours.received(3, np.array([0, 3]))
    codes = ours.codes(4, everyone)
    assert codes.tolist() == [1, 3, 3, 1]
    assert ours.bits(codes).tolist() == [37, 97, 97, 37]
    codes = ours.codes(5, everyone)
    assert codes.tolist() == [2, 0, 0, 2], "four codes are more than the model"
    assert ours.bits(codes).tolist() == [67, 107, 107, 67]


def test_as_many_codes_as_the_models_bits_are_still_sent():
    ours = copies(code=25)
    ours.received(1, np.arange(4))
    assert [int(ours.codes(round, np.array([0]))[0]) for round in (2, 5, 6)] == [1, 4, 0]

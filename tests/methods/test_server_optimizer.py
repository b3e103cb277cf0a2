"""Server optimisers against their formulas."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from raygan.components import AGGREGATORS
from raygan.methods.base import Mean, Method
from raygan.plan.sizes import make_plan
from raygan.round.checks import method_of
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import CPU, SHAPE, parties, play

PLAIN = ["server_optimizer.name=sgd", "server_optimizer.momentum=0"]
FORMS = {
    "serial": [],
    "parallel": ["schedule=parallel"],
    "delta": ["averaged.upload=delta", "averaged.optimizer_state=average"],
    "batch normalisation": ["gan.discriminator_norm=batch", "averaged.weights=shard"],
    "fedgan": ["method=fedgan", "gan.discriminator_norm=batch"],
}


@pytest.mark.parametrize("words", FORMS.values(), ids=FORMS)
def test_without_memory_and_with_rate_1_the_aggregate_stays_bit_for_bit(words):
    plain, stepped = (play(tiny(*words, *more), [10, 20, 30], 4).state() for more in ([], PLAIN))
    assert all(np.array_equal(stepped[name], value) for name, value in plain.items())
    assert stepped.keys() - plain.keys() == {"server_optimizer"}


@pytest.mark.parametrize("aggregator", AGGREGATORS)
@pytest.mark.parametrize("upload", ["weights", "delta"])
def test_it_steps_from_the_aggregate_whatever_that_is(aggregator, upload):
    """Twice the rate without memory goes twice as far, and with momentum the first step is as without."""
    words = ["schedule=parallel", f"aggregation.name={aggregator}", f"averaged.upload={upload}"]
    one, two, first = (
        play(tiny(*words, *more), [20, 20, 20], 1).networks.discriminator.parameters.detach()
        for more in ([], [*PLAIN, "server_optimizer.lr=2"], ["server_optimizer.name=sgd"])
    )
    start = method_of(tiny(*words)).server(tiny(*words), SHAPE, CPU).networks.discriminator.parameters.detach()
    assert torch.allclose(two - start, 2 * (one - start), atol=1e-6)
    assert torch.equal(first, one)


def changed_by(config, changes):
    """The server's side and its parameters after each round, in which the parameters' mean changes by each number."""
    side = method_of(config).server(config, SHAPE, CPU)
    networks = side.networks.generator, side.networks.discriminator
    trained = networks if config.method == "fedgan" else networks[1:]
    seen = [torch.cat([network.parameters.detach() for network in trained]).clone()]
    for round, change in enumerate(changes, 1):
        side.down(round)
        vector = side.reference(round).copy()
        for place in side.parameters():
            vector[place] += np.float32(change)
        side.meanwhile(round)
        side.finish(round, {0: Mean(vector, 1)})
        seen.append(torch.cat([network.parameters.detach() for network in trained]).clone())
    return side, torch.stack(seen).double().numpy()


METHODS = {
    "weights": ["schedule=parallel"],
    "delta": ["schedule=parallel", "averaged.upload=delta"],
    "fedgan": ["method=fedgan"],
}


@pytest.mark.parametrize("words", METHODS.values(), ids=METHODS)
def test_the_velocity_of_a_constant_change_is_its_geometric_series(words):
    beta, delta, rounds = 0.5, 0.125, 24
    momentum = ["server_optimizer.name=sgd", f"server_optimizer.momentum={beta}", "server_optimizer.lr=0.25"]
    side, seen = changed_by(tiny(*words, *momentum), [delta] * rounds)
    velocity = delta * (1 - beta ** np.arange(1, rounds + 1)) / (1 - beta)
    assert np.allclose(np.diff(seen, axis=0), 0.25 * velocity[:, None], atol=1e-6)
    assert np.allclose(side.state()["server_optimizer"], delta / (1 - beta), rtol=1e-5)


@pytest.mark.parametrize("words", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("name", ["adam", "yogi"])
def test_three_rounds_of_adam_and_yogi_by_hand(name, words):
    beta1, beta2, tau, lr = 0.8, 0.75, 0.01, 0.125
    keys = {"name": name, "beta1": beta1, "beta2": beta2, "tau": tau, "lr": lr}
    changes = [0.5, -0.25, 0.125]
    side, seen = changed_by(tiny(*words, *(f"server_optimizer.{key}={value}" for key, value in keys.items())), changes)
    m, v, steps = 0.0, tau**2, []
    for change in changes:
        m = beta1 * m + (1 - beta1) * change
        if name == "adam":
            v = beta2 * v + (1 - beta2) * change**2
        else:
            v -= (1 - beta2) * change**2 * np.sign(v - change**2)
        steps.append(lr * m / (np.sqrt(v) + tau))
    assert np.allclose(np.diff(seen, axis=0), np.array(steps)[:, None], atol=1e-6)
    moments, squares = np.split(side.state()["server_optimizer"], 2)
    assert np.allclose(moments, m, rtol=1e-4)
    assert np.allclose(squares, v, rtol=1e-4)


def test_yogi_lets_its_squares_fall_more_slowly_than_adam():
    squares = []
    for name in ("adam", "yogi"):
        side, _ = changed_by(tiny(f"server_optimizer.name={name}"), [1.0, 0.001])
        squares.append(side.state()["server_optimizer"][-1])
    adam, yogi = squares
    assert adam == pytest.approx(0.99 * 0.01, rel=1e-2)
    assert yogi == pytest.approx(0.01, rel=2e-2)


@pytest.mark.parametrize("method", ["averaged", "fedgan"])
def test_what_is_no_parameter_gets_the_mean(method):
    words = ["schedule=parallel", f"method={method}", "gan.discriminator_norm=batch", "gan.generator_norm=batch"]
    config = tiny(*words, "averaged.optimizer_state=average", "server_optimizer.name=adam", "server_optimizer.lr=1")
    side = method_of(config).server(config, SHAPE, CPU)
    side.down(1)
    mean = side.reference(1) + np.float32(0.5)
    side.finish(1, {0: Mean(mean, 3)})
    after = side.inner.reference(2) if method == "fedgan" else side.down(2)[-len(mean) :]
    rest = np.ones(len(mean), bool)
    for place in side.parameters():
        rest[place] = False
        assert not np.isclose(after[place], mean[place]).any()
    assert rest.sum() >= 40, "statistics of both networks, or of one and moments"
    assert np.array_equal(after[rest], mean[rest])


def test_a_round_without_updates_is_no_step():
    _, server = parties(tiny("server_optimizer.name=sgd", "schedule=parallel"), [30, 30])
    server.side._optimizer.memory.fill_(1)
    parameters = server.side.networks.discriminator.parameters.detach()
    before = parameters.clone()
    server.update(1, [])
    assert torch.equal(parameters, before)
    assert (server.side.state()["server_optimizer"] == 1).all()


@pytest.mark.parametrize("method", ["mdgan", "centralized"])
@pytest.mark.parametrize("name", ["sgd", "adam", "yogi"])
def test_a_method_whose_updates_are_no_networks_refuses_it(method, name):
    with raises("server_optimizer.name", "conflict", name, f"method={method}", "averaged"):
        make_plan(tiny(f"method={method}", f"server_optimizer.name={name}"))


def test_a_method_of_ones_own_has_it_by_saying_where_its_parameters_are(monkeypatch):
    class Silent(method_of(tiny()).server):
        def parameters(self):
            return ()

    averaged = method_of(tiny())
    monkeypatch.setattr("tests.own.silent", replace(averaged, server=Silent), raising=False)
    monkeypatch.setattr("tests.own.telling", Method(averaged.device, averaged.server), raising=False)
    play(tiny("method=tests.own:telling", "server_optimizer.name=sgd"), [30, 30], 1)
    with raises("server_optimizer.name", "conflict", "method=tests.own:silent"):
        play(tiny("method=tests.own:silent", "server_optimizer.name=sgd"), [30, 30], 1)


def test_the_plan_has_its_memory_and_no_more_traffic():
    none, adam = (make_plan(tiny(*words)) for words in ([], ["server_optimizer.name=adam"]))
    moments = 2 * 4 * adam.discriminator_parameters
    assert adam.footprint.server_state - none.footprint.server_state == moments
    assert adam.footprint.server.kept - none.footprint.server.kept == moments
    for same in ("bytes_up", "bytes_down", "phases_s"):
        assert getattr(none, same) == getattr(adam, same)


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("server_optimizer.name=adagrad", "server_optimizer"),
        ("server_optimizer.momentum=0.5", "server_optimizer.momentum"),
    ],
)
def test_unknown_words_are_refused(word, key):
    with raises(key):
        tiny(word)

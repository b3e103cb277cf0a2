"""SCAFFOLD against its formulas."""

from dataclasses import replace

import numpy as np
import pytest

from raygan.methods.base import Shard
from raygan.plan.sizes import make_plan
from raygan.round.checks import method_of
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import CPU, IMAGES, SHAPE, parties, play

LR = 0.05
SGD = [f"{party}_optimizer.{key}" for party in ("device", "generator") for key in ("name=sgd", f"lr={LR}")]
UNIFORM = ["fedgan.weights=uniform"]
METHODS = {"averaged": ["averaged.upload=delta", *SGD], "fedgan": ["method=fedgan", *UNIFORM, *SGD]}


def scaffold(*words, option="II"):
    return tiny(*words, f"scaffold.option={option}")


def parameters_of(networks, config):
    """What a device trains, as (parameters,)."""
    trained = [networks.discriminator] if config.method == "averaged" else [networks.generator, networks.discriminator]
    return np.concatenate([network.parameters.detach().numpy() for network in trained])


def turn(config, control=None, common=None):
    """Parameters before and after a device's round, its next c_k, and what it sends of it."""
    method = method_of(config)
    device, server = (side(config, SHAPE, CPU) for side in (method.device, method.server))
    start = parameters_of(device.networks, config)
    down, state = server.down(1), {}
    if control is not None:
        down[-len(common) :] = common
        state = {"control": control}
    update, kept = device.update(Shard(0, IMAGES[:30]), 1, down, state)
    end = parameters_of(device.networks, config)
    return start, end, kept.get("control"), update.vector[-len(start) :]


def controls(config):
    """Some c_k and c."""
    size = sum(place.stop - place.start for place in method_of(config).server(config, SHAPE, CPU).parameters())
    random = np.random.default_rng(0)
    return [random.standard_normal(size).astype(np.float32) for _ in range(2)]


@pytest.mark.parametrize("words", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("option", ["I", "II"])
def test_one_step_by_hand(words, option):
    """phi - eta (g - c_k + c), where plain SGD gives phi - eta g; and c_k becomes g."""
    config = scaffold(*words, option=option)
    own, common = controls(config)
    start, plain, *_ = turn(tiny(*words))
    _, end, control, sent = turn(config, own, common)
    assert np.allclose(end - plain, -LR * (common - own), atol=1e-6)
    assert np.allclose(control, (start - plain) / LR, atol=1e-5)
    assert np.array_equal(sent, control - own)


@pytest.mark.parametrize("words", METHODS.values(), ids=METHODS)
def test_option_2_is_the_formula_of_the_parameters(words):
    """c_k - c + (phi_t - phi_k) / (n_d eta)."""
    config = scaffold(*words, "device_steps=4")
    own, common = controls(config)
    start, end, control, _ = turn(config, own, common)
    assert np.allclose(control, own - common + (start - end) / (4 * LR), atol=1e-5)


@pytest.mark.parametrize("words", METHODS.values(), ids=METHODS)
def test_option_1_is_the_gradient_at_what_was_received(words):
    own, common = controls(scaffold(*words))
    _, _, of_one, _ = turn(scaffold(*words), own, common)
    for steps in (1, 4):
        _, _, control, _ = turn(scaffold(*words, f"device_steps={steps}", option="I"), own, common)
        assert np.array_equal(control, of_one)


def test_adam_takes_the_corrected_gradient():
    """In its first step it moves by its rate against the sign of it."""
    config = scaffold("averaged.upload=delta", "device_optimizer.lr=0.01", option="I")
    own, common = controls(config)
    start, end, control, _ = turn(config, own, common)
    assert np.allclose(end - start, -0.01 * np.sign(control - own + common), atol=1e-4)


@pytest.mark.parametrize("words", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("option", ["I", "II"])
@pytest.mark.parametrize("chosen", [[[0, 1, 2, 3]] * 5, [[0, 1], [2], [0, 3], [], [1, 2, 3]]], ids=["all", "some"])
def test_the_servers_is_the_mean_of_all_devices(words, option, chosen):
    config = scaffold(*words, "devices=4", "device_steps=3", option=option)
    worker, server = parties(config, [10, 10, 20, 20])
    for round, devices in enumerate(chosen, 1):
        message, _ = worker.update_devices(round, server.down(round), devices)
        server.update(round, [message])
        common = server.side.state()["control"]
        mean = sum(state["control"].astype(float) for state in worker.states().values()) / 4
        assert np.allclose(common, mean, atol=1e-6)
        assert np.array_equal(server.down(round + 1)[-len(common) :], common)
        assert np.abs(common).max() > 1e-3


@pytest.mark.parametrize("words", METHODS.values(), ids=METHODS)
def test_equal_devices_are_not_corrected(words, monkeypatch):
    """K devices with the same samples and the same random numbers: c_k - c = 0."""
    device_side = method_of(tiny(*words)).device
    original = device_side.update

    def as_the_first(side, shard, *rest):
        return original(side, replace(shard, device=0, samples=IMAGES[:20]), *rest)

    monkeypatch.setattr(device_side, "update", as_the_first)
    worker, server = parties(scaffold(*words, "device_steps=2"), [20, 20, 20])
    for round in range(1, 5):
        message, _ = worker.update_devices(round, server.down(round), worker.devices)
        server.update(round, [message])
        common = server.side.state()["control"]
        for state in worker.states().values():
            assert np.allclose(state["control"], common, atol=1e-6)
    plain = play(tiny(*words, "device_steps=2"), [20, 20, 20], 4)
    for name in ("generator", "discriminator"):
        assert np.allclose(server.side.state()[name], plain.state()[name], atol=1e-5)


@pytest.mark.parametrize("words", [[], ["method=fedgan", *UNIFORM]], ids=["averaged", "fedgan"])
def test_devices_know_what_their_updates_are_differences_to(words):
    """Also once the server's control variate is not 0: secure sums and clipped means need it."""
    config = scaffold(*words, option="I")
    side = play(config, [20, 30], 2)
    down = side.down(3)
    assert np.abs(down[-len(side.state()["control"]) :]).max() > 0
    assert np.array_equal(method_of(config).device(config, SHAPE, CPU).reference(down), side.reference(3))


def test_the_proximal_term_is_no_part_of_a_control_variate():
    words = ["device_steps=1", *METHODS["averaged"]]
    _, _, control, _ = turn(scaffold(*words))
    _, _, near, _ = turn(scaffold(*words, "device_steps=5", "proximal.mu=10", option="I"))
    assert np.array_equal(control, near)


@pytest.mark.parametrize("words", METHODS.values(), ids=METHODS)
def test_the_plan_has_its_traffic_and_memory(words):
    none, with_them = (make_plan(tiny(*words, f"scaffold.option={option}")) for option in ("none", "II"))
    size = none.discriminator_parameters + (none.generator_parameters if "method=fedgan" in words else 0)
    q = none.config.channel.bits_per_parameter // 8
    assert with_them.bytes_up - none.bytes_up == 3 * q * size
    assert with_them.bytes_down - none.bytes_down in (q * size, 3 * q * size), "broadcast once, or to each"
    kept, state, server_state = (
        with_them.footprint.device.kept - none.footprint.device.kept,
        with_them.footprint.state - none.footprint.state,
        with_them.footprint.server_state - none.footprint.server_state,
    )
    assert (kept, state, server_state) == (2 * 4 * size, 4 * size, 4 * size)
    assert with_them.footprint.update - none.footprint.update == 4 * size


REFUSED = {
    "Adam": ([], "scaffold.option", "scaffold.option=I"),
    "momentum": ([*SGD, "device_optimizer.momentum=0.5"], "scaffold.option", "scaffold.option=I"),
    "Adam of the generator": (
        ["method=fedgan", *UNIFORM, *SGD, "generator_optimizer.name=adam"],
        "scaffold.option",
        "generator_optimizer.name=sgd",
    ),
    "weights": ([*SGD, "averaged.weights=shard"], "scaffold.option", "averaged.weights=uniform"),
    "weights of fedgan": ([*SGD, "method=fedgan"], "scaffold.option", "fedgan.weights=uniform"),
    "a median": ([*SGD, "aggregation.name=median"], "aggregation.name", "aggregation.name=mean"),
    "mdgan": ([*SGD, "method=mdgan"], "scaffold.option", "method=mdgan"),
    "centralized": ([*SGD, "method=centralized"], "scaffold.option", "method=centralized"),
}


@pytest.mark.parametrize(("words", "key", "named"), REFUSED.values(), ids=REFUSED)
def test_what_it_does_not_hold_for_is_refused(words, key, named):
    with raises(key, "conflict", named):
        make_plan(scaffold(*words))

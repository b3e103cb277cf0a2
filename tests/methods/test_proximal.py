"""The proximal term against closed forms, and against plain steps."""

import numpy as np
import pytest
import torch

from raygan.gan.optimizer import FlatOptimizer
from raygan.methods.proximal import ProximalTerm
from raygan.plan.sizes import make_plan
from raygan.round.checks import method_of
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import CPU, SHAPE, parties, play

SGD = ["device_optimizer.name=sgd", "generator_optimizer.name=sgd"]


@pytest.mark.parametrize("words", [[], SGD], ids=["Adam", "SGD"])
@pytest.mark.parametrize("method", ["averaged", "fedgan"])
def test_it_has_no_effect_on_a_single_step(method, words):
    words = [f"method={method}", *words]
    plain, near = (play(tiny(*words, f"proximal.mu={mu}"), [20, 20, 20], 3).state() for mu in (0, 100))
    assert all(np.array_equal(near[name], value) for name, value in plain.items())


def trained(config, samples=30):
    """The parameters that a device starts from, and those that it has after its round."""
    worker, server = parties(config, [samples])
    networks = server.side.networks
    start = torch.cat([networks.generator.parameters.detach(), networks.discriminator.parameters.detach()])
    worker.update_devices(1, server.down(1), [0])
    networks = worker._side.networks
    return start, torch.cat([networks.generator.parameters.detach(), networks.discriminator.parameters.detach()])


@pytest.mark.parametrize("method", ["averaged", "fedgan"])
def test_the_second_step_is_drawn_back_by_mu_times_the_first(method):
    """phi_2 = phi_1 - eta (g(phi_1) + mu (phi_1 - phi_0)), of both networks that are trained."""
    words = [f"method={method}", *SGD, "device_optimizer.lr=0.05", "generator_optimizer.lr=0.05"]
    start, first = trained(tiny(*words, "device_steps=1", "proximal.mu=10"))
    _, plain = trained(tiny(*words, "device_steps=2"))
    _, near = trained(tiny(*words, "device_steps=2", "proximal.mu=10"))
    assert torch.allclose(near - plain, -0.05 * 10 * (first - start), atol=1e-7)
    assert (near - plain).abs().max() > 1e-4


@pytest.mark.parametrize("mu", [0.5, 4.0, 1e3, 1e6])
def test_under_a_constant_gradient_the_distance_is_the_closed_form_and_vanishes_with_mu(mu):
    """phi_n - phi_0 = -g / mu (1 - (1 - eta mu)^n), which tends to -g / mu, and to 0 with mu."""
    lr, steps = 0.5 / mu, 20
    side = method_of(tiny()).device(tiny(*SGD, f"device_optimizer.lr={lr}"), SHAPE, CPU)
    network = side.networks.discriminator
    optimizer = FlatOptimizer(side.config.device_optimizer, network)
    term = ProximalTerm(mu, network)
    optimizer.corrections.append(term)
    start = network.parameters.detach().double()
    slope = torch.linspace(-1, 1, len(start))
    term.begin()
    for step in range(1, steps + 1):
        network.gradient.copy_(slope)
        optimizer.step(1)
        expected = -slope / mu * (1 - (1 - lr * mu) ** step)
        assert torch.allclose(network.parameters.double() - start, expected.double(), rtol=1e-3, atol=2e-7)
    assert (network.parameters - start).abs().max() <= 1 / mu + 1e-6


@pytest.mark.parametrize("words", [[], SGD], ids=["Adam", "SGD"])
@pytest.mark.parametrize("method", ["averaged", "fedgan"])
def test_a_larger_mu_stays_nearer(method, words):
    distances = []
    for mu in (0, 1, 10, 100):
        start, end = trained(tiny(f"method={method}", *words, "device_steps=15", f"proximal.mu={mu}"))
        distances.append(float((end - start).norm()))
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < distances[0] / 3


def test_every_device_and_round_begins_at_what_it_receives():
    """As with a fresh side for each turn."""
    config = tiny("proximal.mu=50", "device_steps=3", "averaged.optimizer_state=reset")
    worker, server = parties(config, [20, 20])
    for round in (1, 2):
        down = server.down(round)
        for device in (0, 1):
            update, _ = worker.update(device, round, down)
            lone, _ = parties(config, [20, 20])
            assert np.array_equal(update.vector, lone.update(device, round, down)[0].vector)


@pytest.mark.parametrize("method", ["mdgan", "centralized"])
def test_a_method_whose_devices_train_no_received_networks_refuses_it(method):
    with raises("proximal.mu", "conflict", f"method={method}", "averaged"):
        make_plan(tiny(f"method={method}", "proximal.mu=0.1"))


@pytest.mark.parametrize("words", [["device_optimizer.lr=0.1"], ["device_optimizer.lr_steps=[{round: 9, lr: 0.1}]"]])
def test_a_mu_along_which_sgd_would_move_away_is_refused(words):
    make_plan(tiny(*SGD, *words, "proximal.mu=19.9"))
    with raises("proximal.mu", "conflict", "20", "0.1"):
        make_plan(tiny(*SGD, *words, "proximal.mu=20"))
    make_plan(tiny(*SGD, *words, "proximal.mu=20", "device_optimizer.momentum=0.5"))


def test_the_plan_has_its_memory_and_no_more_traffic():
    none, near = (make_plan(tiny(*words)) for words in ([], ["proximal.mu=0.1"]))
    assert near.footprint.device.kept - none.footprint.device.kept == 4 * near.discriminator_parameters
    for same in ("bytes_up", "bytes_down", "phases_s"):
        assert getattr(none, same) == getattr(near, same)

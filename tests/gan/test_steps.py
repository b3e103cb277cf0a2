"""Steps of networks that a user has partly frozen."""

import pytest
import torch

from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.steps import build_networks, discriminator_step, generate, generator_step, simultaneous_step
from tests.helpers import tiny

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["alternating", "simultaneous"])
def test_a_frozen_layer_stays_as_it_was_and_the_others_learn(kind):
    config = tiny("gan.discriminator=tests.own:Frozen", "gan.generator=tests.own:FrozenGenerator")
    networks = build_networks(config, (1, 16, 16), CPU)
    d_optimizer = FlatOptimizer(config.device_optimizer, networks.discriminator)
    g_optimizer = FlatOptimizer(config.generator_optimizer, networks.generator)
    both = (networks.discriminator.module, networks.generator.module)
    before = [[parameter.detach().clone() for parameter in module.parameters()] for module in both]
    real, z = torch.rand(4, 1, 16, 16), torch.randn(4, config.gan.latent)
    for _ in range(2):
        if kind == "simultaneous":
            simultaneous_step(networks, d_optimizer, g_optimizer, real, z, None)
        else:
            discriminator_step(networks, d_optimizer, real, generate(networks, z), None)
            generator_step(networks, g_optimizer, z)
    for module, old in zip(both, before, strict=True):
        for parameter, start in zip(module.parameters(), old, strict=True):
            assert torch.equal(parameter, start) != parameter.requires_grad


def test_a_generator_step_leaves_no_gradient_on_the_discriminator():
    config = tiny()
    networks = build_networks(config, (1, 16, 16), CPU)
    optimizer = FlatOptimizer(config.generator_optimizer, networks.generator)
    generator_step(networks, optimizer, torch.randn(4, config.gan.latent))
    assert not networks.discriminator.parameters.grad.any()
    assert networks.generator.parameters.grad.any()

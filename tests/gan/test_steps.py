"""Steps against torch written out, of networks that make promises, and of those that a user has partly frozen."""

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from raygan.gan.conditions import Labelled
from raygan.gan.networks import build_networks
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.spectral import Spectral
from raygan.gan.steps import discriminator_gradient, discriminator_step, generate, generator_step, simultaneous_step
from tests.helpers import tiny

CPU = torch.device("cpu")


def plain(network):
    """The same layers and weights as torch's own modules, contiguous."""
    layers = []
    for layer in network.module.layers:
        kind = next(kind for kind in (nn.ConvTranspose2d, nn.Conv2d, nn.Module) if isinstance(layer, kind))
        if kind is nn.Module:
            layers.append(layer)
            continue
        bias = layer.bias is not None
        copy = kind(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, bias=bias)
        copy.load_state_dict({name: value.contiguous() for name, value in layer.state_dict().items()})
        layers.append(copy)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 28, 28)])
def test_a_step_is_that_of_a_loop_written_by_hand_but_for_rounding(shape):
    words = ["gan.generator_norm=none", "gan.discriminator_norm=none", "gan.generator_width=8"]
    config = tiny(*words, "gan.discriminator_width=8", "device_optimizer.lr=2e-4", "device_optimizer.beta1=0.5")
    networks = build_networks(config, shape, CPU)
    generator, discriminator = plain(networks.generator), plain(networks.discriminator)
    adam = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    real, z = torch.rand(16, *shape) * 2 - 1, torch.randn(16, config.gan.latent)

    optimizer = FlatOptimizer(config.device_optimizer, networks.discriminator)
    loss = discriminator_step(networks, optimizer, 1, Labelled(real), generate(networks, Labelled(z)))
    fake = generator(z[:, :, None, None]).detach()
    expected = softplus(-discriminator(real)).mean() + softplus(discriminator(fake)).mean()
    expected.backward()
    adam.step()

    assert loss == pytest.approx(expected.item(), abs=1e-6)
    moved = dict(networks.discriminator.module.named_parameters())
    for (name, parameter), reference in zip(moved.items(), discriminator.parameters(), strict=True):
        assert (parameter - reference).abs().max() < 1e-5, name


class Counting(nn.Module):
    """Knows how large the batches were that it has seen."""

    def __init__(self, shape, gan):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape).flatten())
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return x.flatten(1) @ self.weight


class Promising(Counting):
    per_sample = True


def test_real_and_generated_samples_share_a_pass_only_where_the_network_promises_that_it_is_the_same():
    gradients = []
    for own, batches in ((Counting, [3, 3]), (Promising, [6])):
        config = tiny("device_optimizer.name=sgd", "gan.generator=mlp", f"gan.discriminator={__name__}:{own.__name__}")
        networks = build_networks(config, (2,), CPU)
        optimizer = FlatOptimizer(config.device_optimizer, networks.discriminator)
        discriminator_step(networks, optimizer, 1, Labelled(torch.ones(3, 2)), Labelled(torch.zeros(3, 2)))
        assert networks.discriminator.module.seen == batches
        gradients.append(networks.discriminator.parameters.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("network", ["dcgan", "mlp", "resnet"])
def test_a_step_with_spectral_normalisation_takes_one_power_iteration(network, monkeypatch):
    """And has the gradient of two passes, but for what another iteration changes."""
    config = tiny(f"gan.discriminator={network}", "gan.discriminator_width=8")
    one, two = (build_networks(config, (1, 16, 16), CPU) for _ in range(2))
    two.discriminator.module.one_pass = False
    real, fake = Labelled(torch.randn(8, 1, 16, 16)), Labelled(torch.randn(8, 1, 16, 16))
    taken = []
    iterate = Spectral._power_method
    monkeypatch.setattr(Spectral, "_power_method", lambda *given: (taken.append(given[0]), iterate(*given)))
    discriminator_gradient(one, real, fake)
    norms = [module for module in one.discriminator.module.modules() if isinstance(module, Spectral)]
    assert [taken.count(norm) for norm in norms] == [1] * len(norms)
    assert len(taken) == len(norms) > 2
    discriminator_gradient(two, real, fake)
    assert len(taken) == 3 * len(norms)
    difference = (one.discriminator.gradient - two.discriminator.gradient).norm()
    assert difference < 1e-2 * one.discriminator.gradient.norm()


@pytest.mark.parametrize(("norm", "promised"), [("none", True), ("group", True), ("batch", False), ("spectral", False)])
@pytest.mark.parametrize(("network", "shape"), [("dcgan", (1, 16, 16)), ("mlp", (2,))])
def test_what_the_networks_here_promise(norm, promised, network, shape):
    words = [f"gan.discriminator={network}", f"gan.generator={network}", f"gan.discriminator_norm={norm}"]
    networks = build_networks(tiny(*words), shape, CPU)
    assert networks.per_sample is promised
    assert networks.one_pass is (norm != "batch")


@pytest.mark.parametrize("kind", ["alternating", "simultaneous"])
def test_a_frozen_layer_stays_as_it_was_and_the_others_learn(kind):
    config = tiny("gan.discriminator=tests.own:Frozen", "gan.generator=tests.own:FrozenGenerator")
    networks = build_networks(config, (1, 16, 16), CPU)
    d_optimizer = FlatOptimizer(config.device_optimizer, networks.discriminator)
    g_optimizer = FlatOptimizer(config.generator_optimizer, networks.generator)
    both = (networks.discriminator.module, networks.generator.module)
    before = [[parameter.detach().clone() for parameter in module.parameters()] for module in both]
    real, latents = Labelled(torch.rand(4, 1, 16, 16)), Labelled(torch.randn(4, config.gan.latent))
    for _ in range(2):
        if kind == "simultaneous":
            simultaneous_step(networks, d_optimizer, g_optimizer, 1, real, latents)
        else:
            discriminator_step(networks, d_optimizer, 1, real, generate(networks, latents))
            generator_step(networks, g_optimizer, 1, latents)
    for module, old in zip(both, before, strict=True):
        for parameter, start in zip(module.parameters(), old, strict=True):
            assert torch.equal(parameter, start) != parameter.requires_grad


def test_a_generator_step_leaves_no_gradient_on_the_discriminator():
    config = tiny()
    networks = build_networks(config, (1, 16, 16), CPU)
    optimizer = FlatOptimizer(config.generator_optimizer, networks.generator)
    generator_step(networks, optimizer, 1, Labelled(torch.randn(4, config.gan.latent)))
    assert not networks.discriminator.parameters.grad.any()
    assert networks.generator.parameters.grad.any()

"""FedGAN against simultaneous training written out by hand, and against its own formulas."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from raygan.channel.traffic import Traffic
from raygan.gan.dcgan import DCGANDiscriminator, DCGANGenerator
from raygan.gan.derived import Derived
from raygan.gan.losses import non_saturating
from raygan.methods.fedgan import FedGAN
from raygan.rng import Role, noise, stream, torch_seeded
from raygan.round.compute import threads
from tests.helpers import tiny
from tests.methods.parties import CPU, IMAGES, SHAPE, drawn, parties, play, values

SGD = [
    f"{party}_optimizer.{key}" for party in ("device", "generator") for key in ("name=sgd", "lr=0.01", "momentum=0.0")
]


def by_hand(config, rounds):
    """Simultaneous gradient descent on one machine, drawing the same numbers: torch's modules and optimisers only."""
    with torch_seeded(config.seed, Role.GENERATOR_INIT):
        generator = DCGANGenerator(SHAPE, config.gan)
    with torch_seeded(config.seed, Role.DISCRIMINATOR_INIT):
        discriminator = DCGANDiscriminator(SHAPE, config.gan)
    networks = (discriminator, generator)
    optimizers = [torch.optim.SGD(network.parameters(), lr=0.01) for network in networks]
    with threads(1):
        for round in range(1, rounds + 1):
            batches = stream(config.seed, Role.DEVICE_BATCH, 0, round)
            latents = stream(config.seed, Role.DEVICE_NOISE, 0, round)
            for _ in range(config.device_steps):
                real = drawn(config.batch_size, batches)
                fake = generator(noise(latents, len(real), config.gan.latent, CPU))
                judged = discriminator(fake)
                losses = (
                    non_saturating.discriminator(discriminator(real), judged),
                    non_saturating.generator(judged),
                )
                for network, loss in zip(networks, losses, strict=True):
                    parameters = list(network.parameters())
                    slopes = torch.autograd.grad(loss, parameters, retain_graph=True)
                    for parameter, slope in zip(parameters, slopes, strict=True):
                        parameter.grad = slope
                for optimizer in optimizers:
                    optimizer.step()
            for network in networks:
                Derived(network).refresh()
    return generator, discriminator


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("norm", ["batch", "none", "spectral"])
def test_one_device_with_sgd_is_simultaneous_training_bit_for_bit(steps, norm):
    norms = [f"gan.{network}_norm={norm}" for network in ("discriminator", "generator")]
    config = tiny("method=fedgan", "devices=1", f"device_steps={steps}", *norms, *SGD)
    generator, discriminator = by_hand(config, rounds=4)
    side = play(config, [60], rounds=4)
    assert torch.equal(side.networks.generator.parameters.detach(), values(generator))
    assert torch.equal(side.networks.discriminator.parameters.detach(), values(discriminator))


def test_averaging_after_every_step_with_sgd_is_synchronous_training():
    """Field test: K = 1 equals one step along the mean of all devices' gradients."""
    norms = [f"gan.{network}_norm=group" for network in ("discriminator", "generator")]
    config = tiny("method=fedgan", "batch_size=20", *norms, *SGD)
    side = play(config, [20, 20, 20], rounds=1)
    pooled = FedGAN.server(config, SHAPE, CPU).networks
    generator, discriminator = pooled.generator, pooled.discriminator
    start = [network.parameters.detach().clone() for network in (generator, discriminator)]
    real = torch.from_numpy(IMAGES).float() / 127.5 - 1
    z = torch.cat([noise(stream(0, Role.DEVICE_NOISE, device, 1), 20, config.gan.latent, CPU) for device in range(3)])
    judged = discriminator.module(generator.module(z))
    d_loss = pooled.loss.discriminator(discriminator.module(real), judged)
    for network, loss, before, after in (
        (generator, pooled.loss.generator(judged), start[0], side.networks.generator),
        (discriminator, d_loss, start[1], side.networks.discriminator),
    ):
        slopes = torch.autograd.grad(loss, list(network.module.parameters()), retain_graph=True)
        step = 0.01 * values(network.module, slopes)
        assert torch.allclose(after.parameters.detach(), before - step, atol=1e-7)
        assert step.abs().max() > 1e-4


@pytest.mark.parametrize(("weights", "expected"), [("shard", [3, 20, 37]), ("uniform", [1, 1, 1])])
def test_both_networks_are_averaged_by_the_formula(weights, expected):
    config = tiny("method=fedgan", f"fedgan.weights={weights}")
    worker, server = parties(config, [3, 20, 37])
    down = server.down(1)
    message, _ = worker.update_devices(1, down, worker.devices)
    vectors = []
    for device, times in enumerate(expected):
        side = FedGAN.device(config, SHAPE, CPU)
        with threads(1):
            update, _ = side.update(worker.shards[device], 1, down, {})
        assert update.weight == times
        assert update.vector.shape == (server.side.update_size,)
        vectors.append(update.vector)
    server.update(1, [message])
    mean = server.side.reference(2)
    for index in range(0, len(mean), 97):
        exact = sum(Fraction(float(v[index])) * w for v, w in zip(vectors, expected, strict=True)) / sum(expected)
        assert float(mean[index]) == pytest.approx(float(exact), rel=1e-7, abs=1e-12)


def test_differences_average_to_the_same_as_weights():
    words = ["method=fedgan", "gan.discriminator_norm=batch", "gan.generator_norm=batch"]
    weights, deltas = (
        play(tiny(*words, f"fedgan.upload={upload}"), [10, 20, 30], 1) for upload in ("weights", "delta")
    )
    start = parties(tiny(*words), [10, 20, 30])[1].side.reference(1)
    ends = [side.down(2) for side in (weights, deltas)]
    np.testing.assert_allclose(*ends, rtol=1e-5, atol=1e-7)
    assert not np.array_equal(*ends), "the differences are rounded"
    assert np.array_equal(deltas.reference(2), np.zeros_like(start)), "of a device that does no training"


def test_moments_are_kept_on_the_device_or_fresh():
    for switch, steps in (("keep", 2), ("reset", None)):
        config = tiny("method=fedgan", f"fedgan.optimizer_state={switch}")
        worker, server = parties(config, [30, 30])
        for round in (1, 2):
            message, _ = worker.update_devices(round, server.down(round), worker.devices)
            server.update(round, [message])
        state = worker.states().get(0, {})
        assert set(state) == ({"discriminator_optimizer", "generator_optimizer"} if steps else set())
        assert all(moments[-1] == steps for moments in state.values())


def test_traffic_is_both_networks_both_ways():
    words = ["gan.latent=100", "gan.generator_width=64", "gan.discriminator_width=64", "gan.discriminator_norm=batch"]
    server = FedGAN.server(tiny("method=fedgan", *words), (3, 64, 64), CPU)
    assert server.traffic() == Traffic(down=6_342_272, up=6_342_272, broadcast=True)


def test_the_moving_average_counts_local_steps():
    config = tiny("method=fedgan", "device_steps=3", "gan.ema=0.9")
    worker, server = parties(config, [30, 30])
    start = server.side.networks.generator.dump()
    message, _ = worker.update_devices(1, server.down(1), worker.devices)
    server.update(1, [message])
    expected = 0.9**3 * start + (1 - 0.9**3) * server.side.networks.generator.dump()
    assert server.side.generators()["ema"] == pytest.approx(expected, abs=1e-6)

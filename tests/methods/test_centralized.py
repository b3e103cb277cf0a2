"""Centralized training against a DCGAN loop written out by hand."""

import pytest
import torch

from raygan.channel.traffic import NO_TRAFFIC
from raygan.gan.dcgan import DCGANDiscriminator, DCGANGenerator
from raygan.methods.centralized import Centralized
from raygan.rng import Role, noise, stream, torch_seeded
from raygan.round.compute import threads
from raygan.round.simulation import as_run
from tests.helpers import tiny
from tests.methods.parties import CPU, SHAPE, drawn, judged, play, values


def dcgan_loop(config, rounds):
    """The usual alternating loop with binary cross entropy, Adam, and two networks of plain torch."""
    with torch_seeded(config.seed, Role.GENERATOR_INIT):
        generator = DCGANGenerator(SHAPE, config.gan)
    with torch_seeded(config.seed, Role.DISCRIMINATOR_INIT):
        discriminator = DCGANDiscriminator(SHAPE, config.gan)
    d_adam = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    g_adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    softplus = torch.nn.functional.softplus  # of a logit: cross entropy with target 0; of its negative: target 1
    with threads(1):
        for round in range(1, rounds + 1):
            batches = stream(config.seed, Role.DEVICE_BATCH, 0, round)
            latents = stream(config.seed, Role.DEVICE_NOISE, 0, round)
            for _ in range(config.device_steps):
                real = drawn(config.batch_size, batches)
                fake = generator(noise(latents, len(real), config.gan.latent, CPU)).detach()
                d_adam.zero_grad()
                of_real, of_fake = judged(discriminator, real, fake)
                (softplus(-of_real).mean() + softplus(of_fake).mean()).backward()
                d_adam.step()
            latents = stream(config.seed, Role.SERVER_NOISE, round=round)
            for _ in range(config.generator_steps):
                z = noise(latents, config.generator_batch_size, config.gan.latent, CPU)
                g_adam.zero_grad()
                softplus(-discriminator(generator(z))).mean().backward()
                g_adam.step()
    return generator, discriminator


@pytest.mark.parametrize(("d_steps", "g_steps"), [(1, 1), (3, 2)])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_it_is_a_dcgan_loop_bit_for_bit(d_steps, g_steps, norm):
    words = [f"gan.{network}_norm={norm}" for network in ("discriminator", "generator")]
    words += [f"{party}_optimizer.{key}" for party in ("device", "generator") for key in ("lr=2e-4", "beta1=0.5")]
    words += [f"device_steps={d_steps}", f"generator_steps={g_steps}"]
    config = as_run(tiny("method=centralized", "devices=3", *words))
    generator, discriminator = dcgan_loop(config, rounds=4)
    side = play(config, [60], rounds=4)
    assert torch.equal(side.networks.generator.parameters.detach(), values(generator))
    assert torch.equal(side.networks.discriminator.parameters.detach(), values(discriminator))


@pytest.mark.parametrize("steps", [1, 3])
def test_it_is_the_serial_schedule_with_one_device(steps):
    words = ["devices=1", f"generator_steps={steps}", "gan.ema=0.7"]
    centralized = play(as_run(tiny("method=centralized", *words)), [60], rounds=3)
    serial = play(tiny(*words), [60], rounds=3)
    parameters = centralized.networks.generator.num_parameters  # a device's fakes do not move the server's buffers
    assert torch.equal(centralized.networks.generator.parameters, serial.networks.generator.parameters)
    assert torch.equal(centralized.ema[:parameters], serial.ema[:parameters])


def test_nothing_is_sent():
    assert Centralized.server(tiny("method=centralized"), SHAPE, CPU).traffic() == NO_TRAFFIC

"""The method against GAN training written out by hand, and against its own formulas."""

from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest
import torch

from raygan.channel.traffic import Traffic
from raygan.gan.dcgan import DCGANDiscriminator, DCGANGenerator
from raygan.gan.derived import Derived
from raygan.gan.losses import non_saturating
from raygan.methods.averaged import Averaged
from raygan.rng import Role, noise, stream, torch_seeded
from raygan.round.compute import threads
from raygan.round.shards import WorkerShards
from raygan.round.worker import Worker
from tests.helpers import tiny
from tests.methods.parties import CPU, IMAGES, SHAPE, drawn, judged, parties, play, problem_of, values


def by_hand(config, rounds, simultaneous):
    """Plain GAN training on one machine, drawing the same numbers: torch's modules and optimisers only."""
    with torch_seeded(config.seed, Role.GENERATOR_INIT):
        generator = DCGANGenerator(SHAPE, config.gan)
    with torch_seeded(config.seed, Role.DISCRIMINATOR_INIT):
        discriminator = DCGANDiscriminator(SHAPE, config.gan)
    d_adam = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    g_adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def discriminator_gradient(round):
        batches = stream(config.seed, Role.DEVICE_BATCH, 0, round)
        latents = stream(config.seed, Role.DEVICE_NOISE, 0, round)
        real = drawn(config.batch_size, batches)
        with torch.no_grad():  # by a copy, as a device has it: the server's own does not move on
            fake = deepcopy(generator)(noise(latents, len(real), config.gan.latent, CPU))
        d_adam.zero_grad()
        non_saturating.discriminator(*judged(discriminator, real, fake)).backward()

    def generator_gradient(round, discriminator):
        z = noise(stream(config.seed, Role.SERVER_NOISE, round=round), 8, config.gan.latent, CPU)
        g_adam.zero_grad()
        loss = non_saturating.generator(discriminator(generator(z)))
        for parameter, slope in zip(
            generator.parameters(), torch.autograd.grad(loss, list(generator.parameters())), strict=True
        ):
            parameter.grad = slope

    with threads(1):
        for round in range(1, rounds + 1):
            old = deepcopy(discriminator)
            discriminator_gradient(round)
            d_adam.step()
            Derived(discriminator).refresh()
            generator_gradient(round, old if simultaneous else discriminator)
            g_adam.step()
    return generator, discriminator


@pytest.mark.parametrize(("schedule", "simultaneous"), [("serial", False), ("parallel", True)])
@pytest.mark.parametrize("norm", ["batch", "none", "spectral"])
def test_one_device_is_plain_gan_training_bit_for_bit(schedule, simultaneous, norm):
    words = [f"schedule={schedule}", "devices=1", f"gan.discriminator_norm={norm}", f"gan.generator_norm={norm}"]
    words += [f"{party}_optimizer.{key}" for party in ("device", "generator") for key in ("lr=2e-4", "beta1=0.5")]
    config = tiny(*words)
    generator, discriminator = by_hand(config, rounds=5, simultaneous=simultaneous)
    side = play(config, [60], rounds=5)
    assert torch.equal(side.networks.generator.parameters.detach(), values(generator))
    assert torch.equal(side.networks.discriminator.parameters.detach(), values(discriminator))


def test_the_schedules_differ():
    serial, parallel = (play(tiny(f"schedule={name}"), [20, 20, 20], 3) for name in ("serial", "parallel"))
    assert not torch.equal(serial.networks.generator.vector, parallel.networks.generator.vector)


@pytest.mark.parametrize("loss", ["non_saturating", "hinge", "least_squares"])
def test_equal_shards_with_sgd_are_one_large_batch_step(loss):
    config = tiny(
        "device_optimizer.name=sgd",
        "device_optimizer.lr=0.1",
        "gan.discriminator_norm=none",
        "gan.generator_norm=none",
        "batch_size=20",
        f"gan.loss={loss}",
    )
    side = play(config, [20, 20, 20], rounds=1)
    pooled = Averaged.server(config, SHAPE, CPU).networks
    real = torch.from_numpy(IMAGES).float() / 127.5 - 1
    latents = [stream(config.seed, Role.DEVICE_NOISE, device, 1) for device in range(3)]
    with torch.no_grad():
        fake = pooled.generator.module(torch.cat([noise(latent, 20, config.gan.latent, CPU) for latent in latents]))
    discriminator = pooled.discriminator
    pooled.loss.discriminator(discriminator.module(real), discriminator.module(fake)).backward()
    expected = discriminator.parameters.detach() - 0.1 * discriminator.parameters.grad
    moved = (discriminator.parameters.detach() - expected).abs().max()
    difference = (side.networks.discriminator.parameters.detach() - expected).abs().max()
    assert difference < 1e-6 < moved / 10


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("uniform", [1, 1, 1]), ("shard", [3, 20, 37]), ("batch", [3, 8, 8])],
)
def test_averaging_is_the_formula(weights, expected):
    config = tiny(f"averaged.weights={weights}")
    worker, server = parties(config, [3, 20, 37])
    down = server.side.down(1)
    message, _ = worker.update_devices(1, down, worker.devices)
    updates = []
    for device, times in enumerate(expected):
        side = Averaged.device(config, SHAPE, CPU)
        with threads(1):
            update, _ = side.update(worker.shards[device], 1, down, {})
        assert update.weight == times
        updates.append(update.vector)
    server.update(1, [message])
    networks = server.side.networks  # the generator's step moves D's buffers, not its parameters
    mean = networks.discriminator.dump()[: networks.discriminator.num_parameters]
    for index in range(0, len(mean), 97):
        exact = sum(Fraction(float(v[index])) * w for v, w in zip(updates, expected, strict=True)) / sum(expected)
        assert float(mean[index]) == pytest.approx(float(exact), rel=1e-7)


def test_single_updates_and_a_packed_partial_sum_agree_bit_for_bit():
    config = tiny("averaged.weights=shard")
    packed, server = parties(config, [3, 20, 37])
    down = server.side.down(1)
    together, _ = packed.update_devices(1, down, packed.devices)
    assert (len(together.updates), len(together.parts)) == (0, 1)
    singles = []
    for device in (2, 0, 1):
        samples = packed.shards[device].samples
        shards = WorkerShards(range(device, device + 1), samples, np.array([0, len(samples)]))
        lone = Worker(config, problem_of(config, 60), shards, CPU)
        single, _ = lone.update_devices(1, down, lone.devices)
        assert (len(single.updates), len(single.parts)) == (1, 0)
        singles.append(single)
    server.update(1, [together])
    _, other = parties(config, [3, 20, 37])
    other.side.down(1)
    other.update(1, singles)
    assert torch.equal(server.side.networks.discriminator.vector, other.side.networks.discriminator.vector)


def test_deltas_average_to_the_same_as_weights():
    weights, deltas = (play(tiny(f"averaged.upload={upload}"), [20, 20, 20], 1) for upload in ("weights", "delta"))
    one, other = weights.networks.discriminator, deltas.networks.discriminator
    assert torch.allclose(one.averaged, other.averaged, atol=1e-7)
    assert torch.allclose(one.derived, other.derived, atol=1e-5)


def test_a_device_step_leaves_the_broadcast_unchanged():
    config = tiny("averaged.upload=delta", "averaged.optimizer_state=average")
    worker, server = parties(config, [20, 20, 20])
    down = server.side.down(1)
    down.flags.writeable = False  # as it comes out of the object store
    before = down.copy()
    worker.update_devices(1, down, worker.devices)
    assert np.array_equal(down, before)


def states_after(*switches):
    config = tiny("gan.discriminator_norm=batch", *switches)
    worker, server = parties(config, [20, 20, 20])
    for round in (1, 2):
        message, _ = worker.update_devices(round, server.side.down(round), worker.devices)
        server.update(round, [message])
    return worker, server


def test_kept_moments_stay_on_their_device():
    worker, _ = states_after("averaged.optimizer_state=keep")
    first, second = worker.states()[0]["optimizer"], worker.states()[1]["optimizer"]
    assert first[-1] == second[-1] == 2, "steps counted over both rounds"
    assert not np.array_equal(first, second)


def test_reset_moments_are_fresh_every_round():
    worker, _ = states_after("averaged.optimizer_state=reset")
    assert worker.states() == {}


def test_averaged_moments_travel_with_the_discriminator():
    config = tiny("averaged.optimizer_state=average")
    worker, server = parties(config, [20, 20, 20])
    size = server.side.networks.discriminator.num_averaged
    message, _ = worker.update_devices(1, server.side.down(1), worker.devices)
    server.update(1, [message])
    moments = server.side.down(1)[-(server.side.update_size - size) :]
    assert moments[-1] == 1, "one step"
    own = []
    for device in range(3):
        side = Averaged.device(config, SHAPE, CPU)
        start = Averaged.server(config, SHAPE, CPU).down(1)
        with threads(1):
            update, _ = side.update(worker.shards[device], 1, start, {})
        own.append(update.vector[size:])
    assert np.allclose(moments, np.mean(own, axis=0), atol=1e-9)


def test_buffers_averaged_local_or_reset():
    averaged_host, averaged = states_after("averaged.buffers=average")
    assert "buffers" not in averaged_host.states()[0]
    assert not torch.equal(averaged.side.networks.discriminator.buffers[:8], torch.zeros(8))
    local_host, local = states_after("averaged.buffers=local")
    first, second = (local_host.states()[device]["buffers"] for device in (0, 1))
    assert not np.array_equal(first, second)
    assert local.side.update_size == local.side.networks.discriminator.num_parameters
    reset_host, reset = states_after("averaged.buffers=reset")
    assert "buffers" not in reset_host.states()[0]
    assert reset.side.update_size == local.side.update_size


@pytest.mark.parametrize("buffers", ["average", "local", "reset"])
@pytest.mark.parametrize("schedule", ["serial", "parallel"])
def test_generator_steps_move_the_global_discriminators_buffers(schedule, buffers):
    """Those of the new average in serial, of the old one in parallel; the server's own where none are sent."""
    config = tiny(f"schedule={schedule}", f"averaged.buffers={buffers}", "gan.discriminator_norm=batch")
    worker, server = parties(config, [20, 20, 20])
    discriminator = server.side.networks.discriminator
    initial, down = discriminator.buffers.clone(), server.side.down(1)
    message, _ = worker.update_devices(1, down, worker.devices)
    sent = []
    for device in range(3):
        with threads(1):
            update, _ = Averaged.device(config, SHAPE, CPU).update(worker.shards[device], 1, down, {})
        sent.append(update.vector[discriminator.num_parameters :])
    server.update(1, [message])
    moved = discriminator.buffers.numpy()
    if buffers == "average":
        assert np.allclose(moved, np.mean(sent, axis=0), atol=1e-6) == (schedule == "parallel")
        assert np.array_equal(server.side.down(2)[-len(moved) :], moved)
    else:
        assert all(len(one) == 0 for one in sent)
        assert not np.allclose(moved, initial)
        assert len(down) == server.side.networks.generator.vector.numel() + discriminator.num_parameters


def test_traffic_is_both_networks_down_and_the_discriminator_up():
    gan = ["gan.latent=100", "gan.generator_width=64", "gan.discriminator_width=64", "gan.discriminator_norm=batch"]
    server = Averaged.server(tiny(*gan), (3, 64, 64), CPU)
    assert server.traffic() == Traffic(down=6_342_272, up=2_765_568, broadcast=True)
    with_moments = Averaged.server(tiny(*gan, "averaged.optimizer_state=average"), (3, 64, 64), CPU)
    up = 3 * 2_765_568 + 1
    assert with_moments.traffic() == Traffic(down=3_576_704 + up, up=up, broadcast=True)


def test_the_moving_average_is_the_formula():
    config = tiny("gan.ema=0.75", "rounds=2")
    worker, server = parties(config, [60])
    expected = server.side.networks.generator.dump().astype(np.float64)
    for round in (1, 2):
        message, _ = worker.update_devices(round, server.side.down(round), worker.devices)
        server.update(round, [message])
        expected = 0.75 * expected + 0.25 * server.side.networks.generator.dump()
    assert server.side.generators()["ema"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("loss", ["minimax", "wgan_gp", "tests.own:quadratic"])
def test_every_loss_trains(loss):
    side = play(tiny(f"gan.loss={loss}", "device_steps=2", "generator_steps=2"), [20, 20, 20], 2)
    assert np.isfinite(side.networks.generator.dump()).all()


def test_networks_of_ones_own_repeat_with_their_dropout():
    config = tiny("gan.generator=tests.own:Generator", "gan.discriminator=mlp")
    first, second = play(config, [20, 20, 20], 3), play(config, [20, 20, 20], 3)
    assert torch.equal(first.networks.generator.vector, second.networks.generator.vector)

"""MD-GAN against autograd, and its pairings."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raygan.channel.traffic import Traffic
from raygan.gan.moves import Played
from raygan.methods.base import Mean
from raygan.methods.feedback import MDGAN
from raygan.methods.mdgan import number_of_batches
from raygan.methods.swaps import after_swap, swap_partners
from raygan.rng import Role, noise, stream
from raygan.round.compute import threads
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import CPU, SHAPE, parties, play, values

NO_SWAP = "mdgan.swap_epochs=null"


def discriminators(worker, config):
    """Every device's discriminator as it remembers it, as a network."""
    networks = []
    for _, state in sorted(worker.states().items()):
        network = MDGAN.device(config, SHAPE, CPU).networks.discriminator
        network.load(state["discriminator"])
        networks.append(network)
    return networks


@pytest.mark.parametrize("batches", [1, 2, 4])
def test_the_feedback_is_autograds_gradient_of_the_mean_loss_over_all_batches(batches):
    """Device n judges batch n mod k; the generator descends the mean over devices of the mean over their images."""
    config = tiny(
        "method=mdgan",
        "devices=6",
        f"mdgan.batches={batches}",
        NO_SWAP,
        "generator_optimizer.name=sgd",
        "generator_optimizer.lr=1.0",
        "gan.discriminator_norm=group",
        "gan.generator_norm=batch",
    )
    worker, server = parties(config, [10] * 6)
    start = server.side.networks.generator.parameters.detach().clone()
    message, _ = worker.update_devices(1, server.down(1), worker.devices)
    server.update(1, [message])
    step = start - server.side.networks.generator.parameters.detach()

    fresh = MDGAN.server(config, SHAPE, CPU).networks
    random = stream(config.seed, Role.SERVER_NOISE, round=1)
    latents = [noise(random, config.batch_size, config.gan.latent, CPU) for _ in range(batches)]
    losses = [
        fresh.loss.generator(network.module(fresh.generator.module(latents[device % batches])))
        for device, network in enumerate(discriminators(worker, config))
    ]
    slopes = torch.autograd.grad(sum(losses) / 6, list(fresh.generator.module.parameters()))
    expected = values(fresh.generator.module, slopes)
    assert (step - expected).abs().max() < 1e-6
    assert expected.abs().max() > 1e-3, "far larger than the difference allowed"


def test_the_discriminator_learns_from_the_next_batch_not_the_judged_one():
    config = tiny("method=mdgan", "devices=2", "mdgan.batches=2", NO_SWAP)
    worker, server = parties(config, [30, 30])
    down = server.down(1)
    halves = down.reshape(2, -1)
    for device, learned in ((0, 1), (1, 0)):
        other = halves.copy()
        other[1 - learned] = 0.5  # the judged batch alone is changed: the discriminator must come out the same
        states = []
        for sent in (halves, other):
            side = MDGAN.device(config, SHAPE, CPU)
            with threads(1):
                update, state = side.update(worker.shards[device], 1, sent.ravel(), {})
            states.append(state["optimizer"])
            assert update.slot == device % 2
        assert np.array_equal(*states)


@pytest.mark.parametrize("size", [60, 5])
def test_the_l_steps_of_a_round_see_the_same_samples(size, monkeypatch):
    """Algorithm 1: b real images, then L discriminator steps on them and X_d, at the same places of a penalty.

    A shard smaller than a batch sees as many of X_d as it has.
    """
    seen = []

    def note(networks, optimizer, round, real, fake, mix):
        seen.append((real.values.clone(), fake.values.clone(), mix.clone()))
        yield from ()
        return torch.zeros(())

    monkeypatch.setattr("raygan.methods.local.discriminator_step", Played(note))
    config = tiny("method=mdgan", "devices=1", "device_steps=3", "gan.loss=wgan_gp", NO_SWAP)
    worker, server = parties(config, [size])
    down = server.down(1)
    worker.update_devices(1, down, [0])
    assert len(seen) == 3
    assert all(torch.equal(seen[0][part], later[part]) for later in seen[1:] for part in range(3))
    count = min(config.batch_size, size)
    assert np.array_equal(seen[0][1].numpy(), down.reshape(-1, *SHAPE)[:count])
    assert seen[0][0].shape == (count, *SHAPE)
    assert seen[0][2].shape == (count,)


def test_feedback_is_applied_to_the_very_images_that_were_judged():
    """Also where a batch got no judge, and generating moves buffers (spectral norm's power iteration)."""
    config = tiny("method=mdgan", "mdgan.batches=2", "gan.generator_norm=spectral", NO_SWAP)
    server = MDGAN.server(config, SHAPE, CPU)
    sent = server.down(1).reshape(2, -1)
    made = []
    server.networks.generator.module.register_forward_hook(
        lambda module, z, images: made.append(images.detach().clone())
    )
    server.finish(1, {1: Mean(np.zeros(server.update_size, np.float32), 1)})
    assert np.array_equal(made[1].numpy().ravel(), sent[1])


def test_each_device_keeps_its_own_discriminator():
    config = tiny("method=mdgan", NO_SWAP)
    worker, server = parties(config, [20, 20, 20])
    for round in (1, 2):
        message, report = worker.update_devices(round, server.down(round), worker.devices)
        server.update(round, [message])
    first, second = (worker.states()[device] for device in (0, 1))
    assert not np.array_equal(first["discriminator"], second["discriminator"])
    assert first["optimizer"][-1] == 2
    assert set(report.devices[0]) == {"d_loss", "g_loss"}


def test_sending_down_changes_nothing():
    server = MDGAN.server(tiny("method=mdgan", NO_SWAP), SHAPE, CPU)
    before = {name: array.copy() for name, array in (server.state() | server.generators()).items()}
    assert np.array_equal(server.down(3), server.down(3))
    assert not np.array_equal(server.down(3), server.down(4))
    after = server.state() | server.generators()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_slots_are_weighed_by_the_devices_that_judged_them():
    """Three devices, two batches: batch 0 was judged twice."""
    config = tiny("method=mdgan", "mdgan.batches=2", NO_SWAP, "generator_optimizer.name=sgd")
    rng = np.random.default_rng(1)
    gradients = rng.standard_normal((2, MDGAN.server(config, SHAPE, CPU).update_size)).astype(np.float32)
    steps = []
    for weights in ((2, 1), (4, 2), (1, 1)):
        server = MDGAN.server(config, SHAPE, CPU)
        start = server.networks.generator.parameters.detach().clone()
        means = {slot: Mean(gradients[slot], weight) for slot, weight in enumerate(weights)}
        server.finish(1, means)
        steps.append(server.networks.generator.parameters.detach() - start)
    assert torch.allclose(steps[0], steps[1])
    assert not torch.allclose(steps[0], steps[2], rtol=0.01)


@given(half=st.integers(1, 20), round=st.integers(1, 100))
def test_a_swap_is_a_permutation_without_fixed_points_for_even_numbers(half, round):
    devices = list(range(3, 3 + 2 * half))
    partners = swap_partners(tiny("method=mdgan", "devices=50", "batch_size=10"), 500, round, devices)
    assert sorted(partners) == sorted(partners.values()) == devices
    assert all(receiver != giver and partners[giver] == receiver for receiver, giver in partners.items())


@given(half=st.integers(1, 20), round=st.integers(1, 100))
def test_with_an_odd_number_exactly_one_stays(half, round):
    devices = list(range(2 * half + 1))
    partners = swap_partners(tiny("method=mdgan", "devices=50", "batch_size=10"), 500, round, devices)
    assert len(partners) == 2 * half
    assert sorted(partners) == sorted(partners.values())


def test_swaps_come_every_m_e_over_b_rounds():
    config = tiny("method=mdgan", "devices=4", "batch_size=8", "mdgan.swap_epochs=2")
    rounds = [round for round in range(1, 41) if swap_partners(config, 160, round, [0, 1, 2, 3])]
    assert rounds == [10, 20, 30, 40], "m = 40, E = 2, b = 8"
    assert len({str(swap_partners(config, 160, round, [0, 1, 2, 3])) for round in rounds}) > 1
    assert not swap_partners(tiny("method=mdgan", NO_SWAP), 160, 10, [0, 1])
    half = tiny("method=mdgan", "devices=4", "mdgan.swap_epochs=2", "selection.name=uniform", "selection.count=2")
    rounds = [round for round in range(1, 41) if swap_partners(half, 160, round, [0, 1])]
    assert rounds == [20, 40], "a device takes part in every second round"


@pytest.mark.parametrize(("switch", "moments"), [("travel", [2.0]), ("stay", [1.0]), ("reset", None)])
def test_what_becomes_of_the_moments_at_a_swap(switch, moments):
    own = {"discriminator": np.array([1.0]), "optimizer": np.array([1.0])}
    given = {"discriminator": np.array([2.0]), "optimizer": np.array([2.0])}
    kept = after_swap(tiny("method=mdgan", f"mdgan.swap_moments={switch}"), own, given)
    assert kept["discriminator"] == [2.0]
    assert kept.get("optimizer") == moments


def test_swapped_discriminators_change_places():
    config = tiny("method=mdgan", "devices=2")
    worker, server = parties(config, [30, 30])
    worker.update_devices(1, server.down(1), worker.devices)
    before = {number: state["discriminator"] for number, state in worker.states().items()}
    worker.take_over({0: 1, 1: 0}, worker.hand_over([0, 1]))
    assert np.array_equal(worker.states()[0]["discriminator"], before[1])
    assert np.array_equal(worker.states()[1]["discriminator"], before[0])
    assert not np.array_equal(before[0], before[1])


def test_traffic_is_two_batches_down_and_one_of_gradients_up():
    """The table of the field's message sizes: 64x64x3, b = 100, 4 bytes: 9.83 MB down, 4.92 MB up."""
    words = ["gan.latent=100", "gan.generator_width=64", "gan.discriminator_width=64", "gan.discriminator_norm=batch"]
    words += ["method=mdgan", "batch_size=100", "devices=10"]
    server = MDGAN.server(tiny(*words, "mdgan.swap_moments=stay"), (3, 64, 64), CPU)
    assert server.traffic() == Traffic(down=2_457_600, up=1_228_800, broadcast=False, swap=2_765_568)
    assert 4 * server.traffic().down / 1e6 == pytest.approx(9.83, abs=0.005)
    travelling = MDGAN.server(tiny(*words), (3, 64, 64), CPU).traffic()
    assert travelling.swap == 3 * 2_765_568 + 1, "Adam's two moments per parameter, and its count of steps"
    to_all = MDGAN.server(tiny(*words, "mdgan.downlink=broadcast"), (3, 64, 64), CPU).traffic()
    assert (to_all.down, to_all.broadcast) == (3 * 1_228_800, True), "k = 3 batches for ten devices"


@pytest.mark.parametrize(("devices", "expected"), [(2, 1), (3, 2), (7, 2), (8, 3), (50, 4)])
def test_k_is_the_logarithm_rounded_up(devices, expected):
    config = tiny("method=mdgan", f"devices={devices}")
    assert number_of_batches(config) == expected == math.ceil(math.log(devices))
    assert number_of_batches(tiny("method=mdgan", "devices=5", "mdgan.batches=5")) == 5


@pytest.mark.parametrize("words", [["devices=1"], ["selection.name=uniform", "selection.count=1"]])
def test_a_swap_needs_two_devices(words):
    with raises("mdgan.swap_epochs", "conflict", "mdgan.swap_epochs=null"):
        MDGAN.server(tiny("method=mdgan", *words), SHAPE, CPU)
    assert MDGAN.server(tiny("method=mdgan", *words, NO_SWAP), SHAPE, CPU).slots == (1 if "devices=1" in words else 2)


@pytest.mark.parametrize("loss", ["wgan_gp", "hinge"])
def test_shards_smaller_than_a_batch_train_under_every_loss(loss):
    side = play(tiny("method=mdgan", f"gan.loss={loss}", NO_SWAP), [3, 20, 37], 2)
    assert np.isfinite(side.networks.generator.dump()).all()

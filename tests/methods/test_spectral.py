"""Spectral normalisation under every method: what follows from averaged parameters is right for them."""

import numpy as np
import pytest
import torch
from torch.nn.utils.parametrizations import _SpectralNorm

from raygan.gan.moves import Played
from raygan.gan.networks import build_networks
from raygan.gan.steps import discriminator_step
from raygan.record.generator_file import read_generator, save_generator
from raygan.round.simulation import as_run
from tests.helpers import tiny
from tests.methods.parties import CPU, SHAPE, parties, play

SPECTRAL = ["gan.generator_norm=spectral", "gan.discriminator_norm=spectral"]


def norms(network):
    """The largest singular value of each spectral layer in evaluation mode, of the matrix that torch normalises."""
    module, found = network.module.eval(), []
    for layer in module.modules():
        if hasattr(layer, "parametrizations"):
            norm = layer.parametrizations.weight[0]
            assert isinstance(norm, _SpectralNorm)
            matrix = norm._reshape_weight_to_matrix(layer.weight.detach())
            found.append(torch.linalg.matrix_norm(matrix.double(), 2).item())
    module.train()
    assert found, "no spectral layer"
    return found


def assert_right(network):
    assert norms(network) == [pytest.approx(1, abs=0.02)] * len(norms(network))


METHODS = {
    **{f"averaged {buffers}": [f"averaged.buffers={buffers}"] for buffers in ("average", "local", "reset")},
    **{f"parallel {buffers}": [f"averaged.buffers={buffers}", "schedule=parallel"] for buffers in ("local", "reset")},
    "parallel": ["schedule=parallel", "averaged.upload=delta", "averaged.optimizer_state=average"],
    "several steps": ["device_steps=3", "generator_steps=2"],
    "median": ["aggregation.name=median"],
    "fedgan": ["method=fedgan", "device_steps=2"],
    "mdgan": ["method=mdgan", "mdgan.swap_epochs=null"],
    "centralized": ["method=centralized", "generator_steps=2"],
}
QUICK = {
    ("averaged average", 0.999),
    ("averaged local", 0.9),
    ("averaged reset", 0.9),
    ("parallel", 0.9),
    ("fedgan", 0.999),
    ("mdgan", 0.9),
    ("centralized", 0.9),
}
CASES = [
    pytest.param(words, ema, id=f"{name}, {ema}", marks=[] if (name, ema) in QUICK else pytest.mark.nightly)
    for name, words in METHODS.items()
    for ema in (0.9, 0.98, 0.999)
]


@pytest.mark.parametrize(("words", "ema"), CASES)
def test_after_sixty_rounds_every_layer_of_every_network_has_norm_1(words, ema):
    config = as_run(tiny(*SPECTRAL, f"gan.ema={ema}", *words))
    side = play(config, [20, 20, 20] if config.devices > 1 else [60], 60)
    network = build_networks(config, SHAPE, CPU).generator
    for vector in side.generators().values():
        network.load(vector)
        assert_right(network)
    assert_right(side.networks.discriminator)


def test_measuring_a_generator_leaves_training_as_it_is():
    config = tiny(*SPECTRAL)
    worker, server = parties(config, [20, 20, 20])
    for round in (1, 2):
        message, _ = worker.update_devices(round, server.down(round), worker.devices)
        server.update(round, [message])
        server.side.generators()
    assert np.array_equal(server.side.down(3), play(config, [20, 20, 20], 2).down(3))


@pytest.mark.parametrize("buffers", ["average", "local", "reset"])
def test_devices_judge_real_and_generated_samples_by_the_same_function_from_the_first_look_on(buffers, monkeypatch):
    """At the beginning of every round, with the norms and the optimisers of the default config."""
    looks = []

    def look(networks, optimizer, round, real, fake, mix):
        discriminator = networks.discriminator
        before = discriminator.vector.clone()
        with torch.no_grad():
            first, second = (
                discriminator.module(real.values),
                discriminator.module(real.values),
            )  # each pass moves the vectors on
        discriminator.vector.copy_(before)
        looks.append((norms(discriminator), first, second))
        return (yield from discriminator_step.moves(networks, optimizer, round, real, fake, mix))

    monkeypatch.setattr("raygan.methods.local.discriminator_step", Played(look))
    play(tiny("gan.discriminator_width=8", "generator_steps=2", f"averaged.buffers={buffers}"), [20, 20, 20], 20)
    assert len(looks) == 60
    for found, first, second in looks:
        assert found == [pytest.approx(1, abs=0.02)] * 3
        assert torch.allclose(first, second, rtol=0.02, atol=0.02 * float(first.abs().max()))


def test_vectors_are_not_averaged_but_go_down_with_the_weights_that_they_follow_from():
    config = tiny(*SPECTRAL, "method=fedgan")
    worker, server = parties(config, [20, 20, 20])
    networks = server.side.networks
    assert server.side.update_size == networks.generator.num_averaged + networks.discriminator.num_averaged
    message, _ = worker.update_devices(1, server.down(1), worker.devices)
    server.update(1, [message])
    for network in (networks.generator, networks.discriminator):
        expected = build_networks(config, SHAPE, CPU).generator if network is networks.generator else None
        expected = expected or build_networks(config, SHAPE, CPU).discriminator
        expected.take_over(network.dump()[: network.num_averaged])
        assert np.array_equal(expected.dump(), network.dump())
    assert len(server.down(2)) == networks.generator.vector.numel() + networks.discriminator.vector.numel()


def test_a_file_whose_vectors_were_averaged_is_read_right(tmp_path):
    config = tiny(*SPECTRAL)
    network = build_networks(config, SHAPE, CPU).generator
    right = network.dump()
    network.derived.mul_(0.3)
    save_generator(tmp_path / "generator.safetensors", {"raw": right, "ema": network.dump()}, config.gan, SHAPE, 1)
    for weights in ("raw", "ema"):
        assert np.array_equal(read_generator(tmp_path / "generator.safetensors", weights).network.dump(), right)

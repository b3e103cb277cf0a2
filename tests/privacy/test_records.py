"""Record-level privacy: gradients of pairs against plain ones, closed forms of clip and noise, and what is refused."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from raygan.errors import RunError
from raygan.gan.conditions import Labelled
from raygan.gan.networks import build_networks
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.pairs import Clipped, private_step
from raygan.gan.steps import discriminator_gradient
from raygan.methods.averaged import Averaged
from raygan.methods.base import Shard
from raygan.methods.local import local_batches
from raygan.rng import Role
from raygan.round.checks import method_of
from raygan.round.compute import threads
from raygan.round.simulation import try_out
from tests.errors import raises
from tests.executors.nodes import Nodes, run_on
from tests.helpers import tiny
from tests.methods.parties import CPU, IMAGES, SHAPE, parties, play

UNSAID = replace(Averaged, private_steps=False)
GROUP = ["gan.discriminator_norm=group", "gan.generator_norm=group"]
RECORD = ["privacy.name=record", *GROUP]
METHODS = {
    "averaged": [],
    "fedgan": ["method=fedgan"],
    "mdgan": ["method=mdgan"],
    "odds": ["method=mdgan", "mdgan.feedback=odds", "mdgan.swap_epochs=null", "mdgan.batches=null"],
    "centralized": ["method=centralized"],
    "a server optimiser, control variates": [
        *("server_optimizer.name=sgd", "proximal.mu=0.1", "scaffold.option=I", "averaged.weights=uniform")
    ],
}
WEIGHED = ["gan.class_weights=[1,1]", "gan.fake_classes=global"]
EVERY = pytest.mark.parametrize("words", METHODS.values(), ids=METHODS)
NETWORKS = {
    "dcgan": ["gan.discriminator_norm=group"],
    "without": ["gan.discriminator_norm=none"],
    "mlp": [
        *("gan.discriminator=mlp", "gan.generator=mlp", "gan.discriminator_norm=group"),
        "gan.discriminator_width=32",  # with a value a group, all that is left is rounding
    ],
    "resnet": ["gan.discriminator=resnet", "gan.generator=resnet", "gan.discriminator_norm=none"],
    "hinge": ["gan.discriminator_norm=group", "gan.loss=hinge"],
    "projection": [
        *("gan.discriminator_norm=group", "gan.condition=projection", "gan.fake_classes=global"),
        "gan.class_weights=[1,1,1]",
    ],
    "auxiliary": [
        *("gan.discriminator_norm=group", "gan.condition=auxiliary", "gan.fake_classes=global"),
        "gan.class_weights=[1,1,1]",
    ],
    "diffaugment": ["gan.discriminator_norm=group", "gan.augment=diffaugment"],
}


def stepped(words, clip, z, drawn=6, planned=6, paired=None):
    """The gradient of a private step, and the networks and samples that it is of."""
    config = tiny(*words)
    networks = build_networks(config, SHAPE, CPU)
    random = torch.Generator().manual_seed(1)
    real, fake = (torch.randn(count, *SHAPE, generator=random) for count in (drawn, planned))
    labels = [torch.arange(count) % 3 if networks.classes else None for count in (drawn, planned)]
    pair = Labelled(real, labels[0]), Labelled(fake, labels[1])
    paired = torch.arange(drawn) % planned if paired is None else paired
    optimizer = FlatOptimizer(config.device_optimizer, networks.discriminator)
    with threads(1), networks.chance.of(Role.DEVICE_AUGMENT, 0, 1):
        loss = private_step(networks, optimizer, 1, Clipped(clip, z), *pair, paired)
    return networks.discriminator.gradient.clone(), build_networks(config, SHAPE, CPU), pair, loss


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "diffaugment"])
def test_without_clip_and_noise_it_is_the_plain_gradient(name):
    found, networks, pair, loss = stepped(NETWORKS[name], 1e9, 0)
    with threads(1):
        expected = discriminator_gradient(networks, *pair)
    gradient = networks.discriminator.gradient
    assert (found - gradient).abs().max() < 2e-6 + 1e-5 * gradient.abs().max()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_clipped_gradients_are_those_of_each_pair_alone(name):
    """Computed one by one, scaled by hand, and added up over the planned number."""
    clip = 0.05
    found, networks, (real, fake), _ = stepped(NETWORKS[name], clip, 0, drawn=5, planned=8)
    together = torch.zeros_like(found)
    with threads(1), networks.chance.of(Role.DEVICE_AUGMENT, 0, 1):
        for place in range(5):
            one = [
                Labelled(given.values[[place]], None if given.labels is None else given.labels[[place]])
                for given in (real, fake)
            ]
            discriminator_gradient(networks, *one)
            gradient = networks.discriminator.gradient
            together += gradient * min(1, clip / float(gradient.norm()))
    assert (found - together / 8).abs().max() < 1e-6
    assert found.norm() <= 5 * clip / 8 + 1e-6


def test_one_sample_moves_the_sum_by_the_clip_at_most():
    with_it, networks, (real, fake), _ = stepped(NETWORKS["dcgan"], 0.1, 0, drawn=4, planned=4)
    optimizer = FlatOptimizer(tiny().device_optimizer, networks.discriminator)
    with threads(1), networks.chance.of(Role.DEVICE_AUGMENT, 0, 1):
        private_step(networks, optimizer, 1, Clipped(0.1, 0), real.first(3), fake, torch.arange(3))
    assert 4 * (with_it - networks.discriminator.gradient).norm() == pytest.approx(0.1, rel=1e-3)


def test_a_sample_that_is_not_finite_counts_as_nothing():
    plain, networks, (real, fake), _ = stepped(NETWORKS["dcgan"], 0.1, 0, drawn=3, planned=4)
    optimizer = FlatOptimizer(tiny().device_optimizer, networks.discriminator)
    broken = torch.cat([real.values, torch.full_like(real.values[:1], float("nan"))])
    with threads(1), networks.chance.of(Role.DEVICE_AUGMENT, 0, 1):
        loss = private_step(networks, optimizer, 1, Clipped(0.1, 0), Labelled(broken), fake, torch.arange(4))
    assert (plain - networks.discriminator.gradient).abs().max() < 1e-6
    assert loss.isfinite()


def test_no_loss_however_large_ends_a_device_for_others_to_see(monkeypatch):
    for words, ends in ((["gan.discriminator_norm=group"], True), (RECORD, False)):
        worker, server = parties(tiny(*words), [20, 20, 20])
        update = worker._side.update

        def diverged(*given, update=update):
            found, kept = update(*given)
            return replace(found, metrics={"d_loss": float("nan")}), kept

        monkeypatch.setattr(worker._side, "update", diverged)
        with raises("round 1, device 0", "not_finite", kind=RunError) if ends else nullcontext():
            _, report = worker.update_devices(1, server.down(1), [0])
    assert report.devices == {0: {}}


def test_the_noise_has_the_stated_mean_square_also_where_no_sample_is_drawn():
    words = [*NETWORKS["dcgan"], "gan.discriminator_width=16"]
    noise, *_ = stepped(words, 0.5, 3, drawn=0, planned=8)
    square = float(noise.double().square().sum()) / (3 * 0.5 / 8) ** 2
    low, high = chi2.ppf([0.0005, 0.9995], len(noise))
    assert low < square < high


def test_each_sample_is_drawn_by_a_coin_of_its_own():
    config = tiny(*RECORD, "batch_size=8")
    side = method_of(config).device(config, SHAPE, CPU)
    counts, seen = [], np.zeros(40)
    for round in range(1, 201):
        with local_batches(side, Shard(0, IMAGES[:40]), round) as batches:
            batch = next(batches)
        counts.append(len(batch.real.values))
        seen[: len(batch.paired)] += 1
        assert len(batch.latents.values) == 8
        assert batch.mix is None
    assert np.mean(counts) == pytest.approx(8, abs=0.7)
    assert np.var(counts) == pytest.approx(40 * 0.2 * 0.8, rel=0.35)


def test_a_shard_of_a_batch_is_taken_whole():
    config = tiny(*RECORD, "batch_size=8")
    side = method_of(config).device(config, SHAPE, CPU)
    with local_batches(side, Shard(0, IMAGES[:5]), 1) as batches:
        batch = next(batches)
    assert torch.equal(batch.paired, torch.arange(5))
    assert len(batch.latents.values) == 5


@EVERY
def test_packing_and_restored_states_change_no_byte(words):
    config = tiny(*RECORD, *words)
    sizes = [60] if "method=centralized" in words else [20, 30, 10]
    straight = play(config, sizes, 4)
    assert not np.array_equal(straight.down(5), play(tiny(*GROUP, *words), sizes, 4).down(5))
    worker, server = parties(config, sizes)
    for round in range(1, 5):
        if round == 3:
            states, state = worker.states(), server.side.state()
            worker, server = parties(config, sizes)
            worker.restore(states)
            server.side.restore(state)
        down = server.down(round)
        groups = [[device] for device in reversed(worker.devices)]
        messages = [worker.update_devices(round, down, group) for group in groups]
        assert all(metrics == {} for _, report in messages for metrics in report.devices.values())
        server.update(round, [message for message, _ in messages])
    assert all(np.array_equal(value, straight.state()[name]) for name, value in server.side.state().items())


@pytest.mark.parametrize("name", ["averaged", pytest.param("mdgan", marks=pytest.mark.slow)])
def test_packing_and_nodes_change_no_byte(name, tmp_path):
    pytest.importorskip("dp_accounting", reason="needs pip install 'raygan[privacy]'")
    few = ["devices=6", "rounds=4", "eval.every=4", "eval.metrics=[]", "checkpoint.every=2"]
    config = tiny(*few, *RECORD, *METHODS[name])
    ends = {
        run_on(Nodes(config, nodes), config, tmp_path / f"{together} on {nodes}", together).generator.read_bytes()
        for together, nodes in ((1, 2), (2, 1), (6, 1))
    }
    assert len(ends) == 1


@pytest.mark.parametrize(
    ("words", "key", "advice"),
    [
        (["gan.discriminator_norm=batch"], "gan.discriminator_norm", "group"),
        (["gan.discriminator_norm=spectral"], "gan.discriminator_norm", "group"),
        (["gan.loss=relativistic"], "gan.loss", "real samples"),
        (["gan.loss=wgan_gp"], "gan.loss", "penalty"),
        (["gan.condition=auxiliary", "gan.auxiliary_loss=d2d_ce", *WEIGHED], "gan.auxiliary_loss", "cross_entropy"),
        (["gan.r1=1"], "gan.r1", "0"),
        (["gan.r2=1"], "gan.r2", "0"),
        (["gan.augment=ada"], "gan.augment", "diffaugment"),
        (["gan.condition=projection"], "gan.class_weights", "weights"),
        (["gan.condition=projection", "gan.class_weights=[1,1]"], "gan.fake_classes", "global"),
        (["method=mdgan", "device_steps=2"], "device_steps", "1"),
        (["schedule=asynchronous"], "schedule", "how often"),
        (["selection.name=balanced", "selection.count=2"], "selection.name", "poisson"),
        (["privacy.clip=null"], "privacy.clip", "number"),
        (["privacy.noise_multiplier=0", "privacy.target_epsilon=3"], "privacy", "noise"),
    ],
)
def test_what_is_not_of_one_sample_is_refused_by_its_key(words, key, advice):
    with raises(key, None, advice):
        tiny(*RECORD, *words)


class Crowded(torch.nn.Module):
    """Judges a sample by the others of its batch, as far as it says."""

    def __init__(self, shape, gan):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, samples):
        return self.weight * samples.flatten(1).mean(dim=1)


@pytest.mark.parametrize(
    ("words", "key", "advice"),
    [
        (["method=fegan"], "method", "fedgan"),
        (["method=tests.privacy.test_records:UNSAID"], "method", "private_steps"),
        (["gan.discriminator=tests.privacy.test_records:Crowded"], "gan.discriminator", "per_sample"),
    ],
)
def test_what_only_the_method_shows_is_refused_before_anything_starts(words, key, advice, digits):
    config = tiny(*RECORD, *words)
    with raises(key, "conflict", advice):
        try_out(config, *digits(config))

"""Devices side by side: the same as one by one, but for rounding, whatever the networks, losses and methods."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from raygan.config import load_config
from raygan.errors import RunError
from raygan.gan import moves as moves_module
from raygan.gan import stacked as stacked_module
from raygan.gan import transfer
from raygan.gan.conditions import Labelled
from raygan.gan.moves import alone
from raygan.gan.networks import build_networks
from raygan.gan.optimizer import FlatOptimizer, step_together
from raygan.gan.replay import Replay
from raygan.gan.stacked import why_not
from raygan.gan.steps import (
    discriminator_gradient,
    discriminator_step,
    feedback,
    generate,
    logit_feedback,
    simultaneous_step,
)
from raygan.methods.averaged import Averaged, AveragedDevice
from raygan.round.lanes import side_by_side, told_of_stacking
from raygan.round.shards import WorkerShards
from raygan.round.worker import Worker
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import parties, play, play_restored

CPU = torch.device("cpu")
LANES, BATCH = 3, 4
IMAGES = (1, 16, 16)
WIDTHS = ("gan.latent=6", "gan.generator_width=8", "gan.discriminator_width=8")
SGD = ("device_optimizer.name=sgd", "generator_optimizer.name=sgd", "device_optimizer.lr=0.1")


def architecture(name, norm="none"):
    norms = [] if name == "r3gan" else [f"gan.generator_norm={norm}", f"gan.discriminator_norm={norm}"]
    norms = norms or ["gan.generator_norm=none", "gan.discriminator_norm=none"]
    return [f"gan.generator={name}", f"gan.discriminator={name}", *norms, *WIDTHS]


NETWORKS = {
    f"{name} {norm}": architecture(name, norm)
    for name in ("mlp", "dcgan", "resnet")
    for norm in ("none", "batch", "group", "spectral")
} | {"r3gan": architecture("r3gan")}
LOSSES = {
    loss: [*architecture("dcgan", "spectral"), f"gan.loss={loss}"]
    for loss in ("minimax", "hinge", "least_squares", "wgan_gp", "relativistic")
}
PENALTIES = {
    "r1, r2": [*architecture("dcgan"), "gan.r1=0.5", "gan.r2=0.2"],
    "wgan_gp and r1, of an mlp": [*architecture("mlp", "spectral"), "gan.loss=wgan_gp", "gan.r1=0.5"],
    "lazy": [*architecture("dcgan"), "gan.r1=0.5", "gan.penalty_every=2"],
}
CONDITIONS = {
    " ".join(words): [*architecture("dcgan", "spectral"), *words]
    for words in (
        ("gan.condition=projection",),
        ("gan.condition=concat",),
        ("gan.condition=auxiliary",),
        ("gan.condition=auxiliary", "gan.auxiliary_loss=d2d_ce"),
    )
}
AUGMENTED = {f"gan.augment={kind}": [*architecture("dcgan"), f"gan.augment={kind}"] for kind in ("diffaugment", "ada")}
ALL = NETWORKS | LOSSES | PENALTIES | CONDITIONS | AUGMENTED


class Lane:
    """A GAN unlike the others, and samples for it."""

    def __init__(self, words, lane, shape=IMAGES):
        config = load_config(None, [*words, "seed=1"])
        classes = 3 if "gan.condition" in " ".join(words) else 0
        if classes:
            gan = config.gan.model_copy(update={"class_weights": (1.0,) * classes})
            config = config.model_copy(update={"gan": gan})
        self.networks = build_networks(config, shape, CPU)
        self.networks.chance.p = 1.0
        self.optimizers = [
            FlatOptimizer(config.device_optimizer, self.networks.discriminator),
            FlatOptimizer(config.generator_optimizer, self.networks.generator),
        ]
        random = torch.Generator().manual_seed(lane)
        with torch.no_grad():
            for network in (self.networks.generator, self.networks.discriminator):
                network.parameters.add_(0.05 * torch.randn(network.num_parameters, generator=random))
                network.refresh()
        labels = torch.randint(classes, (BATCH,), generator=random) if classes else None
        self.real = Labelled(torch.rand(BATCH, *shape, generator=random) * 2 - 1, labels)
        self.latents = Labelled(torch.randn(BATCH, config.gan.latent, generator=random), labels)
        self.mix = torch.rand(BATCH, generator=random) if self.networks.loss.gradient_penalty else None
        self.lane = lane

    def moves(self):
        """All kinds of passes and both steps, as moves; returns everything that they made."""
        networks = self.networks
        with networks.chance.of(24, self.lane, 1):
            fake = yield from generate.moves(networks, self.latents)
            first = yield from discriminator_gradient.moves(networks, self.real, fake, self.mix)
            gradient = networks.discriminator.gradient.clone()
            told = yield from feedback.moves(networks, fake, self.real)
            judged = yield from logit_feedback.moves(networks, fake)
            optimizers = self.optimizers
            losses = yield from simultaneous_step.moves(networks, *optimizers, 1, self.real, self.latents, self.mix)
        vectors = networks.generator.vector.clone(), networks.discriminator.vector.clone()
        return [fake.values, first, gradient, *told, *judged, *losses, *vectors]


def close(one, other):
    """As 1e-5 of what is largest: values that are 0 but for rounding have no relative error."""
    assert one.shape == other.shape
    return bool((one - other).abs().max() <= 1e-5 * max(1.0, float(other.abs().max())))


@pytest.mark.parametrize("name", ALL)
def test_passes_and_steps_are_those_of_one_by_one(name):
    words = [*ALL[name], *SGD]
    together = side_by_side([Lane(words, lane).moves() for lane in range(LANES)], ["here"] * LANES, Replay(False))
    for lane, made in enumerate(together):
        expected = alone(Lane(words, lane).moves())
        assert all(close(*pair) for pair in zip(made, expected, strict=True))
        assert not close(made[2], together[lane - 1][2])


class Linear(nn.Module):
    """D(x) = w x, from w = 0."""

    per_sample = True
    stackable = True

    def __init__(self, shape, gan):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def forward(self, points):
        return points @ self.weight


def test_a_step_of_linear_networks_is_exactly_that_by_hand():
    """At w = 0 the gradient of the non-saturating loss is half of the mean fake less half of the mean real point."""
    words = ["gan.generator=mlp", "gan.discriminator=tests.round.test_lanes:Linear", *WIDTHS, *SGD]
    config = load_config(None, [*words, "device_optimizer.lr=0.25", "device_optimizer.momentum=0"])
    updates, expected, all_networks = [], [], []
    for lane in range(LANES):
        networks = build_networks(config, (2,), CPU)
        real, fake = torch.full((4, 2), 2.0 + lane), torch.tensor([[0.0, 1.0]]).repeat(4, 1) * lane
        optimizer = FlatOptimizer(config.device_optimizer, networks.discriminator)
        updates.append(discriminator_step.moves(networks, optimizer, 1, Labelled(real), Labelled(fake)))
        expected.append(0.25 * (real[0] - fake[0]) / 2)
        all_networks.append(networks)
    losses = side_by_side(updates, ["here"] * LANES, Replay(False))
    for loss, networks, step in zip(losses, all_networks, expected, strict=True):
        assert torch.equal(networks.discriminator.vector, step)
        assert float(loss) == pytest.approx(2 * np.log(2))


@pytest.mark.parametrize("words", [[], SGD, [*SGD, "device_optimizer.momentum=0.9"]], ids=["adam", "sgd", "momentum"])
def test_optimisers_step_together_to_the_bits_of_one_by_one(words):
    """Also where they have taken different numbers of steps."""
    config = load_config(None, [*architecture("mlp"), *words])
    both = [[], []]
    for optimizers in both:
        for lane in range(LANES):
            networks = build_networks(config, (2,), CPU)
            optimizer = FlatOptimizer(config.device_optimizer, networks.discriminator)
            random = torch.Generator().manual_seed(lane)
            networks.discriminator.gradient.copy_(torch.randn(networks.discriminator.num_parameters, generator=random))
            for _ in range(lane):
                optimizer.step(1)
            optimizers.append(optimizer)
    step_together(both[0], 1)
    for optimizer in both[1]:
        optimizer.step(1)
    for one, other in zip(*both, strict=True):
        assert torch.equal(one.vector, other.vector)
        assert torch.equal(one.network.vector, other.network.vector)


def test_networks_of_ones_own_are_stacked_if_they_say_that_they_can_be():
    config = load_config(None, ["gan.generator=mlp", "gan.discriminator=tests.round.test_lanes:Linear"])
    networks = build_networks(config, (2,), CPU)
    assert why_not(config.gan, networks) is None
    networks.discriminator.module.stackable = False
    assert "gan.discriminator=tests.round.test_lanes:Linear" in why_not(config.gan, networks)


FEDGAN = ["method=fedgan", "fedgan.optimizer_state=keep"]
METHODS = {
    "averaged": ["averaged.optimizer_state=keep"],
    "batch": ["gan.discriminator_norm=batch", "averaged.buffers=local"],
    "deltas": ["averaged.upload=delta", "compression.name=topk"],
    "average": ["averaged.optimizer_state=average", "device_steps=2"],
    "fedgan": FEDGAN,
    "fegan": ["method=fegan"],
    "mdgan": ["method=mdgan", "mdgan.swap_epochs=null", "mdgan.batches=2"],
    "odds": ["method=mdgan", "mdgan.feedback=odds", "mdgan.swap_epochs=null"],
    "forgiving": ["method=mdgan", "mdgan.feedback=forgiving", "mdgan.swap_epochs=null"],
    "adaptive": ["method=mdgan", "mdgan.feedback=adaptive", "mdgan.swap_epochs=null"],
    "scaffold": [*FEDGAN, "scaffold.option=I", "fedgan.weights=uniform"],
    "proximal": ["proximal.mu=0.1", "device_steps=2"],
    "ada": ["gan.augment=ada"],
    "lazy penalty": ["gan.r1=0.1", "gan.penalty_every=2", "device_steps=3"],
    "private": ["privacy.name=user"],
}


class DrawingDevice(AveragedDevice):
    """Draws from torch's own random state."""

    def moves(self, shard, round, down, state):
        update, kept = yield from super().moves(shard, round, down, state)
        return replace(update, vector=update.vector + float(torch.rand(()))), kept


DRAWING = replace(Averaged, device=DrawingDevice)
SIZES = [17, 17, 3, 12, 11]
"""One of a smaller batch; with groups of two, one device has no other."""


def stacked(words, *more):
    return tiny("devices=5", "engine.stacked=2", "engine.devices_per_actor=6", *words, *more)


@pytest.mark.parametrize("words", [*METHODS.values(), ["method=tests.round.test_lanes:DRAWING"]], ids=[*METHODS, "own"])
def test_who_holds_the_devices_and_a_restored_state_change_no_bit(words):
    config = stacked(words)
    straight, restored = play(config, SIZES, 3), play_restored(config, SIZES, 3, before=2)
    apart = play_apart(config, SIZES, 3, together=4)
    for other in (restored, apart):
        assert all(np.array_equal(value, straight.state()[name]) for name, value in other.state().items())


@pytest.mark.parametrize("name", METHODS)
def test_a_round_is_that_of_one_by_one(name):
    words = [*METHODS[name], *SGD]
    if name == "average":
        words = METHODS[name]
    worker, server = parties(stacked(words), SIZES)
    other, _ = parties(stacked(words, "engine.stacked=1"), SIZES)
    down = server.down(1)
    updates = {}
    for one in (worker, other):
        lanes = one._lanes.answers(one.devices, one.shards, 1, down, {})
        updates[one] = [answered or one._side.update(one.shards[device], 1, down, {}) for device, answered in lanes]
    for (mine, kept), (theirs, keeps) in zip(updates[worker], updates[other], strict=True):
        assert close(torch.from_numpy(mine.vector), torch.from_numpy(theirs.vector))
        assert mine.weight == theirs.weight
        assert mine.metrics == pytest.approx(theirs.metrics, rel=1e-4, abs=1e-5)
        assert kept.keys() == keeps.keys()


def play_apart(config, sizes, rounds, together):
    """As `play`, by workers of so many devices."""
    whole, server = parties(config, sizes)
    workers = []
    for start in range(0, len(sizes), together):
        devices = range(start, min(start + together, len(sizes)))
        offsets = whole.shards.offsets[devices.start : devices.stop + 1]
        shards = WorkerShards(devices, whole.shards.samples[offsets[0] : offsets[-1]], offsets - offsets[0])
        workers.append(Worker(config, whole._problem, shards, CPU))
    for round in range(1, rounds + 1):
        down = server.down(round)
        server.update(round, [worker.update_devices(round, down, worker.devices)[0] for worker in workers])
    return server.side


def test_an_update_of_ones_own_is_not_stacked_and_said():
    config = stacked(["method=tests.own:sends_nan"])
    assert "not made of moves" in told_of_stacking(config, IMAGES)
    assert "gan.precision=bfloat16" in told_of_stacking(stacked(["gan.precision=bfloat16"]), IMAGES)
    assert told_of_stacking(stacked([]), IMAGES) is None
    assert told_of_stacking(tiny("method=tests.own:sends_nan"), IMAGES) is None


def test_where_no_two_devices_ever_update_together_it_is_said():
    for words in (["devices=1"], ["schedule=asynchronous", "asynchronous.buffer=1"]):
        assert "no two devices" in told_of_stacking(stacked(words), IMAGES)
    assert told_of_stacking(stacked(["schedule=asynchronous", "asynchronous.buffer=2"]), IMAGES) is None


def test_there_are_as_many_sides_as_the_largest_group_that_has_updated():
    config = stacked(["engine.stacked=5", "engine.devices_per_actor=5"])
    worker, server = parties(config, SIZES)
    worker.update_devices(1, server.down(1), [1, 3])
    assert len(worker._lanes._sides) == 2


def test_networks_of_a_group_are_computed_on_where_they_lie(monkeypatch):
    config = stacked(["engine.stacked=3", "engine.devices_per_actor=3"])
    worker, server = parties(config, SIZES)
    views = []
    in_rows = stacked_module._in_rows

    def watched(vectors):
        rows = in_rows(vectors)
        views.append([row.data_ptr() for row in rows] == [vector.data_ptr() for vector in vectors])
        return rows

    monkeypatch.setattr(stacked_module, "_in_rows", watched)
    worker.update_devices(1, server.down(1), [0])  # alone, where it was built
    assert views == []
    worker.update_devices(2, server.down(2), [0, 1, 2])
    assert views
    assert all(views)


@pytest.mark.parametrize("words", [[], ["averaged.optimizer_state=keep"], ["method=fedgan"], ["method=mdgan"]])
def test_a_group_is_waited_for_once(monkeypatch, words):
    config = stacked(["engine.stacked=3", "engine.devices_per_actor=3", *words])
    worker, server = parties(config, SIZES)
    down, read = server.down(1), []
    worker.update_devices(1, down, [0, 1, 2])  # sides are built
    here = moves_module.here

    def watched(tensors):
        read.append(len(tensors))
        return here(tensors)

    for module in (moves_module, stacked_module, transfer):
        monkeypatch.setattr(module, "here", watched)
    worker.update_devices(2, down, [0, 1, 2])
    assert len(read) == 1


def test_rows_that_do_not_lie_side_by_side_are_copied():
    table = torch.arange(12.0).view(4, 3)
    for rows in ([0, 1, 3], [1, 0], [2, 2]):
        found = stacked_module._in_rows([table[row] for row in rows])
        assert torch.equal(found, table[rows])
        assert found.data_ptr() != table[rows[0]].data_ptr()
    for rows in ([0, 1, 2, 3], [1, 2], [0, 2]):
        found = stacked_module._in_rows([table[row] for row in rows])
        assert torch.equal(found, table[rows])
        assert found.data_ptr() == table[rows[0]].data_ptr()
    apart = [torch.zeros(3), torch.ones(3)]
    assert torch.equal(stacked_module._in_rows(apart), torch.stack(apart))


def test_groups_must_share_an_actor():
    with raises("engine.stacked", None, "devices_per_actor", "multiple of 4"):
        tiny("devices=10", "engine.stacked=4", "engine.devices_per_actor=6")
    tiny("devices=10", "engine.stacked=4", "engine.devices_per_actor=8")
    tiny("devices=6", "engine.stacked=4", "engine.devices_per_actor=6")


def test_devices_that_fail_are_named():
    config = stacked([])
    worker, server = parties(config, SIZES)
    with pytest.raises(RunError, match="round 1, device 0: "):
        worker.update_devices(1, server.down(1)[:5], worker.devices)

"""Batches for a device's local steps: its samples, and noise from its random streams."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raygan.config.privacy import RecordLevel
from raygan.config.tree import Config
from raygan.gan.batches import as_seen, draw_batch
from raygan.gan.conditions import Labelled
from raygan.gan.moves import Moves, Played
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.pairs import Clipped, private_simultaneous_step, private_step
from raygan.gan.steps import discriminator_step, generate, simultaneous_step
from raygan.gan.transfer import uploaded
from raygan.methods.base import DeviceSide, Shard
from raygan.methods.inputs import global_classes
from raygan.rng import Role, noise, stream, torch_seeded

_TOGETHER = 64  # steps whose batches are sent to a GPU together


@dataclass(frozen=True)
class Batch:
    """The batch of one local step: real samples (N, *shape), latent points (N, latent), penalty places (N,) or None."""

    real: Labelled
    latents: Labelled
    mix: Tensor | None
    paired: Tensor | None = None
    """With record-level privacy, (N,) int64: the place of the fake that each real sample is paired with. The latent
    points are then as many as are planned, whatever N was drawn."""


@contextmanager
def local_batches(side: DeviceSide, shard: Shard, round: int, steps: int | None = None) -> Iterator[Iterator[Batch]]:
    """Yields endless batches for one device's round. Inside the block, torch's random state is also the device's, and
    its stream augments the steps. Beside other devices' steps torch's random state is the group's.

    `steps` is the number of batches that will be used (None: `device_steps`). On a GPU that holds the samples, the
    draws of all of them are copied at once.
    """
    steps = side.config.device_steps if steps is None else steps
    together = 1 if side.torch_device.type == "cpu" else min(steps, _TOGETHER)
    chance, key = side.networks.chance, (shard.device, round)
    with (
        torch_seeded(side.config.seed, Role.DEVICE_TORCH, *key) if chance.alone else nullcontext(),
        chance.of(Role.DEVICE_AUGMENT, *key),
    ):
        if isinstance(side.config.privacy, RecordLevel):
            yield _poisson_batches(side, shard, round)
        else:
            yield _batches(side, shard, round, together)


def _batches(side: DeviceSide, shard: Shard, round: int, together: int) -> Iterator[Batch]:
    config, device, key = side.config, side.torch_device, (shard.device, round)
    choices = stream(config.seed, Role.DEVICE_BATCH, *key)
    latents = stream(config.seed, Role.DEVICE_NOISE, *key)
    penalised, anyones = side.networks.loss.gradient_penalty, config.gan.fake_classes == "global"
    mixes = stream(config.seed, Role.DEVICE_PENALTY, *key) if penalised else None
    of_fakes = stream(config.seed, Role.DEVICE_CLASSES, *key) if anyones else None
    size = planned_batch(config, len(shard.samples))
    while True:
        chosen = np.stack([draw_batch(len(shard.samples), size, choices) for _ in range(together)])
        z = _each(noise(latents, together * size, config.gan.latent, device), size)
        mix: Sequence[Tensor | None] = [None] * together
        if mixes is not None:
            mix = _each(uploaded(mixes.random(together * size, dtype=np.float32), device), size)
        labels = list(shard.classes(chosen, device))
        fake_labels = labels
        if of_fakes is not None:
            fake_labels = [global_classes(config, of_fakes, size, device) for _ in range(together)]
        real = map(Labelled, map(as_seen, shard.taken(chosen, device)), labels)
        yield from map(Batch, real, map(Labelled, z, fake_labels), mix)


def _poisson_batches(side: DeviceSide, shard: Shard, round: int) -> Iterator[Batch]:
    """Yields batches that each sample is in by a coin of its own, so of any size, and fakes of classes of all data."""
    config, device, key = side.config, side.torch_device, (shard.device, round)
    coins = stream(config.seed, Role.DEVICE_BATCH, *key)
    latents = stream(config.seed, Role.DEVICE_NOISE, *key)
    of_fakes = stream(config.seed, Role.DEVICE_CLASSES, *key)
    size = planned_batch(config, len(shard.samples))
    while True:
        chosen = np.flatnonzero(coins.random(len(shard.samples)) < size / len(shard.samples))
        z = Labelled(noise(latents, size, config.gan.latent, device), global_classes(config, of_fakes, size, device))
        (values,), (labels,) = shard.taken(chosen[None], device), shard.classes(chosen[None], device)
        yield Batch(Labelled(as_seen(values), labels), z, None, uploaded(chosen % size, device))


def planned_batch(config: Config, samples: int) -> int:
    """Returns the size of a device's batches: with record-level privacy on average, and what their sums are divided by.

    The number of samples of a device is no secret: it sets how often each of them is drawn.
    """
    return min(config.batch_size, samples)


def _each(drawn: Tensor, size: int) -> Sequence[Tensor]:
    """Returns batches of a size, each at the start of its own memory: libraries choose kernels by memory layout."""
    return [drawn] if len(drawn) == size else [batch.clone() for batch in drawn.split(size)]


@Played
def discriminator_steps(
    side: DeviceSide, optimizer: FlatOptimizer, round: int, batches: Iterable[Batch]
) -> Moves[list[Tensor]]:
    """Take a step of the discriminator on each batch, against fakes of the generator; returns the losses."""
    losses = []
    for batch in batches:
        fake = yield from generate.moves(side.networks, batch.latents)
        losses.append((yield from local_step.moves(side, optimizer, round, batch, fake)))
    return losses


@Played
def local_step(side: DeviceSide, optimizer: FlatOptimizer, round: int, batch: Batch, fake: Labelled) -> Moves[Tensor]:
    """Take a step of the discriminator on a batch, with record-level privacy if that is set; returns the loss."""
    if batch.paired is None:
        return (yield from discriminator_step.moves(side.networks, optimizer, round, batch.real, fake, batch.mix))
    return private_step(side.networks, optimizer, round, _clipped(side), batch.real, fake, batch.paired)


@Played
def local_simultaneous_step(
    side: DeviceSide, optimizers: tuple[FlatOptimizer, FlatOptimizer], round: int, batch: Batch
) -> Moves[tuple[Tensor, Tensor]]:
    """Take a step of both networks, likewise; the discriminator's optimiser is the first. Returns both losses."""
    networks = side.networks
    if batch.paired is None:
        step = simultaneous_step.moves(networks, *optimizers, round, batch.real, batch.latents, batch.mix)
        return (yield from step)
    return private_simultaneous_step(
        networks, *optimizers, round, _clipped(side), batch.real, batch.latents, batch.paired
    )


def _clipped(side: DeviceSide) -> Clipped:
    privacy = side.config.privacy
    assert isinstance(privacy, RecordLevel)  # only then are batches paired
    return Clipped(privacy.clip, privacy.noise_multiplier)


def mean(losses: Sequence[Tensor] | np.ndarray) -> float:
    """Returns the mean of a few losses. It waits for their computation, if they have not been read."""
    together = losses if isinstance(losses, np.ndarray) else torch.stack(list(losses))
    values: list[float] = together.tolist()
    return sum(values) / len(values)

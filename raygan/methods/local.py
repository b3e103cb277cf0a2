"""Batches for a device's local steps: its samples, and noise from its random streams."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raygan.gan.batches import as_seen, draw_batch
from raygan.gan.conditions import Labelled
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.steps import discriminator_step, generate
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


@contextmanager
def local_batches(side: DeviceSide, shard: Shard, round: int, steps: int | None = None) -> Iterator[Iterator[Batch]]:
    """Yields endless batches for one device's round. Inside the block, torch's random state is also the device's, and
    its stream augments the steps.

    `steps` is the number of batches that will be used (None: `device_steps`). On a GPU that holds the samples, the
    draws of all of them are copied at once.
    """
    steps = side.config.device_steps if steps is None else steps
    together = 1 if side.torch_device.type == "cpu" else min(steps, _TOGETHER)
    with (
        torch_seeded(side.config.seed, Role.DEVICE_TORCH, shard.device, round),
        side.networks.chance.of(Role.DEVICE_AUGMENT, shard.device, round),
    ):
        yield _batches(side, shard, round, together)


def _batches(side: DeviceSide, shard: Shard, round: int, together: int) -> Iterator[Batch]:
    config, device, key = side.config, side.torch_device, (shard.device, round)
    choices = stream(config.seed, Role.DEVICE_BATCH, *key)
    latents = stream(config.seed, Role.DEVICE_NOISE, *key)
    mixes = stream(config.seed, Role.DEVICE_PENALTY, *key)
    of_fakes = stream(config.seed, Role.DEVICE_CLASSES, *key)
    size = min(config.batch_size, len(shard.samples))
    while True:
        chosen = np.stack([draw_batch(len(shard.samples), size, choices) for _ in range(together)])
        z = _each(noise(latents, together * size, config.gan.latent, device), size)
        mix: Sequence[Tensor | None] = [None] * together
        if side.networks.loss.gradient_penalty:
            mix = _each(uploaded(mixes.random(together * size, dtype=np.float32), device), size)
        labels = list(shard.classes(chosen, device))
        fake_labels = labels
        if config.gan.fake_classes == "global":
            fake_labels = [global_classes(config, of_fakes, size, device) for _ in range(together)]
        real = map(Labelled, map(as_seen, shard.taken(chosen, device)), labels)
        yield from map(Batch, real, map(Labelled, z, fake_labels), mix)


def _each(drawn: Tensor, size: int) -> Sequence[Tensor]:
    """Returns batches of a size, each at the start of its own memory: libraries choose kernels by memory layout."""
    return [drawn] if len(drawn) == size else [batch.clone() for batch in drawn.split(size)]


def discriminator_steps(
    side: DeviceSide, optimizer: FlatOptimizer, round: int, batches: Iterable[Batch]
) -> list[Tensor]:
    """Take a step of the discriminator on each batch, against fakes of the generator; returns the losses."""
    networks = side.networks
    return [
        discriminator_step(networks, optimizer, round, batch.real, generate(networks, batch.latents), batch.mix)
        for batch in batches
    ]


def mean(losses: Sequence[Tensor]) -> float:
    """Returns the mean of a few losses. It waits for their computation."""
    values: list[float] = torch.stack(list(losses)).tolist()
    return sum(values) / len(values)

"""What a device's local steps draw: its own samples, and noise from its own streams."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raygan.gan.batches import as_seen, draw
from raygan.gan.transfer import uploaded
from raygan.methods.base import DeviceSide, Shard
from raygan.rng import Role, noise, stream, torch_seeded

_TOGETHER = 64  # steps whose draws are sent to a GPU together


@dataclass(frozen=True)
class Batch:
    """One local step's draw: real samples (N, *shape), latent points (N, latent), penalty places (N,) or None."""

    real: Tensor
    z: Tensor
    mix: Tensor | None


@contextmanager
def local_batches(side: DeviceSide, shard: Shard, round: int, steps: int | None = None) -> Iterator[Iterator[Batch]]:
    """Endless batches for one device's round; inside, torch's own random state is the device's too.

    `steps`: how many will be asked for (None: `device_steps`). A GPU is sent the draws of all of them at once, where
    the samples lie already.
    """
    steps = side.config.device_steps if steps is None else steps
    together = 1 if side.torch_device.type == "cpu" else min(steps, _TOGETHER)
    with torch_seeded(side.config.seed, Role.DEVICE_TORCH, shard.device, round):
        yield _batches(side, shard, round, together)


def _batches(side: DeviceSide, shard: Shard, round: int, together: int) -> Iterator[Batch]:
    config, device, key = side.config, side.torch_device, (shard.device, round)
    choices = stream(config.seed, Role.DEVICE_BATCH, *key)
    latents = stream(config.seed, Role.DEVICE_NOISE, *key)
    mixes = stream(config.seed, Role.DEVICE_PENALTY, *key)
    size = min(config.batch_size, len(shard.samples))
    while True:
        chosen = np.stack([draw(len(shard.samples), size, choices) for _ in range(together)])
        z = _each(noise(latents, together * size, config.gan.latent, device), size)
        mix: Sequence[Tensor | None] = [None] * together
        if side.networks.loss.gradient_penalty:
            mix = _each(uploaded(mixes.random(together * size, dtype=np.float32), device), size)
        yield from map(Batch, map(as_seen, shard.taken(chosen, device)), z, mix)


def _each(drawn: Tensor, size: int) -> Sequence[Tensor]:
    """Batches of a size, each at the start of memory of its own: libraries choose kernels by how numbers lie."""
    return [drawn] if len(drawn) == size else [batch.clone() for batch in drawn.split(size)]


def mean(losses: Sequence[Tensor]) -> float:
    """The mean of a few losses, which is waited for."""
    values: list[float] = torch.stack(list(losses)).tolist()
    return sum(values) / len(values)

"""What a device's local steps draw: its own samples, and noise from its own streams."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raygan.gan.batches import draw_real
from raygan.methods.base import DeviceSide, Shard
from raygan.rng import Role, noise, stream, torch_seeded


@dataclass(frozen=True)
class Batch:
    """One local step's draw: real samples (N, *shape), latent points (N, latent), penalty places (N,) or None."""

    real: Tensor
    z: Tensor
    mix: Tensor | None


@contextmanager
def local_batches(side: DeviceSide, shard: Shard, round: int) -> Iterator[Iterator[Batch]]:
    """Endless batches for one device's round; inside, torch's own random state is the device's too."""
    with torch_seeded(side.config.seed, Role.DEVICE_TORCH, shard.device, round):
        yield _draw(side, shard, round)


def _draw(side: DeviceSide, shard: Shard, round: int) -> Iterator[Batch]:
    config, key = side.config, (shard.device, round)
    batches = stream(config.seed, Role.DEVICE_BATCH, *key)
    latents = stream(config.seed, Role.DEVICE_NOISE, *key)
    mixes = stream(config.seed, Role.DEVICE_PENALTY, *key)
    while True:
        real = draw_real(shard.samples, config.batch_size, batches, side.torch_device)
        mix = None
        if side.networks.loss.gradient_penalty:
            mix = torch.from_numpy(mixes.random(len(real), dtype=np.float32)).to(side.torch_device)
        yield Batch(real, noise(latents, len(real), config.gan.latent, side.torch_device), mix)


def mean(values: Sequence[float]) -> float:
    """The mean of a few losses."""
    return sum(values) / len(values)

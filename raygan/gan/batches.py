"""Batches of real samples, in the form that the discriminator takes."""

import numpy as np
import torch
from torch import Tensor

from raygan.gan.transfer import uploaded


def draw_batch(samples: int, batch_size: int, random: np.random.Generator) -> np.ndarray:
    """Returns the indices of `batch_size` different samples (of all of them, if there are fewer), int64."""
    return random.choice(samples, min(batch_size, samples), replace=False, shuffle=False)


def draw_real(shard: np.ndarray, batch_size: int, random: np.random.Generator, device: torch.device) -> Tensor:
    """Returns `batch_size` different samples of a shard (all of them, if it has fewer), as float32.

    `shard` is (n, C, H, W) uint8, scaled to [-1, 1], or (n, d) float32, left as it is.
    """
    return as_seen(uploaded(shard[draw_batch(len(shard), batch_size, random)], device))


def as_seen(samples: Tensor) -> Tensor:
    """Returns samples as float32: uint8 pixels are scaled to [-1, 1], points stay as they are."""
    return samples.float().div_(127.5).sub_(1) if samples.dtype == torch.uint8 else samples


def to_bytes(images: Tensor) -> np.ndarray:
    """Returns images in [-1, 1] as uint8 pixels, (N, C, H, W)."""
    pixels: np.ndarray = images.add(1).mul(127.5).round().clamp(0, 255).byte().cpu().numpy()
    return pixels

"""Batches of real samples, in the form that the discriminator takes."""

import numpy as np
import torch
from torch import Tensor


def draw_batch(samples: int, batch_size: int, random: np.random.Generator) -> np.ndarray:
    """Returns the indices of `batch_size` different samples (of all of them, if there are fewer), int64."""
    return random.choice(samples, min(batch_size, samples), replace=False, shuffle=False)


def as_seen(samples: Tensor) -> Tensor:
    """Returns samples as float32: uint8 pixels are scaled to [-1, 1], points stay as they are."""
    return samples.float().div_(127.5).sub_(1) if samples.dtype == torch.uint8 else samples


def to_bytes(images: Tensor) -> np.ndarray:
    """Returns images in [-1, 1] as uint8 pixels, (N, C, H, W)."""
    pixels: np.ndarray = images.add(1).mul(127.5).round().clamp(0, 255).byte().cpu().numpy()
    return pixels

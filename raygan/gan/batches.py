"""Real samples as the discriminator sees them."""

import numpy as np
import torch
from torch import Tensor


def draw_real(shard: np.ndarray, batch_size: int, random: np.random.Generator, device: torch.device) -> Tensor:
    """`batch_size` different samples of a shard (all of them, if it has fewer), as float32.

    `shard` is (n, C, H, W) uint8, scaled to [-1, 1], or (n, d) float32, left as it is.
    """
    chosen = random.choice(len(shard), min(batch_size, len(shard)), replace=False, shuffle=False)
    samples = torch.from_numpy(shard[chosen]).to(device)
    return samples.float().div_(127.5).sub_(1) if shard.dtype == np.uint8 else samples


def to_bytes(images: Tensor) -> np.ndarray:
    """Images in [-1, 1] as uint8 pixels, (N, C, H, W)."""
    pixels: np.ndarray = images.add(1).mul(127.5).round().clamp(0, 255).byte().cpu().numpy()
    return pixels

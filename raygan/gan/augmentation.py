"""Differentiable augmentation of what a discriminator judges (DiffAugment, Zhao et al., arXiv 2006.10738).

Real and generated samples are changed alike, in the discriminator's and in the generator's steps, so the generator
does not learn the changes. What is drawn is a row of numbers per sample; the change itself is a function of samples and
rows, differentiable by the samples. Ranges and order are those of the authors' code (`DiffAugment_pytorch.py`):
brightness +-0.5, saturation times 0 to 2, contrast times 0.5 to 1.5; translation by up to an eighth of the side, and a
square of half the side cut out, both filled with 0, grey.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from raygan.config.gan import Change

_SHIFT, _CUT = 1 / 8, 1 / 2  # of the side
_ROW = 8  # brightness, saturation - 1, contrast - 1; rows and columns to shift by; corner and side of what is cut out


def draw_changes(
    policy: Sequence[Change], p: float, count: int, shape: tuple[int, ...], random: np.random.Generator
) -> np.ndarray:
    """Returns the changes of `count` images (C, H, W), a row each, float32: each change of `policy` with probability p.

    The same numbers are drawn whatever the policy and p, so a run with another p sees the same ones where both change.
    """
    drawn, height, width = random.random((count, _ROW + 2)), *shape[1:]
    applied = drawn[:, 7:10] < p
    rows = np.zeros((count, _ROW))
    if "colour" in policy:
        rows[:, :3] = (drawn[:, :3] * (1, 2, 1) - (0.5, 1, 0.5)) * applied[:, :1]
    if "translation" in policy:
        most = np.array([int(height * _SHIFT + 0.5), int(width * _SHIFT + 0.5)])
        rows[:, 3:5] = (np.floor(drawn[:, 3:5] * (2 * most + 1)) - most) * applied[:, 1:2]
    if "cutout" in policy:
        side = int(min(height, width) * _CUT + 0.5)
        centres = np.floor(drawn[:, 5:7] * (np.array([height, width]) + 1 - side % 2))
        rows[:, 5:7] = centres - side // 2
        rows[:, 7] = side * applied[:, 2]
    return rows.astype(np.float32)


def changed(images: Tensor, rows: Tensor) -> Tensor:
    """Returns images (N, C, H, W) changed by their `rows` (N, 8)."""
    brightness, saturation, contrast, *_ = rows.view(-1, _ROW, 1, 1, 1).unbind(1)
    images = images + brightness
    images = images + saturation * (images - images.mean(dim=1, keepdim=True))
    images = images + contrast * (images - images.mean(dim=(1, 2, 3), keepdim=True))
    return _cut_out(_shifted(images, rows), rows)


def _shifted(images: Tensor, rows: Tensor) -> Tensor:
    """Each image moved up and left by whole pixels; what comes in is 0."""
    height, width = images.shape[2:]
    vertical = torch.arange(height, device=images.device) + rows[:, 3:4].long()
    horizontal = torch.arange(width, device=images.device) + rows[:, 4:5].long()
    inside = _within(vertical, height)[:, :, None] & _within(horizontal, width)[:, None, :]
    places = vertical.clamp(0, height - 1)[:, :, None] * width + horizontal.clamp(0, width - 1)[:, None, :]
    taken = images.flatten(2).gather(2, places.flatten(1)[:, None].expand(-1, images.shape[1], -1))
    return taken.view(images.shape) * inside[:, None]


def _cut_out(images: Tensor, rows: Tensor) -> Tensor:
    """Each image with a square of it 0."""
    top, left, side = (rows[:, column : column + 1] for column in (5, 6, 7))
    vertical = torch.arange(images.shape[2], device=images.device)
    horizontal = torch.arange(images.shape[3], device=images.device)
    inside = ((vertical >= top) & (vertical < top + side))[:, :, None]
    inside = inside & ((horizontal >= left) & (horizontal < left + side))[:, None, :]
    return images * ~inside[:, None]


def _within(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places < size)

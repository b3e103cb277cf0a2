"""The size of images: their own or the one that is asked for."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

SIDES = (16, 28, 32, 64, 128, 256)
"""Sides of the square images that the shipped networks take (pixels)."""


def own_side(sizes: Iterable[tuple[int, int]]) -> int:
    """Returns the side for images of these sizes, any order of height and width (pixels).

    It is the largest of `SIDES` that is not above the shorter sides of half of the images; the smallest, if all are
    smaller.
    """
    middle = float(np.median([min(size) for size in sizes]))
    return max((side for side in SIDES if side <= middle), default=SIDES[0])


def resized_note(sizes: Iterable[tuple[int, int]], side: int) -> tuple[str, ...]:
    """Returns a line for the user if images of these sizes are cropped or resized to `side`, else none."""
    sizes = list(sizes)
    changed = sum(size != (side, side) for size in sizes)
    if not changed:
        return ()
    (low, high) = (min(sizes, key=min), max(sizes, key=max))
    span = f"{low[0]}x{low[1]}" if low == high else f"{low[0]}x{low[1]} to {high[0]}x{high[1]}"
    return (f"{changed:,} of {len(sizes):,} images ({span} pixels) are centre-cropped and resized to {side}x{side}",)


def resize(image: Image.Image, size: int) -> Image.Image:
    """Centre-crop to a square, then resize to `size` (bilinear with antialiasing)."""
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    square = image.crop((left, top, left + short, top + short)) if image.width != image.height else image
    return square if short == size else square.resize((size, size), Image.Resampling.BILINEAR)


def resize_all(images: np.ndarray, size: int) -> np.ndarray:
    """(N, H, W) or (N, H, W, 3) uint8 of any size to (N, C, size, size) uint8."""
    if images.shape[1:3] != (size, size):
        images = np.stack([np.asarray(resize(Image.fromarray(image), size)) for image in images])
    return np.ascontiguousarray(images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2))

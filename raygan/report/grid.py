"""Grids of images and scatter plots of points."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

_SMALLEST_SIDE = 640  # pixels; smaller grids are enlarged by an integer factor, so that each pixel is visible
_GAP = 1


def image_grid(images: np.ndarray, columns: int) -> Image.Image:
    """Returns images (N, C, H, W) uint8, C 1 or 3, in rows of `columns` on white."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, channels), 255, np.uint8)
    for index, image in enumerate(images):
        top = _GAP + index // columns * (height + _GAP)
        left = _GAP + index % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    factor = max(1, round(_SMALLEST_SIDE / max(picture.size)))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def scatter(points: np.ndarray, limit: float = 1.5) -> Image.Image:
    """Returns a plot of points (N, 2) in the square from -limit to limit."""
    from matplotlib.figure import Figure  # importing it takes a second, and only 2-D data needs it

    figure = Figure(figsize=(6, 6), dpi=100)
    axes = figure.add_axes((0.08, 0.06, 0.9, 0.9))
    axes.scatter(points[:, 0], points[:, 1], s=5, color="#c0392b", alpha=0.6)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.grid(color="#e0e0e0")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, format="PNG")

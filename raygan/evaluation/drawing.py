"""Pictures of generated samples."""

import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.evaluation.evaluator import sample_batches
from raygan.gan.batches import to_bytes
from raygan.record.folder import RunFolder
from raygan.record.generator_file import Weights, read_generator
from raygan.report.grid import image_grid, save_picture, scatter
from raygan.rng import Role


def draw_samples(config: Config, folder: Path, count: int, out: Path, weights: Weights, own: str | None) -> None:
    """Write a picture of `count` samples of the generator in a run folder.

    Raises:
        InputError: the run has no generator yet, or `out` cannot be written.
    """
    if out.suffix.lower() != ".png":
        raise InputError(f"--out: {out} is to be a picture; name it with the ending .png", code="value")
    trained = read_generator(RunFolder(folder).generator, weights, own)
    batches = sample_batches(trained.network.module, count, trained.gan.latent, config.seed, Role.SAMPLES)
    try:
        save_picture(picture_of(torch.cat(list(batches)), columns=math.isqrt(count - 1) + 1), out)
    except OSError as error:
        raise InputError(f"--out: {out} cannot be written: {error.strerror or error}", code="unreadable") from error


def picture_of(samples: Tensor, columns: int) -> Image.Image:
    """Returns a grid of images in [-1, 1], (N, C, H, W), or a scatter plot of points, (N, 2)."""
    return image_grid(to_bytes(samples), columns) if samples.dim() == 4 else scatter(samples.numpy())

"""Pictures of generated samples."""

import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from raygan.config.gan import Gan
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.evaluation.sampling import sample_batches
from raygan.gan.batches import to_bytes
from raygan.record.folder import RunFolder
from raygan.record.generator_file import Weights, read_generator
from raygan.report.grid import image_grid, save_picture, scatter
from raygan.rng import Role

_LISTED = 20


def draw_samples(
    config: Config, folder: Path, count: int, out: Path, weights: Weights, own: str | None, of: str | None = None
) -> None:
    """Write a picture of `count` samples of the generator in a run folder, all of the class `of` if one is named.

    With a class condition, each row of the picture is otherwise of one class.

    Raises:
        InputError: the run has no generator yet or no such class, or `out` cannot be written.
    """
    if out.suffix.lower() != ".png":
        raise InputError(f"--out: {out} is to be a picture; name it with the ending .png", code="value")
    trained = read_generator(RunFolder(folder).generator, weights, own)
    columns = math.isqrt(count - 1) + 1
    if of is None:
        labels = rows_of_classes(trained.gan, count, columns)
    else:
        labels = torch.full((count,), _class_number(of, trained.gan, folder))
    batches = sample_batches(trained.network.module, count, trained.gan, config.seed, Role.SAMPLES, labels)
    try:
        save_picture(picture_of(torch.cat(list(batches)), columns), out)
    except OSError as error:
        raise InputError(f"--out: {out} cannot be written: {error.strerror or error}", code="unreadable") from error


def rows_of_classes(gan: Gan, count: int, columns: int) -> Tensor | None:
    """Returns the classes of a picture whose rows are of one class each, (count,) int64; None without a condition."""
    return torch.arange(count) // columns % gan.num_classes if gan.num_classes else None


def _class_number(named: str, gan: Gan, folder: Path) -> int:
    """Returns the number of a class, given by its name in the data or by its number.

    Raises:
        InputError: the generator is given no classes, or has no such class.
    """
    if not gan.num_classes:
        raise InputError(
            "--class: this run's generator makes samples of no chosen class (gan.condition=none)", code="conflict"
        )
    names = RunFolder(folder).class_names()
    if named in names:
        return names.index(named)
    if named.isdecimal() and int(named) < gan.num_classes:
        return int(named)
    known = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    raise InputError(
        f"--class: {named!r} is not known; known: {known + '; or ' if known else ''}0 to {gan.num_classes - 1}",
        code="unknown",
    )


def picture_of(samples: Tensor, columns: int) -> Image.Image:
    """Returns a grid of images in [-1, 1], (N, C, H, W), or a scatter plot of points, (N, 2)."""
    return image_grid(to_bytes(samples), columns) if samples.dim() == 4 else scatter(samples.numpy())

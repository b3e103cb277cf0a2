"""Samples of a generator from fixed random streams: their latent points, and with a class condition their classes."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from raygan.config.gan import Gan
from raygan.rng import Role, classes, noise, stream

BATCH = 250
"""Samples that are generated or looked at together."""


def sample_batches(
    generator: Callable[..., Tensor],
    count: int,
    gan: Gan,
    seed: int,
    role: Role = Role.EVALUATION,
    labels: Tensor | None = None,
) -> Iterator[Tensor]:
    """Returns samples of a generator from one fixed stream of latent points.

    With a condition they are of the classes `labels`, (count,) int64, or of `drawn_classes`.
    """
    random = stream(seed, role)
    if labels is None:
        labels = drawn_classes(gan, count, seed, role)
    with torch.no_grad():
        for start in range(0, count, BATCH):
            z = noise(random, min(BATCH, count - start), gan.latent, torch.device("cpu"))
            yield generator(z) if labels is None else generator(z, labels[start : start + len(z)])


def drawn_classes(gan: Gan, count: int, seed: int, role: Role = Role.EVALUATION) -> Tensor | None:
    """Returns classes as the server draws them, (count,) int64, the same each time; None without a condition."""
    random = stream(seed, role, device=1)
    return classes(random, count, gan.class_weights, torch.device("cpu")) if gan.num_classes else None

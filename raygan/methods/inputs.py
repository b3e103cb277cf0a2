"""The inputs of generators that do not go by a device: classes of the whole data, and the points of statistics."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from raygan.config.tree import Config
from raygan.rng import Role, classes, noise, stream

_STATISTICS_BATCHES, _STATISTICS_BATCH = 10, 250  # latent points, over which statistics are recomputed


def statistics_latents(config: Config, device: torch.device) -> Iterator[tuple[Tensor, ...]]:
    """Yields the generator's inputs over which its statistics are recomputed: the same in every round."""
    random, of_classes = stream(config.seed, Role.STATISTICS), stream(config.seed, Role.STATISTICS, device=1)
    for _ in range(_STATISTICS_BATCHES):
        z = noise(random, _STATISTICS_BATCH, config.gan.latent, device)
        labels = global_classes(config, of_classes, _STATISTICS_BATCH, device)
        yield (z,) if labels is None else (z, labels)


def global_classes(config: Config, random: np.random.Generator, count: int, device: torch.device) -> Tensor | None:
    """Returns the classes of `count` samples that the server generates, (count,) int64; None without a condition."""
    return classes(random, count, config.gan.class_weights, device) if config.gan.num_classes else None

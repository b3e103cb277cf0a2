"""Membership inference against a trained generator and its discriminator, for each device's held-out samples.

`data.held_out` keeps a part of every device's samples back from training: of the same source as the rest, so that an
attack that tells the two apart has found what was trained on, and not what a device holds.
"""

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from raygan.config.tree import Config
from raygan.data import ImageSet, parted
from raygan.evaluation.evaluator import real_batches
from raygan.gan.networks import build_networks
from raygan.metrics.membership import auc_of, nearness

MOST = 500
"""Maximum number of samples of either kind that are tried of a device."""

Score = Callable[[np.ndarray], np.ndarray]
"""Maps the indices of samples (N,) to their scores (N,)."""


def membership(
    config: Config, images: ImageSet, generated: Tensor, discriminator: np.ndarray | None, devices: int
) -> dict[str, object]:
    """Returns how well members are told from held-out samples, over the first devices together and for each of them.

    `generated` (M, *shape) are the samples that the attack sees; `discriminator` is the global one's vector, if there
    is one. Returns nothing without `data.held_out`.
    """
    if not config.data.held_out:
        return {}
    members, others = parted(images, config)
    rows = generated.flatten(1)
    scores: dict[str, Score] = {"nearest": lambda chosen: nearness(_pixels(images, chosen).flatten(1), rows)}
    if discriminator is not None:
        scores["discriminator"] = _logits(config, images, discriminator)
    which = range(min(len(members), devices))
    tried = [(_some(members[device]), _some(others[device])) for device in which]
    found = {name: _attacked(score, tried) for name, score in scores.items()}
    counts = {"members": sum(len(one) for one, _ in tried), "others": sum(len(other) for _, other in tried)}
    return {"membership": {"held_out": config.data.held_out, "samples": len(generated), **counts, **found}}


def _attacked(score: Score, tried: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, object]:
    """Returns the areas of one attack: over all devices, and by device."""
    scores = [(score(members), score(others)) for members, others in tried]
    areas = [auc_of(*one) for one in scores]
    whole = auc_of(*(np.concatenate(one) for one in zip(*scores, strict=True)))
    return {
        "all": None if whole is None else asdict(whole),
        "devices": [None if area is None else asdict(area) for area in areas],
    }


def _some(indices: np.ndarray) -> np.ndarray:
    """Returns at most `MOST` of these, evenly spread."""
    places = np.linspace(0, len(indices) - 1, min(len(indices), MOST)).astype(np.int64)
    return indices[places]


def _pixels(images: ImageSet, chosen: np.ndarray) -> Tensor:
    batches = list(real_batches(images.images[chosen]))
    return torch.cat(batches) if batches else torch.empty(0, *images.shape)


def _logits(config: Config, images: ImageSet, vector: np.ndarray) -> Score:
    """Returns the attack by the discriminator's logits in evaluation mode (LOGAN, arXiv 1705.07663)."""
    networks = build_networks(config, images.shape, torch.device("cpu"))
    networks.discriminator.load(np.array(vector))
    networks.discriminator.module.eval()

    def score(chosen: np.ndarray) -> np.ndarray:
        labels = torch.from_numpy(images.labels[chosen]) if networks.classes else None
        if not len(chosen):
            return np.empty(0, np.float32)
        with torch.no_grad():
            return networks.logits(_pixels(images, chosen), labels).numpy()

    return score

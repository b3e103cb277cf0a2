"""Class conditions of networks: where the class of a sample enters, and what a discriminator says of classes.

The generator is given the class as a one-hot vector beside the latent point. A discriminator is given it as one plane
per class beside the image (`concat`; Mirza and Osindero, arXiv 1411.1784), adds the score of that class to its logit
(`projection`; Miyato and Koyama, arXiv 1802.05637), or is not given it and scores all classes (`auxiliary`; Odena, Olah
and Shlens, arXiv 1610.09585). A single class conditions nothing: the networks are then those without a condition.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from raygan.config.gan import Condition


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Returns (N, classes) float32 for labels (N,) int64."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)).float()


def with_classes(values: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Returns values (N, C) or (N, C, H, W) with one more channel per class, 1 for the sample's own and else 0.

    Without classes, the values themselves.
    """
    if not classes:
        return values
    assert labels is not None  # `Networks` has checked it
    planes = one_hot(labels, classes).view(-1, classes, *[1] * (values.dim() - 2))
    return torch.cat([values, planes.expand(-1, -1, *values.shape[2:])], dim=1)


def conditioned(
    condition: Condition, logits: Tensor, scores: Tensor, labels: Tensor | None
) -> Tensor | tuple[Tensor, Tensor]:
    """Returns the answer of a discriminator that has logits (N,) and scores of all classes (N, C)."""
    if condition == "auxiliary":
        return logits, scores
    assert labels is not None  # likewise
    return logits + (scores * one_hot(labels, scores.shape[1])).sum(dim=1)


class Labelled(NamedTuple):
    """Samples (N, *shape), or latent points (N, latent) for samples, with their classes."""

    values: Tensor
    labels: Tensor | None = None
    """(N,) int64, where `gan.condition` needs them."""

    def first(self, count: int) -> "Labelled":
        """Returns the first ones."""
        return Labelled(self.values[:count], None if self.labels is None else self.labels[:count])


NOTHING = None, None
"""The fields of a `Labelled` where there is none."""


class Judged(NamedTuple):
    """What a discriminator says of N samples."""

    logits: Tensor
    """(N,): the larger, the more real."""
    class_losses: Tensor | None = None
    """(N,): the cross-entropy of its scores with the sample's class, with `gan.condition=auxiliary`."""

    def split(self, first: int) -> tuple["Judged", "Judged"]:
        """Returns what it says of the first samples, and of the rest."""
        sizes = [first, len(self.logits) - first]
        one, other = self.logits.split(sizes)
        if self.class_losses is None:
            return Judged(one), Judged(other)
        of_one, of_other = self.class_losses.split(sizes)
        return Judged(one, of_one), Judged(other, of_other)

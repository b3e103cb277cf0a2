"""Class conditions of networks: where the class of a sample enters, and what a discriminator says of classes.

The generator is given the class as a one-hot vector beside the latent point. A discriminator is given it as one plane
per class beside the image (`concat`; Mirza and Osindero, arXiv 1411.1784), adds the score of that class to its logit
(`projection`; Miyato and Koyama, arXiv 1802.05637), or is not given it and names it (`auxiliary`): it scores all
classes (Odena, Olah and Shlens, arXiv 1610.09585), or embeds the sample beside a proxy of each class (`d2d_ce`; Kang et
al., arXiv 2111.01118). A single class conditions nothing: the networks are then those without a condition.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from raygan.config.gan import Gan


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


def class_planes(gan: Gan) -> int:
    """Returns how many channels a discriminator's input has for classes."""
    return gan.num_classes if gan.condition == "concat" else 0


class ClassHead(nn.Module):
    """What a discriminator has beside the layer of its logit: one like it of the same features, for classes."""

    def __init__(self, gan: Gan, layer: Callable[[int], nn.Module]) -> None:
        """`layer` makes the layer for so many values."""
        super().__init__()
        embeds = gan.condition == "auxiliary" and gan.auxiliary_loss == "d2d_ce"
        self.names = gan.condition == "auxiliary"
        self.layer = layer(gan.d2d_size if embeds else gan.num_classes)
        self.proxies = nn.Parameter(torch.randn(gan.num_classes, gan.d2d_size)) if embeds else None

    def forward(self, logits: Tensor, features: Tensor, labels: Tensor | None) -> Tensor | tuple[Tensor, ...]:
        """Returns the discriminator's answer, given its logits (N,) and the features that they are of."""
        values: Tensor = self.layer(features).flatten(1)
        if self.proxies is not None:
            return logits, values, self.proxies
        if self.names:
            return logits, values
        assert labels is not None  # likewise
        return logits + (values * one_hot(labels, values.shape[1])).sum(dim=1)


def class_head(gan: Gan, layer: Callable[[int], nn.Module]) -> ClassHead | None:
    """Returns what a discriminator needs for `projection` and `auxiliary`, else None."""
    return ClassHead(gan, layer) if gan.num_classes > 0 and gan.condition != "concat" else None


class Named(NamedTuple):
    """What a discriminator says of the classes of N samples, with `gan.condition=auxiliary`."""

    labels: Tensor
    """(N,) int64: the classes that they are of."""
    values: Tensor
    """Scores of all C classes, (N, C), or embeddings of a size E, (N, E)."""
    proxies: Tensor | None = None
    """(C, E): what the embeddings are compared with; None with scores."""


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
    named: Named | None = None

    def split(self, first: int) -> tuple["Judged", "Judged"]:
        """Returns what it says of the first samples, and of the rest."""
        sizes = [first, self.logits.shape[-1] - first]
        one, other = self.logits.split(sizes, dim=-1)
        if self.named is None:
            return Judged(one), Judged(other)
        labels, values = self.named.labels.split(sizes, dim=-1), self.named.values.split(sizes, dim=-2)
        of_one, of_other = (Named(*part, self.named.proxies) for part in zip(labels, values, strict=True))
        return Judged(one, of_one), Judged(other, of_other)

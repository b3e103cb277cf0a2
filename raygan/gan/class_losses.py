"""The error of a discriminator in naming the classes of samples (`gan.condition=auxiliary`)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from raygan.config.gan import Gan
from raygan.gan.conditions import Named


@dataclass(frozen=True)
class ClassLoss:
    """An error in naming classes, and its place in the losses."""

    of: Callable[[Named], Tensor]
    """Returns a scalar."""
    of_fakes: bool
    """Whether the discriminator learns the classes of generated samples, too; the generator always has this error."""
    answers: Callable[[int, int], dict[str, tuple[int, ...]]]
    """Returns what the discriminator answers beside logits, for so many samples and classes: names and shapes."""
    weight: float = 1.0


def class_loss_of(gan: Gan) -> ClassLoss:
    """Returns the loss of `gan.auxiliary_loss`."""
    return _KINDS[gan.auxiliary_loss](gan)


def cross_entropy(named: Named) -> Tensor:
    """Returns the mean cross-entropy of scores (N, C) with the class (arXiv 1610.09585, equation 3)."""
    return F.cross_entropy(named.values, named.labels, reduction="none").mean()


def d2d_cross_entropy(named: Named, margin: float, temperature: float) -> Tensor:
    """Returns data-to-data cross-entropy (Kang et al., arXiv 2111.01118), the mean over samples i of

        -log(exp(p_i) / (exp(p_i) + sum over j of another class of exp(n_ij)))
        p_i  = min(0, cos(f_i, v_y) - margin) / temperature
        n_ij = max(0, cos(f_i, f_j) - (1 - margin)) / temperature

    with embeddings f (N, E) and the proxy v_y of the class of sample i. That the second margin is 1 less the first one
    is as in public code of it. That code also divides the terms of others, and not that of the proxy, by a number that
    depends on the batch; this is the equation without (inferred). A batch of one class has the loss 0.
    """
    assert named.proxies is not None  # the network was built for it
    embeddings, proxies = F.normalize(named.values, dim=1), F.normalize(named.proxies, dim=1)
    near = (embeddings * proxies[named.labels]).sum(dim=1)
    attracted = (near - margin).clamp_max(0) / temperature
    repelled = (embeddings @ embeddings.t() - (1 - margin)).clamp_min(0) / temperature
    others = repelled.masked_fill(named.labels[:, None] == named.labels, -torch.inf)
    return (torch.logsumexp(torch.cat([attracted[:, None], others], dim=1), dim=1) - attracted).mean()


def _of_scores(gan: Gan) -> ClassLoss:
    return ClassLoss(
        cross_entropy,
        True,
        lambda count, classes: {"the scores of all classes": (count, classes)},
        gan.auxiliary_weight,
    )


def _of_embeddings(gan: Gan) -> ClassLoss:
    return ClassLoss(
        partial(d2d_cross_entropy, margin=gan.d2d_margin, temperature=gan.d2d_temperature),
        False,
        lambda count, classes: {"embeddings": (count, gan.d2d_size), "proxies of all classes": (classes, gan.d2d_size)},
        gan.auxiliary_weight,
    )


_KINDS: dict[str, Callable[[Gan], ClassLoss]] = {"cross_entropy": _of_scores, "d2d_ce": _of_embeddings}

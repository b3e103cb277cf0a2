"""Membership inference: how well scores tell the samples that were trained on from others of the same source.

A score is larger for what looks like a member. The area under the ROC curve is the probability that a member has a
larger score than another sample; 0.5 is a coin. Its interval is Newcombe's score interval (Statistics in Medicine 25,
2006, 559-573, method 5: from general knowledge, check it before you cite it), which has a width also where the sets are
told apart without a mistake.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_AT_ONCE = 500
_NORMAL_95, _EDGE = 1.959964, 1e-9


@dataclass(frozen=True)
class Auc:
    """An area under the ROC curve with its 95 % interval, over draws of members and others for one generator."""

    auc: float
    low: float
    high: float


def auc_of(members: np.ndarray, others: np.ndarray) -> Auc | None:
    """Returns how well scores (m,) and (n,) are told apart, ties half; None if there are none of a kind."""
    from scipy.optimize import brentq  # takes half a second, and few runs need it
    from scipy.stats import rankdata

    m, n = len(members), len(others)
    if not (m and n):
        return None
    ranks = rankdata(np.concatenate([members, others]))
    auc = (float(ranks[:m].sum()) - m * (m + 1) / 2) / (m * n)

    def beyond(true: float) -> float:
        """How many standard deviations the area found is from a true one, beyond the interval's."""
        return abs(auc - true) - _NORMAL_95 * math.sqrt(_variance(true, m, n))

    low = brentq(beyond, 0.0, min(auc, 1 - _EDGE)) if auc > 0 else 0.0  # at 1 itself the variance is 0
    high = brentq(beyond, max(auc, _EDGE), 1.0) if auc < 1 else 1.0
    return Auc(auc, float(low), float(high))


def _variance(auc: float, m: int, n: int) -> float:
    """The variance of the area for a true value, of exponential scores; at 0.5 it is that of Mann and Whitney's U."""
    many = (m + n) / 2 - 1
    spread = 1 + many * (1 - auc) / (2 - auc) + many * auc / (1 + auc)
    return auc * (1 - auc) * spread / (m * n)


def nearness(samples: Tensor, generated: Tensor) -> np.ndarray:
    """Returns minus the Euclidean distance of each sample (N, D) to the nearest generated one of (M, D), (N,).

    The attack of GAN-Leaks (arXiv 1909.03935) that sees nothing but generated samples. Candidates are found by matrix
    products, which blur small distances; theirs are then computed exactly.
    """
    found = []
    for batch in samples.split(_AT_ONCE):
        nearest = generated[torch.cdist(batch, generated).argmin(dim=1)]
        found.append(-(batch - nearest).norm(dim=1))
    return torch.cat(found).numpy() if found else np.empty(0, np.float32)

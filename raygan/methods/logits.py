"""Aggregation of the logits that several discriminators give the same images; sources in `raygan.methods.feedback`."""

from typing import NamedTuple

import numpy as np


class Weighed(NamedTuple):
    """The aggregate of n devices' logits of b images."""

    logits: np.ndarray
    """(b,): l."""
    weights: np.ndarray
    """(n, b): dl/dl_j."""
    slopes: np.ndarray
    """(b,): dl/dlambda; zeros without a lambda."""


def by_odds(logits: np.ndarray, samples: np.ndarray) -> Weighed:
    """Add the odds of logits (n, b), weighed by numbers of samples, (n, b) or (n, 1).

    Where there are no samples, logit and weights are 0.
    """
    total = samples.sum(axis=0)
    known = total > 0
    shares = np.divide(samples, total, out=np.zeros(logits.shape), where=known)
    terms = logits + np.log(shares, out=np.full(logits.shape, -np.inf), where=shares > 0)
    largest = np.where(known, terms.max(axis=0), 0.0)
    weights = np.exp(terms - largest)
    total = np.where(known, weights.sum(axis=0), 1.0)
    return Weighed(largest + np.log(total), weights / total, np.zeros(len(total)))


def by_forgiveness(logits: np.ndarray) -> Weighed:
    """Take the largest of logits (n, b)."""
    largest = np.arange(len(logits))[:, None] == logits.argmax(axis=0)
    return Weighed(logits.max(axis=0), largest.astype(float), np.zeros(logits.shape[1]))


def by_softmax(logits: np.ndarray, sharpness: float) -> Weighed:
    """Take F2A's mean of logits (n, b), with `sharpness` for lambda."""
    shares = np.exp(sharpness * (logits - logits.max(axis=0)))
    shares /= shares.sum(axis=0)
    together = (shares * logits).sum(axis=0)
    further = logits - together
    return Weighed(together, shares * (1 + sharpness * further), (shares * further**2).sum(axis=0))

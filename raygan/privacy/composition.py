"""How the epsilon of equal releases adds up, by dp-accounting: Renyi divergences, or privacy loss distributions."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from raygan.privacy.releases import Release


class Composition(ABC):
    """Of one release, any number of which are composed."""

    @abstractmethod
    def __init__(self, release: Release) -> None: ...

    @abstractmethod
    def epsilon(self, releases: int, delta: float) -> float:
        """Returns epsilon of so many releases, at least 1."""


class Renyi(Composition):
    """Renyi differential privacy (arXiv 1702.07476; of sampled releases 1908.10530). Computed at once."""

    def __init__(self, release: Release) -> None:
        import dp_accounting as dp
        from dp_accounting.rdp import RdpAccountant

        event: dp.DpEvent = dp.GaussianDpEvent(release.noise)
        relation = dp.NeighboringRelation.ADD_OR_REMOVE_ONE
        if release.fixed is not None:
            event = dp.SampledWithoutReplacementDpEvent(*release.fixed, event)
            relation = dp.NeighboringRelation.REPLACE_ONE
        elif release.sampling < 1:
            event = dp.PoissonSampledDpEvent(release.sampling, event)
        accountant = RdpAccountant(neighboring_relation=relation)
        with _quiet():
            accountant.compose(event)
        self.orders: np.ndarray = accountant.orders
        self.divergences: np.ndarray = accountant.rdp
        """A release's divergence at each order."""
        if release.fixed:  # of nearly all units, the bound for a draw lies above that without one, which holds too
            self.divergences = np.minimum(self.divergences, self.orders / (2 * release.noise**2))

    def epsilon(self, releases: int, delta: float) -> float:
        """Returns epsilon by the best of the orders."""
        from dp_accounting.rdp import compute_epsilon

        with _quiet():
            epsilon, _ = compute_epsilon(self.orders, releases * self.divergences, delta)
        return float(epsilon)


class PrivacyLoss(Composition):
    """The privacy loss distribution on a grid, rounded up (arXiv 2207.04380): an upper bound, nearly exact.

    It takes the longer, the larger epsilon is. Releases of a fixed number of units are out.
    """

    def __init__(self, release: Release) -> None:
        from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

        self._one = from_gaussian_mechanism(release.noise, sampling_prob=release.sampling)

    def epsilon(self, releases: int, delta: float) -> float:
        """Returns epsilon of the composed distribution."""
        return float(self._one.self_compose(releases).get_epsilon_for_delta(delta))


COMPOSITIONS: dict[str, type[Composition]] = {"rdp": Renyi, "pld": PrivacyLoss}
"""By `privacy.accountant`."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from warning of orders that it leaves out, which costs tightness and nothing else."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)

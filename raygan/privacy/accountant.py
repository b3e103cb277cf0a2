"""The account of a private run: its epsilon after a number of rounds, by dp-accounting's RDP (arXiv 1908.10530).

A round is one Gaussian release of a clipped sum, and the generator is computed from it. How it composes depends on who
may be in it: `poisson` and `uniform` draw devices at random, which amplifies; every other selection does not. A uniform
draw of a fixed number is accounted for the replacement of a device by another, which may move the sum by 2 S, so its
noise counts half; everything else for a device that is added or removed.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from raygan.config.privacy import UserLevel
from raygan.config.simulation import Poisson, RoundRobin, Uniform
from raygan.config.tree import Config
from raygan.errors import InputError, counted
from raygan.methods.base import Method
from raygan.privacy.mechanism import planned_devices

if TYPE_CHECKING:
    from dp_accounting import DpEvent


_Round = tuple[np.ndarray, np.ndarray]
"""The orders of RDP, and a round's divergence at each."""


@dataclass(frozen=True)
class Account:
    """Epsilon and delta after some rounds."""

    epsilon: float | None
    """None: without noise there is no bound."""
    delta: float
    relation: Literal["add or remove", "replace"]
    """What the two sets of devices that are told apart differ by: one device more or less, or another in its place."""


class Accountant:
    """Computes epsilon for a config. A function of the round alone, so a resumed run has nothing to restore."""

    def __init__(self, config: Config, privacy: UserLevel, method: Method) -> None:
        """Raises InputError if dp-accounting is not installed."""
        check_accounting()
        self._config = config
        self._privacy = privacy
        self._parts = method.clipped_parts(config)
        noise = privacy.noise_multiplier
        self._round: _Round | None = self._of_one_round(noise) if noise else None

    def after(self, rounds: int) -> Account:
        """Returns the account of so many rounds."""
        relation: Literal["add or remove", "replace"] = "replace" if self._replaces else "add or remove"
        if self._round is None:
            return Account(None, self._privacy.delta, relation)
        epsilon = self._epsilon(self._round, rounds)
        return Account(epsilon if math.isfinite(epsilon) else None, self._privacy.delta, relation)

    def noise_for(self, epsilon: float, rounds: int) -> float:
        """Returns about the smallest noise multiplier, of three digits, that keeps to `epsilon` over so many rounds."""
        low, high = 0.0, 1.0
        while self._epsilon(self._of_one_round(high), rounds) > epsilon:
            low, high = high, 2 * high
        while high - low > high / 2000:
            middle = (low + high) / 2
            within = self._epsilon(self._of_one_round(middle), rounds) <= epsilon
            low, high = (low, middle) if within else (middle, high)
        digits = 2 - math.floor(math.log10(high))
        return round(math.ceil(high * 10.0**digits) / 10.0**digits, max(digits, 0))

    @property
    def _replaces(self) -> bool:
        return isinstance(self._config.selection, Uniform) and self._sampled

    @property
    def _sampled(self) -> bool:
        return planned_devices(self._config) < self._config.devices

    def _epsilon(self, one: _Round, rounds: int) -> float:
        from dp_accounting.rdp import compute_epsilon

        if rounds == 0:
            return 0.0
        with _quiet():
            epsilon, _ = compute_epsilon(one[0], self._turns(rounds) * one[1], self._privacy.delta)
        return float(epsilon)

    def _turns(self, rounds: int) -> int:
        """Returns the number of rounds that count: with `round_robin` those that one device is in, at most."""
        if isinstance(self._config.selection, RoundRobin):
            return -(-rounds * planned_devices(self._config) // self._config.devices)
        return rounds

    def _of_one_round(self, noise_multiplier: float) -> _Round:
        """Returns the orders of RDP, and a round's divergence at each."""
        import dp_accounting
        from dp_accounting.rdp import RdpAccountant

        relations = dp_accounting.NeighboringRelation
        relation = relations.REPLACE_ONE if self._replaces else relations.ADD_OR_REMOVE_ONE
        accountant = RdpAccountant(neighboring_relation=relation)
        with _quiet():
            accountant.compose(self._event(noise_multiplier))
        orders, one = accountant.orders, accountant.rdp
        if self._replaces:  # of nearly all devices, the bound for a draw lies above that without one, which holds too
            one = np.minimum(one, orders / (2 * (self._noise(noise_multiplier) / 2) ** 2))
        return orders, one

    def _noise(self, noise_multiplier: float) -> float:
        """Returns the noise over what one device can add: parts clipped one by one make sqrt(parts) times the clip."""
        return noise_multiplier / math.sqrt(self._parts)

    def _event(self, noise_multiplier: float) -> "DpEvent":
        """Returns the event of one round."""
        import dp_accounting

        noise = self._noise(noise_multiplier)
        count, devices = planned_devices(self._config), self._config.devices
        if isinstance(self._config.selection, Poisson) and self._sampled:
            return dp_accounting.PoissonSampledDpEvent(count / devices, dp_accounting.GaussianDpEvent(noise))
        if self._replaces:
            half = dp_accounting.GaussianDpEvent(noise / 2)
            return dp_accounting.SampledWithoutReplacementDpEvent(devices, count, half)
        return dp_accounting.GaussianDpEvent(noise)


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


def accountant_of(config: Config, method: Method) -> Accountant | None:
    """Returns the accountant of a config, or None if it has no privacy."""
    return Accountant(config, config.privacy, method) if isinstance(config.privacy, UserLevel) else None


def check_accounting() -> None:
    """Raise InputError if dp-accounting is not installed."""
    if find_spec("dp_accounting") is None:
        raise InputError(
            "privacy.name: user is accounted for by dp-accounting; pip install 'raygan[privacy]'", code="package"
        )


def over_budget(config: Config, accountant: Accountant) -> str | None:
    """Returns why a run would exceed `privacy.target_epsilon`, and which noise would not, or None."""
    target = getattr(config.privacy, "target_epsilon", None)
    if target is None:
        return None
    found = accountant.after(config.rounds).epsilon
    if found is not None and found <= target:
        return None
    enough = accountant.noise_for(target, config.rounds)
    return (
        f"privacy.target_epsilon: {config.rounds} rounds come to {found if found is None else f'{found:.3g}'}, more "
        f"than {target:g}; privacy.noise_multiplier={enough:g} keeps to it"
    )


def in_words(account: Account, rounds: int) -> str:
    """Returns an account after so many rounds as text."""
    if account.epsilon is None:
        return "no epsilon: without noise nothing bounds what an update tells"
    than = {"add or remove": "with one device more or less", "replace": "with another device in the place of one"}
    return (
        f"epsilon {account.epsilon:.3g} at delta {account.delta:g} after {counted(rounds, 'round')}, against a run "
        f"{than[account.relation]}"
    )


def facts_of(account: Account) -> dict[str, Any]:
    """Returns an account as evaluation.json has it."""
    return {"privacy": {"epsilon": account.epsilon, "delta": account.delta, "relation": account.relation}}

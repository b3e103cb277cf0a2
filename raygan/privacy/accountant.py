"""The account of a private run: its epsilon after a number of rounds, by dp-accounting.

What is released is in `raygan.privacy.releases`, how it composes in `raygan.privacy.composition`. The generator is
computed from what is released, and costs nothing more.
"""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from raygan.config.privacy import RecordLevel, UserLevel, more_noise_on_share
from raygan.config.tree import Config
from raygan.errors import InputError, counted
from raygan.methods.base import Method
from raygan.privacy.composition import COMPOSITIONS, Composition
from raygan.privacy.releases import Relation, Releases, releases_of


@dataclass(frozen=True)
class Account:
    """Epsilon and delta after some rounds."""

    epsilon: float | None
    """None: without noise there is no bound."""
    delta: float
    relation: Relation


class Accountant:
    """Computes epsilon for a config. A function of the round alone, so a resumed run has nothing to restore."""

    def __init__(self, privacy: UserLevel | RecordLevel, releases: Releases) -> None:
        """Raises InputError if dp-accounting is not installed."""
        check_accounting(privacy.name)
        self._privacy = privacy
        self._releases = releases
        self._kept: tuple[int, float] = 0, 0.0
        noise = privacy.noise_multiplier
        self._composition = self._composed(privacy.accountant, noise) if noise else None

    def after(self, rounds: int) -> Account:
        """Returns the account of so many rounds."""
        if self._composition is None:
            return Account(None, self._privacy.delta, self._releases.relation)
        count = self._releases.count(rounds)
        if self._kept[0] != count:  # in turns, several rounds have the same
            self._kept = count, self._epsilon(self._composition, count)
        epsilon = self._kept[1]
        return Account(epsilon if math.isfinite(epsilon) else None, self._privacy.delta, self._releases.relation)

    def noise_for(self, epsilon: float, rounds: int) -> float:
        """Returns about the smallest noise multiplier, of three digits, that keeps to `epsilon` over so many rounds."""
        count, name = self._releases.count(rounds), self._privacy.accountant

        def within(noise: float, by: str = name) -> bool:
            return self._epsilon(self._composed(by, noise), count) <= epsilon

        low, high = 0.0, 1.0
        while not within(high, "rdp"):  # which comes to more, at once
            low, high = high, 2 * high
        if name == "pld":  # slow where noise is small, so from above
            low = high / 1.5
            while within(low):
                low, high = low / 1.5, low
        while high - low > high / 2000:
            middle = (low + high) / 2
            low, high = (low, middle) if within(middle) else (middle, high)
        digits = 2 - math.floor(math.log10(high))
        return round(math.ceil(high * 10.0**digits) / 10.0**digits, max(digits, 0))

    def _composed(self, name: str, noise: float) -> Composition:
        return COMPOSITIONS[name](self._releases.one(noise))

    def _epsilon(self, composition: Composition, count: int) -> float:
        return composition.epsilon(count, self._privacy.delta) if count else 0.0


def accountant_of(config: Config, method: Method, sizes: np.ndarray) -> Accountant | None:
    """Returns the accountant of a config, or None if it has no privacy. `sizes`: samples of each device, (K,).

    Raises:
        InputError: dp-accounting is not installed, or the account would promise nothing.
    """
    releases = releases_of(config, method, sizes)
    if releases is None or not isinstance(config.privacy, UserLevel | RecordLevel):
        return None
    return Accountant(config.privacy, releases)


def check_accounting(name: str = "user") -> None:
    """Raise InputError if dp-accounting is not installed."""
    if find_spec("dp_accounting") is None:
        raise InputError(
            f"privacy.name: {name} is accounted for by dp-accounting; pip install 'raygan[privacy]'", code="package"
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
    wrong = more_noise_on_share(config, enough)
    return (
        f"privacy.target_epsilon: {config.rounds} rounds come to {found if found is None else f'{found:.3g}'}, more "
        f"than {target:g}; privacy.noise_multiplier={enough:g} keeps to it"
        + (f", with privacy.quantile_noise above {wrong:.3g}" if wrong is not None else "")
    )


def in_words(account: Account, rounds: int) -> str:
    """Returns an account after so many rounds as text."""
    if account.epsilon is None:
        return "no epsilon: without noise nothing bounds what an update tells"
    than = {
        "add or remove": "with one device more or less",
        "replace": "with another device in the place of one",
        "one sample": "with one sample more or less on the device with the fewest, the worst off",
    }
    return (
        f"epsilon {account.epsilon:.3g} at delta {account.delta:g} after {counted(rounds, 'round')}, against a run "
        f"{than[account.relation]}"
    )


def facts_of(account: Account) -> dict[str, Any]:
    """Returns an account as evaluation.json has it."""
    return {"privacy": {"epsilon": account.epsilon, "delta": account.delta, "relation": account.relation}}

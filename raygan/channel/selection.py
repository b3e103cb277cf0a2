"""Which devices take part in a round."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import numpy as np

from raygan.config.simulation import Policy, ProportionalFair, Some

Settings = TypeVar("Settings", bound=Policy)


class Selection(ABC, Generic[Settings]):
    """A policy. It is asked for every round, once and in order, so it may remember; a resumed run asks from round 1."""

    def __init__(self, policy: Settings, devices: int) -> None:
        self.policy = policy
        self.devices = devices

    @abstractmethod
    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Numbers of different devices, in any order.

        `rates` are the uplink rates of the devices if each had the band alone, (K,) bit/s; 0 of those out of reach.
        """

    def served(self, devices: np.ndarray, rates: np.ndarray) -> None:
        """Told after each `choose` who of the chosen takes part, as nobody does who is out of reach or late.

        `rates` are those that the choice was made by, (K,) bit/s.
        """


def highest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the `count` highest of `values`, highest first; of equal ones the lower place first."""
    least = np.partition(values, -count)[-count]
    candidates = np.flatnonzero(values >= least)  # all others need no sorting
    order = np.argsort(-values[candidates], kind="stable")
    return candidates[order[:count]]


class Everyone(Selection[Policy]):
    """All devices."""

    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """All."""
        return np.arange(self.devices)


class Uniform(Selection[Some]):
    """Any `count` devices, all subsets equally likely."""

    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Drawn anew."""
        return random.choice(self.devices, self.policy.count, replace=False, shuffle=False)


class RoundRobin(Selection[Some]):
    """The next `count` devices, round the circle."""

    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """In turn."""
        return ((round - 1) * self.policy.count + np.arange(self.policy.count)) % self.devices


class BestChannel(Selection[Some]):
    """The `count` highest rates; the lower number where two are equal."""

    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """By rate."""
        return highest(rates, self.policy.count)


class Fair(Selection[ProportionalFair]):
    """The `count` highest ratios of a device's rate to the moving average of the rates it was served at.

    Proportional fair scheduling (Viswanath, Tse, Laroia, IEEE T-IT 48(6), 2002, section II); who has never been
    served comes first.
    """

    def __init__(self, policy: ProportionalFair, devices: int) -> None:
        super().__init__(policy, devices)
        self._served = np.zeros(devices)

    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """By rate over past."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(rates > 0, rates / self._served, 0.0)
        return highest(ratios, self.policy.count)

    def served(self, devices: np.ndarray, rates: np.ndarray) -> None:
        """Only who took part had its rate."""
        self._served *= 1 - 1 / self.policy.window
        self._served[devices] += rates[devices] / self.policy.window

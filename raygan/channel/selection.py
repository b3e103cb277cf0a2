"""Policies that select the devices of a round."""

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

import numpy as np

from raygan.config.simulation import Policy, ProportionalFair, Some

PolicyType = TypeVar("PolicyType", bound=Policy)


class Selection(ABC, Generic[PolicyType]):
    """A selection policy. It is called once per round, in order, so it may keep state; resumed runs call it from 1."""

    may_choose_nobody: ClassVar[bool] = False
    """Whether a round may be without devices."""

    def __init__(self, policy: PolicyType, devices: int) -> None:
        self.policy = policy
        self.devices = devices

    @abstractmethod
    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Returns the numbers of the selected devices, each once, in any order.

        `rates` are the uplink rates of the devices with the whole band each, (K,) bit/s; 0 for those out of reach.
        """

    def served(self, devices: np.ndarray, rates: np.ndarray) -> None:
        """Receive the devices that take part, after each `choose`: those selected and neither out of reach nor late.

        `rates` are those that `choose` was given, (K,) bit/s.
        """


def highest(values: np.ndarray, count: int) -> np.ndarray:
    """Returns the indices of the `count` highest `values`, highest first; ties go to the lower index."""
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
    """`count` devices, all subsets equally likely."""

    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Returns a new random draw."""
        return random.choice(self.devices, self.policy.count, replace=False, shuffle=False)


class Poisson(Selection[Some]):
    """Each device with probability `count` / `devices`, independently; a round may be nobody's."""

    may_choose_nobody = True

    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Returns the devices whose draws come up."""
        return np.flatnonzero(random.random(self.devices) < self.policy.count / self.devices)


class RoundRobin(Selection[Some]):
    """The next `count` devices, in cyclic order."""

    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Returns the next devices in turn."""
        return ((round - 1) * self.policy.count + np.arange(self.policy.count)) % self.devices


class BestChannel(Selection[Some]):
    """The `count` devices with the highest rates; ties go to the lower number."""

    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Returns the devices with the highest rates."""
        return highest(rates, self.policy.count)


class Fair(Selection[ProportionalFair]):
    """The `count` devices with the highest ratio of their rate to the moving average of the rates they were served at.

    Proportional fair scheduling (Viswanath, Tse, Laroia, IEEE T-IT 48(6), 2002, section II); devices that have never
    been served come first.
    """

    def __init__(self, policy: ProportionalFair, devices: int) -> None:
        super().__init__(policy, devices)
        self._served = np.zeros(devices)

    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Returns the devices with the highest rates relative to their past."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(rates > 0, rates / self._served, 0.0)
        return highest(ratios, self.policy.count)

    def served(self, devices: np.ndarray, rates: np.ndarray) -> None:
        """Only devices that took part are counted as served."""
        self._served *= 1 - 1 / self.policy.window
        self._served[devices] += rates[devices] / self.policy.window

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
    counts_classes: ClassVar[bool] = False
    """Whether devices report once how many samples of each class they have; see `reported`."""

    def __init__(self, policy: PolicyType, devices: int) -> None:
        self.policy = policy
        self.devices = devices

    def reported(self, counts: np.ndarray) -> None:
        """Receive the number of samples of each class of every device, (K, C) int64, before the first round."""

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


class Balanced(Selection[Some]):
    """`count` devices, one after the other the next that holds the class trained least so far.

    FeGAN's balanced sampling (Guerraoui et al., Middleware 2020), as the authors' code has it: the holders of a class
    take turns, and the samples of a chosen device count as trained. Ours: turns begin with the lowest number; if all
    holders of that class are chosen already, the class trained least after it decides; and devices that miss the round
    have trained nothing.
    """

    counts_classes = True

    def reported(self, counts: np.ndarray) -> None:
        """Note who holds what."""
        self._counts = counts
        self._holders = [np.flatnonzero(of_class) for of_class in counts.T]
        self._turns = [0] * counts.shape[1]
        self._trained = np.zeros(counts.shape[1], np.int64)

    def choose(self, round: int, rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Returns devices that even out the classes; ties go to the lower class."""
        trained, chosen = self._trained.copy(), list[int]()
        while len(chosen) < self.policy.count:
            device = next(
                device
                for of_class in np.argsort(trained, kind="stable")
                if (device := self._next_holder(of_class, chosen)) is not None
            )
            chosen.append(device)
            trained += self._counts[device]
        return np.array(chosen)

    def served(self, devices: np.ndarray, rates: np.ndarray) -> None:
        """The samples of devices that took part are trained."""
        self._trained += self._counts[devices].sum(axis=0)

    def _next_holder(self, of_class: int, chosen: list[int]) -> int | None:
        """Returns the next holder of a class who is not chosen yet; None, with the turn where it was, if all are."""
        holders = self._holders[of_class]
        for _ in holders:
            device = int(holders[self._turns[of_class]])
            self._turns[of_class] = (self._turns[of_class] + 1) % len(holders)
            if device not in chosen:
                return device
        return None

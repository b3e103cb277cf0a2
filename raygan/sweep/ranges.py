"""Domains of numeric keys: drawn at random, suggested by Optuna, or perturbed by a population."""

from abc import abstractmethod
from collections.abc import Iterator
from decimal import Decimal
from math import isfinite, remainder
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import model_validator

from raygan.config.section import Section

if TYPE_CHECKING:
    from optuna import Trial

Settings = dict[str, Any]
"""Config keys by their dotted paths, with plain values."""
_FACTORS = (0.8, 1.2)
"""Factors by which a population perturbs a number (arXiv 1711.09846, section 4)."""


class Domain(Section):
    """The values of one key: a section with a single key, which is Tune's name of the domain."""

    @property
    def given(self) -> Any:
        """The value of that single key."""
        return getattr(self, self.word)

    @property
    def word(self) -> str:
        """The name of the domain, such as loguniform."""
        return next(iter(type(self).model_fields))

    @abstractmethod
    def one(self, random: np.random.Generator) -> Any:
        """Returns a random value."""

    @abstractmethod
    def draw(self, key: str, random: np.random.Generator) -> Iterator[Settings]:
        """Returns a random value, or every value of a grid, each with its dependent keys."""

    @abstractmethod
    def suggest(self, key: str, trial: "Trial", name: str) -> Settings:
        """Let Optuna choose; `name` is its name for this key."""

    @abstractmethod
    def move(self, value: Any, random: np.random.Generator) -> Any:
        """Returns a neighbouring value, or this one if there is none on that side: a population's perturbation."""

    @abstractmethod
    def corners(self, key: str) -> Iterator[Settings]:
        """Returns the values to check for validity: the ends of a range, or every option."""


class NumberRange(Domain):
    """Numbers between two ends."""

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value that can be drawn."""
        low, high = self.given[:2]
        return low, high

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        low, high = self.ends
        if low > high:
            raise ValueError(f"{self.word}: the lower end comes first, got {list(self.given)}")
        return self

    @abstractmethod
    def nearest(self, value: float) -> float:
        """Returns the value of the domain that is nearest to a number."""

    def move(self, value: Any, random: np.random.Generator) -> float:
        """Returns a fifth less or more, within the ends."""
        return self.nearest(value * float(random.choice(_FACTORS)))

    def draw(self, key: str, random: np.random.Generator) -> Iterator[Settings]:
        """One number."""
        yield {key: self.one(random)}

    def corners(self, key: str) -> Iterator[Settings]:
        """Both ends."""
        yield from ({key: end} for end in self.ends)


class Interval(NumberRange):
    """All numbers between two ends."""

    def nearest(self, value: float) -> float:
        """Returns the number, clipped to the ends."""
        low, high = self.ends
        return min(max(value, low), high)

    def one(self, random: np.random.Generator) -> float:
        """Returns a value drawn by Tune, clipped to the ends after rounding."""
        from ray import tune

        return self.nearest(getattr(tune, self.word)(*self.given).sample(random_state=random))


class UniformDomain(Interval):
    """[low, high]: drawn uniformly."""

    uniform: tuple[float, float]

    def suggest(self, key: str, trial: "Trial", name: str) -> Settings:
        """Let Optuna choose."""
        return {key: trial.suggest_float(name, *self.ends)}


class Loguniform(Interval):
    """[low, high]: drawn uniformly on a log scale."""

    loguniform: tuple[float, float]

    @model_validator(mode="after")
    def _is_positive(self) -> Self:
        if not self.loguniform[0] > 0:
            raise ValueError(f"loguniform: logarithms need numbers above 0, got {list(self.loguniform)}")
        return self

    def suggest(self, key: str, trial: "Trial", name: str) -> Settings:
        """Let Optuna choose."""
        return {key: trial.suggest_float(name, *self.ends, log=True)}


class Steps(NumberRange):
    """Numbers from one end to the other in equal steps, all equally likely.

    Values are drawn by index. Tune's quantised domains round a number drawn between the ends, so an end is rounded from
    half a step and is drawn half as often, while Optuna draws the same domains uniformly.
    """

    @property
    @abstractmethod
    def last(self) -> int:
        """The index of the upper end; that of the lower end is 0."""

    @abstractmethod
    def at(self, place: int) -> int | float:
        """Returns the value at an index."""

    @abstractmethod
    def place(self, value: float) -> int:
        """Returns the index nearest to a number, which may lie beyond the ends."""

    def one(self, random: np.random.Generator) -> int | float:
        """Returns a value at a random index."""
        return self.at(int(random.integers(self.last + 1)))

    def suggest(self, key: str, trial: "Trial", name: str) -> Settings:
        """Let Optuna choose an index."""
        return {key: self.at(trial.suggest_int(name, 0, self.last))}

    def nearest(self, value: float) -> int | float:
        """Returns the value at the nearest index between the ends."""
        return self.at(min(max(self.place(value), 0), self.last))

    def move(self, value: Any, random: np.random.Generator) -> int | float:
        """Returns a fifth less or more, at least a step, within the ends."""
        factor, here = float(random.choice(_FACTORS)), self.place(value)
        there = self.place(value * factor)
        if there == here:
            there += 1 if factor > 1 else -1
        return self.at(min(max(there, 0), self.last))


class Quniform(Steps):
    """[low, high, step]: multiples of the step including both ends, all equally likely; integers if all three are."""

    quniform: tuple[int | float, int | float, int | float]

    @model_validator(mode="after")
    def _is_made_of_steps(self) -> Self:
        *ends, step = self.quniform
        if not step > 0 or not all(isfinite(end / step) and abs(remainder(end / step, 1)) < 1e-9 for end in ends):
            raise ValueError(f"quniform: both ends must be multiples of the step, got {list(self.quniform)}")
        return self

    @property
    def last(self) -> int:
        """The number of steps."""
        low, high, step = self.quniform
        return round(high / step) - round(low / step)

    def at(self, place: int) -> int | float:
        """Returns the exact decimal number: 0.3, not 3 * 0.1; the ends as they are written."""
        low, high, step = self.quniform
        if all(isinstance(number, int) for number in self.quniform):
            return low + place * step
        ends = {0: low, self.last: high}
        return float(ends[place] if place in ends else Decimal(str(step)) * (round(low / step) + place))

    def place(self, value: float) -> int:
        """Returns the index of the nearest multiple."""
        low, _, step = self.quniform
        return round(value / step) - round(low / step)


class Randint(Steps):
    """[low, high]: integers, drawn uniformly; the upper end is excluded, as in Tune."""

    randint: tuple[int, int]

    @property
    def ends(self) -> tuple[int, int]:
        """The ends; the upper one is not drawn."""
        return self.randint[0], self.randint[1] - 1

    @property
    def last(self) -> int:
        """The number of values minus one."""
        return self.ends[1] - self.ends[0]

    def at(self, place: int) -> int:
        """Returns an integer."""
        return self.randint[0] + place

    def place(self, value: float) -> int:
        """Returns the index of the nearest integer."""
        return round(value) - self.randint[0]

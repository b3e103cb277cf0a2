"""The numbers that one key may have, drawn at random, chosen by Optuna, or moved by a population."""

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
"""What a population multiplies a number by when it explores (arXiv 1711.09846, section 4)."""


class Domain(Section):
    """The values that one key may have: a section with one key, which is Tune's word for it."""

    @property
    def given(self) -> Any:
        """What stands behind the word."""
        return getattr(self, self.word)

    @property
    def word(self) -> str:
        """Such as loguniform."""
        return next(iter(type(self).model_fields))

    @abstractmethod
    def one(self, random: np.random.Generator) -> Any:
        """One value at random."""

    @abstractmethod
    def draw(self, key: str, random: np.random.Generator) -> Iterator[Settings]:
        """One value at random, or every value of a grid; and likewise what depends on it."""

    @abstractmethod
    def suggest(self, key: str, trial: "Trial", name: str) -> Settings:
        """Let Optuna choose; `name` is what this key's values are called there."""

    @abstractmethod
    def move(self, value: Any, random: np.random.Generator) -> Any:
        """Another value near this one, or this one where there is none on that side: what a population explores."""

    @abstractmethod
    def corners(self, key: str) -> Iterator[Settings]:
        """What shows whether all values are good: the ends of a range, every option."""


class Range(Domain):
    """Numbers between two ends."""

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest that can be drawn."""
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
        """The value that can be drawn and lies nearest to any number."""

    def move(self, value: Any, random: np.random.Generator) -> float:
        """A fifth less or more, no farther than the ends."""
        return self.nearest(value * float(random.choice(_FACTORS)))

    def draw(self, key: str, random: np.random.Generator) -> Iterator[Settings]:
        """One number."""
        yield {key: self.one(random)}

    def corners(self, key: str) -> Iterator[Settings]:
        """Both ends."""
        yield from ({key: end} for end in self.ends)


class Interval(Range):
    """All numbers between two ends."""

    def nearest(self, value: float) -> float:
        """An end, of what lies beyond it."""
        low, high = self.ends
        return min(max(value, low), high)

    def one(self, random: np.random.Generator) -> float:
        """As Tune draws it; rounding carries none beyond an end."""
        from ray import tune

        return self.nearest(getattr(tune, self.word)(*self.given).sample(random_state=random))


class Uniform(Interval):
    """[low, high]: drawn evenly."""

    uniform: tuple[float, float]

    def suggest(self, key: str, trial: "Trial", name: str) -> Settings:
        """Let Optuna choose."""
        return {key: trial.suggest_float(name, *self.ends)}


class Loguniform(Interval):
    """[low, high]: their logarithms drawn evenly."""

    loguniform: tuple[float, float]

    @model_validator(mode="after")
    def _is_positive(self) -> Self:
        if not self.loguniform[0] > 0:
            raise ValueError(f"loguniform: logarithms need numbers above 0, got {list(self.loguniform)}")
        return self

    def suggest(self, key: str, trial: "Trial", name: str) -> Settings:
        """Let Optuna choose."""
        return {key: trial.suggest_float(name, *self.ends, log=True)}


class Steps(Range):
    """Numbers from one end to the other in equal steps, each as likely as any other.

    Values are drawn by their places. Tune's own quantised words round what was drawn between the ends, where an end
    has half a step to be rounded from and so comes half as often, while Optuna draws the same words evenly.
    """

    @property
    @abstractmethod
    def last(self) -> int:
        """The upper end's place; the lower end's is 0."""

    @abstractmethod
    def at(self, place: int) -> int | float:
        """The value at a place."""

    @abstractmethod
    def place(self, value: float) -> int:
        """Where a number would be, rounded to a place, which may lie beyond the ends."""

    def one(self, random: np.random.Generator) -> int | float:
        """By place."""
        return self.at(int(random.integers(self.last + 1)))

    def suggest(self, key: str, trial: "Trial", name: str) -> Settings:
        """Let Optuna choose, by place."""
        return {key: self.at(trial.suggest_int(name, 0, self.last))}

    def nearest(self, value: float) -> int | float:
        """The value at the nearest place between the ends."""
        return self.at(min(max(self.place(value), 0), self.last))

    def move(self, value: Any, random: np.random.Generator) -> int | float:
        """A fifth less or more, and a step at the least, no farther than the ends."""
        factor, here = float(random.choice(_FACTORS)), self.place(value)
        there = self.place(value * factor)
        if there == here:
            there += 1 if factor > 1 else -1
        return self.at(min(max(there, 0), self.last))


class Quniform(Steps):
    """[low, high, step]: multiples of the step, each as likely, the ends too; whole numbers if all three are."""

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
        """The decimal number that it is: 0.3, not 3 * 0.1; the ends as they are written."""
        low, high, step = self.quniform
        if all(isinstance(number, int) for number in self.quniform):
            return low + place * step
        ends = {0: low, self.last: high}
        return float(ends[place] if place in ends else Decimal(str(step)) * (round(low / step) + place))

    def place(self, value: float) -> int:
        """The nearest multiple's."""
        low, _, step = self.quniform
        return round(value / step) - round(low / step)


class Randint(Steps):
    """[low, high]: whole numbers, drawn evenly; the upper end is left out, as in Tune."""

    randint: tuple[int, int]

    @property
    def ends(self) -> tuple[int, int]:
        """The upper one is not drawn."""
        return self.randint[0], self.randint[1] - 1

    @property
    def last(self) -> int:
        """How many there are, but one."""
        return self.ends[1] - self.ends[0]

    def at(self, place: int) -> int:
        """A whole number."""
        return self.randint[0] + place

    def place(self, value: float) -> int:
        """The nearest whole number's."""
        return round(value) - self.randint[0]

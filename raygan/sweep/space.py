"""What is varied, in Tune's own words, and the points that are made of it."""

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from itertools import product
from math import isfinite, remainder
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import BeforeValidator, Discriminator, Tag, model_validator

from raygan.config.section import Section
from raygan.config.source import Tree

if TYPE_CHECKING:
    from optuna import Trial

Settings = dict[str, Any]
"""Config keys by their dotted paths, with plain values."""


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
    def draw(self, key: str, random: np.random.Generator) -> Iterator[Settings]:
        """One value at random, or every value of a grid; and likewise what depends on it."""

    @abstractmethod
    def suggest(self, key: str, trial: "Trial") -> Settings:
        """Let Optuna choose."""

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

    def in_tune(self) -> Any:
        """As Tune's own domain."""
        from ray import tune

        return getattr(tune, self.word)(*self.given)

    def draw(self, key: str, random: np.random.Generator) -> Iterator[Settings]:
        """One number; rounding carries none beyond an end."""
        low, high = self.ends
        yield {key: min(max(self.in_tune().sample(random_state=random), low), high)}

    def corners(self, key: str) -> Iterator[Settings]:
        """Both ends."""
        yield from ({key: end} for end in self.ends)


class Uniform(Range):
    """[low, high]: drawn evenly."""

    uniform: tuple[float, float]

    def suggest(self, key: str, trial: "Trial") -> Settings:
        """Let Optuna choose."""
        return {key: trial.suggest_float(key, *self.ends)}


class Loguniform(Range):
    """[low, high]: their logarithms drawn evenly."""

    loguniform: tuple[float, float]

    @model_validator(mode="after")
    def _is_positive(self) -> Self:
        if not self.loguniform[0] > 0:
            raise ValueError(f"loguniform: logarithms need numbers above 0, got {list(self.loguniform)}")
        return self

    def suggest(self, key: str, trial: "Trial") -> Settings:
        """Let Optuna choose."""
        return {key: trial.suggest_float(key, *self.ends, log=True)}


class Quniform(Range):
    """[low, high, step]: multiples of the step, drawn evenly, the ends among them; whole numbers if these are."""

    quniform: tuple[int | float, int | float, int | float]

    @model_validator(mode="after")
    def _is_made_of_steps(self) -> Self:
        *ends, step = self.quniform
        if not step > 0 or not all(isfinite(end / step) and abs(remainder(end / step, 1)) < 1e-9 for end in ends):
            raise ValueError(f"quniform: both ends must be multiples of the step, got {list(self.quniform)}")
        return self

    def suggest(self, key: str, trial: "Trial") -> Settings:
        """Let Optuna choose."""
        return {key: self._as_given(trial.suggest_float(key, *self.ends, step=self.quniform[2]))}

    def draw(self, key: str, random: np.random.Generator) -> Iterator[Settings]:
        """One number."""
        for drawn in super().draw(key, random):
            yield {key: self._as_given(drawn[key])}

    def _as_given(self, value: float) -> int | float:
        return round(value) if all(isinstance(number, int) for number in self.quniform) else value


class Randint(Range):
    """[low, high]: whole numbers, drawn evenly; the upper end is left out, as in Tune."""

    randint: tuple[int, int]

    @property
    def ends(self) -> tuple[int, int]:
        """The upper one is not drawn."""
        return self.randint[0], self.randint[1] - 1

    def suggest(self, key: str, trial: "Trial") -> Settings:
        """Let Optuna choose."""
        return {key: trial.suggest_int(key, *self.ends)}


class Options(Domain):
    """A list of values; or names, each with what is varied only where it is chosen."""

    @property
    def options(self) -> list[tuple[Any, "Space"]]:
        """The values, and the space below each."""
        given = self.given
        return (
            [(name, below or {}) for name, below in given.items()]
            if isinstance(given, dict)
            else [(value, {}) for value in given]
        )

    @model_validator(mode="after")
    def _has_some(self) -> Self:
        if not self.given:
            raise ValueError(f"{self.word}: is empty")
        return self

    def suggest(self, key: str, trial: "Trial") -> Settings:
        """Let Optuna choose, by number: options need not be numbers or words."""
        value, below = self.options[trial.suggest_categorical(key, range(len(self.options)))]
        return {key: value} | suggest(below, trial)

    def corners(self, key: str) -> Iterator[Settings]:
        """Every option, with the corners of what is below it."""
        for value, below in self.options:
            yield from ({key: value, **rest} for rest in _joined(_all_corners(below)))


class Choice(Options):
    """One of them, drawn at random."""

    choice: "ListOrNames"

    def draw(self, key: str, random: np.random.Generator) -> Iterator[Settings]:
        """One option."""
        value, below = self.options[random.integers(len(self.options))]
        yield from ({key: value, **rest} for rest in draw(below, random))


class GridSearch(Options):
    """Each of them, with each of every other grid."""

    grid_search: "ListOrNames"

    def draw(self, key: str, random: np.random.Generator) -> Iterator[Settings]:
        """Every option."""
        for value, below in self.options:
            yield from ({key: value, **rest} for rest in draw(below, random))


WORDS: dict[str, type[Domain]] = {
    "choice": Choice,
    "grid_search": GridSearch,
    "uniform": Uniform,
    "loguniform": Loguniform,
    "quniform": Quniform,
    "randint": Randint,
}


def _plain(value: Any) -> Any:
    """Refuse what is no domain; lists become tuples, which is all that a strict tree takes behind this."""
    if isinstance(value, Domain):
        return value
    if not (isinstance(value, dict) and len(value) == 1 and next(iter(value)) in WORDS):
        raise ValueError(f"needs one of {', '.join(WORDS)}, as {{loguniform: [1e-4, 1e-2]}}; got {value!r}")
    ((word, given),) = value.items()
    return {word: tuple(given) if isinstance(given, list) else given}


def _tag(value: Any) -> str:
    return f"<{value.word if isinstance(value, Domain) else next(iter(value))}>"


AnyDomain = Annotated[
    Annotated[Choice, Tag("<choice>")]
    | Annotated[GridSearch, Tag("<grid_search>")]
    | Annotated[Uniform, Tag("<uniform>")]
    | Annotated[Loguniform, Tag("<loguniform>")]
    | Annotated[Quniform, Tag("<quniform>")]
    | Annotated[Randint, Tag("<randint>")],
    Discriminator(_tag),
    BeforeValidator(_plain),
]
Space = dict[str, AnyDomain]
"""A domain for each config key that is varied, by its dotted path."""
ListOrNames = Annotated[
    Annotated[tuple[Any, ...], Tag("<list>")] | Annotated[dict[str, Space | None], Tag("<names>")],
    Discriminator(lambda given: "<names>" if isinstance(given, dict) else "<list>"),
]
Choice.model_rebuild()
GridSearch.model_rebuild()


def draw(space: Space, random: np.random.Generator) -> Iterator[Settings]:
    """One draw of what is random, with every combination of what is a grid."""
    return _joined(list(domain.draw(key, random)) for key, domain in space.items())


def points(space: Space, samples: int, seed: int) -> list[Settings]:
    """`samples` draws, each with every combination of the grids; none twice."""
    random = np.random.default_rng(seed)
    found: list[Settings] = []
    for _ in range(samples):
        found += [point for point in draw(space, random) if point not in found]
    return found


def suggest(space: Space, trial: "Trial") -> Settings:
    """Let Optuna choose a point."""
    return {name: value for key, domain in space.items() for name, value in domain.suggest(key, trial).items()}


def corners(space: Space, most: int) -> list[Settings]:
    """Every combination of the ends of ranges and of options, if they are no more than `most`.

    Else each corner of each key once, all the least together, all the greatest, and so many at random.
    """
    of_keys = _all_corners(space)
    if math.prod(len(found) for found in of_keys) <= most:
        return list(_joined(of_keys))
    random = np.random.default_rng(0)
    turns = [[found[turn % len(found)] for found in of_keys] for turn in range(max(map(len, of_keys)))]
    drawn = [[found[random.integers(len(found))] for found in of_keys] for _ in range(most)]
    chosen = [[found[0] for found in of_keys], [found[-1] for found in of_keys], *turns, *drawn]
    return [_together(parts) for parts in chosen]


def _all_corners(space: Space) -> list[list[Settings]]:
    return [list(domain.corners(key)) for key, domain in space.items()]


def _joined(of_keys: Iterable[Sequence[Settings]]) -> Iterator[Settings]:
    return map(_together, product(*of_keys))


def _together(parts: Iterable[Settings]) -> Settings:
    return {key: value for part in parts for key, value in part.items()}


def domains(space: Space) -> Iterator[tuple[str, AnyDomain]]:
    """Every domain with its key, those below options too."""
    for key, domain in space.items():
        yield key, domain
        if isinstance(domain, Options):
            for _, below in domain.options:
                yield from domains(below)


def tree_of(settings: Settings) -> Tree:
    """Settings as a tree of sections."""
    tree: Tree = {}
    for path, value in settings.items():
        *sections, key = path.split(".")
        below = tree
        for section in sections:
            below = below.setdefault(section, {})
        below[key] = deepcopy(value)  # what is laid over a section must not change the option that it came from
    return tree

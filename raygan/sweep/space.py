"""The search space of a sweep in Tune's terms, and the points drawn from it."""

import math
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import BeforeValidator, Discriminator, Tag, model_validator

from raygan.config.source import Tree
from raygan.sweep.ranges import Domain, Loguniform, Quniform, Randint, Settings, UniformDomain

if TYPE_CHECKING:
    from optuna import Trial


class Alternatives(Domain):
    """A list of values; or names, each with keys that are varied only if it is chosen."""

    @property
    def options(self) -> list[tuple[Any, "Space"]]:
        """Returns the values, and the space below each."""
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

    def one(self, random: np.random.Generator) -> Any:
        """Returns an option without the space below it."""
        return self.options[random.integers(len(self.options))][0]

    def suggest(self, key: str, trial: "Trial", name: str) -> Settings:
        """Let Optuna choose by index: options need not be numbers or words.

        The same key below another option is another parameter to Optuna, which takes one domain for each.
        """
        number = trial.suggest_categorical(name, range(len(self.options)))
        value, below = self.options[number]
        return {key: value} | suggest(below, trial, f" below {name}, option {number}")

    def move(self, value: Any, random: np.random.Generator) -> Any:
        """Returns the previous or the next option in the list."""
        values = [option for option, _ in self.options]
        there = values.index(value) + int(random.choice((-1, 1)))
        return values[min(max(there, 0), len(values) - 1)]

    def corners(self, key: str) -> Iterator[Settings]:
        """Returns every option, with the corners of the space below it."""
        for value, below in self.options:
            yield from ({key: value, **rest} for rest in _joined(_all_corners(below)))


class Choice(Alternatives):
    """One of the options, drawn at random."""

    choice: "ListOrNames"

    def draw(self, key: str, random: np.random.Generator) -> Iterator[Settings]:
        """Returns one option."""
        value, below = self.options[random.integers(len(self.options))]
        yield from ({key: value, **rest} for rest in draw(below, random))


class GridSearch(Alternatives):
    """Every option, combined with those of every other grid."""

    grid_search: "ListOrNames"

    def draw(self, key: str, random: np.random.Generator) -> Iterator[Settings]:
        """Returns every option."""
        for value, below in self.options:
            yield from ({key: value, **rest} for rest in draw(below, random))


WORDS: dict[str, type[Domain]] = {
    "choice": Choice,
    "grid_search": GridSearch,
    "uniform": UniformDomain,
    "loguniform": Loguniform,
    "quniform": Quniform,
    "randint": Randint,
}


def _plain(value: Any) -> Any:
    """Raise if a value is not a domain, and turn lists into tuples, the only sequences of a strict tree."""
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
    | Annotated[UniformDomain, Tag("<uniform>")]
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
    """Returns one draw of the random keys, with every combination of the grids."""
    return _joined(list(domain.draw(key, random)) for key, domain in space.items())


def points(space: Space, samples: int, seed: int) -> list[Settings]:
    """Returns `samples` draws, each with every combination of the grids, without duplicates."""
    random = np.random.default_rng(seed)
    found: list[Settings] = []
    for _ in range(samples):
        found += [point for point in draw(space, random) if point not in found]
    return found


def population(space: Space, samples: int, seed: int) -> list[Settings]:
    """As `points`, but a population may have two members with equal initial settings."""
    random = np.random.default_rng(seed)
    return [point for _ in range(samples) for point in draw(space, random)]


def suggest(space: Space, trial: "Trial", where: str = "") -> Settings:
    """Let Optuna choose a point; its parameters have the names of the keys, followed by `where`."""
    return _together(domain.suggest(key, trial, key + where) for key, domain in space.items())


def corners(space: Space, most: int) -> list[Settings]:
    """Returns every combination of the ends of ranges and of options, if there are at most `most`.

    Otherwise each corner of each key once, all smallest ones together, all largest ones, and others at random.
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
    """Yields every domain with its key, including those below options."""
    for key, domain in space.items():
        yield key, domain
        if isinstance(domain, Alternatives):
            for _, below in domain.options:
                yield from domains(below)


def tree_of(settings: Settings) -> Tree:
    """Returns settings as a tree of sections."""
    tree: Tree = {}
    for path, value in settings.items():
        *sections, key = path.split(".")
        below = tree
        for section in sections:
            below = below.setdefault(section, {})
        below[key] = deepcopy(value)  # merging over a section must not change the option it came from
    return tree

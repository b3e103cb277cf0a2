"""Moves: what an update asks to be computed, one after the other.

An update that is written as a generator of moves does not say who computes them. Played alone, each is computed at
once. Several updates can be played side by side, and moves that are alike computed together (`raygan.gan.stacked`).
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, ParamSpec, TypeVar

import numpy as np
from torch import Tensor

from raygan.gan.networks import Networks
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.replay import ReplayedWork
from raygan.gan.transfer import here

T = TypeVar("T")
P = ParamSpec("P")
Made = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Passes:
    """Passes of networks over tensors: a function of both, which returns tensors and may leave gradients."""

    work: ReplayedWork
    networks: Networks
    given: tuple[Tensor | None, ...]

    def play(self) -> Made:
        """Returns what they make."""
        return self.networks.replay(self.work, self.networks, *self.given)


@dataclass(frozen=True, eq=False)
class Descent:
    """A step of an optimiser along the gradient of its network."""

    optimizer: FlatOptimizer
    round: int

    def play(self) -> Made:
        """Take it; it makes nothing."""
        self.optimizer.step(self.round)
        return ()


@dataclass(frozen=True, eq=False)
class Reading:
    """Tensors that are read into the process's memory, which waits for their computation."""

    tensors: tuple[Tensor, ...]

    def play(self) -> Made:
        """Returns copies."""
        return tuple(here(self.tensors))


Move = Passes | Descent | Reading
Moves = Generator[Move, Made, T]
"""Yields moves, is sent what they make, and returns a T."""


def read(*tensors: Tensor) -> Moves[list[np.ndarray]]:
    """Read tensors into new arrays: everything that an update needs in one move, so that a GPU is waited for once."""
    made = yield Reading(tensors)
    return [one.numpy() for one in made]


def alone(moves: Moves[T]) -> T:
    """Play all moves, one after the other; returns what they come to."""
    try:
        move = next(moves)
        while True:
            move = moves.send(move.play())
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        moves.close()  # if a move has failed


class Played(Generic[P, T]):
    """A function of moves that, when called, plays them; `moves` are for who plays them otherwise."""

    def __init__(self, moves: Callable[P, Moves[T]]) -> None:
        self.moves = moves
        self.__doc__ = moves.__doc__
        self.__name__ = moves.__name__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Play the moves."""
        return alone(self.moves(*args, **kwargs))

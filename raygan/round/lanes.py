"""Lanes: the devices of a worker that update at a time, one by one or side by side (`engine.stacked`).

Side by side, each device of a group has a device side of its own. All go on move by move, and moves that are alike are
computed together. A group is of the devices whose numbers give the same quotient, of those that take part: so it is the
same whoever holds them, and no bit depends on packing, nodes, replay or resume.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TypeVar

import numpy as np
import torch

from raygan.config.privacy import RecordLevel
from raygan.config.tree import Config
from raygan.gan.moves import Made, Move, Moves
from raygan.gan.replay import Replay
from raygan.gan.stacked import alike, lay_in_rows, play_together, why_not
from raygan.methods.base import DeviceSide, State, Update
from raygan.rng import Role, torch_seeded
from raygan.round.checks import located, method_of
from raygan.round.shards import WorkerShards

Answer = tuple[Update, State]
T = TypeVar("T")


class Lanes:
    """The device sides of a worker."""

    def __init__(self, config: Config, build: Callable[[], DeviceSide]) -> None:
        """`build` makes a side; there are as many as the largest group that has updated."""
        self.first = build()
        """The side of devices that update alone."""
        self._build = build
        self._sides = [self.first]
        self._size = 1 if not_stacked(config, self.first) else config.engine.stacked
        self._seed = config.seed
        self._replay = Replay(self.first.networks.replay.on)

    def answers(
        self, devices: Iterable[int], shards: WorkerShards, round: int, down: np.ndarray, states: Mapping[int, State]
    ) -> Iterator[tuple[int, Answer | None]]:
        """Yields each device with its update and new state; with None if it is to update alone.

        Raises:
            RunError: a device's own code raised; names device and round.
        """
        if self._size == 1:
            yield from ((device, None) for device in devices)
            return
        for _, group in groupby(sorted(devices), key=lambda device: device // self._size):
            numbers = list(group)
            self._grow(len(numbers))
            updates = [
                side.moves(shards[device], round, down, states.get(device, {}))
                for side, device in zip(self._sides, numbers, strict=False)
            ]
            for side in self._sides:
                side.networks.chance.alone = len(numbers) == 1
            with torch_seeded(self._seed, Role.DEVICE_TORCH, numbers[0], round):  # of the group
                places = [f"round {round}, device {device}" for device in numbers]
                answers = side_by_side(updates, places, self._replay)
            yield from zip(numbers, answers, strict=True)

    def _grow(self, count: int) -> None:
        """Have that many sides at least, with their networks side by side in memory."""
        if len(self._sides) >= count:
            return
        self._sides += [self._build() for _ in range(count - len(self._sides))]
        for networks in zip(*(side.networks.both() for side in self._sides), strict=True):
            lay_in_rows(networks)
        for side in self._sides:
            side.networks.replay.forget()


def side_by_side(updates: Sequence[Moves[T]], places: Sequence[str], replay: Replay) -> list[T]:
    """Play updates at the same time; returns what they come to. `places` name them in errors.

    `replay` is for what they compute together, whoever does: none of it is in the memory of one of them.
    """
    answers: dict[int, T] = {}
    asked: dict[int, Move] = {}

    def go_on(lane: int, made: Made | None) -> None:
        with located(places[lane]):
            try:
                asked[lane] = next(updates[lane]) if made is None else updates[lane].send(made)
            except StopIteration as end:
                answers[lane] = end.value

    try:
        for lane in range(len(updates)):
            go_on(lane, None)
        while asked:
            now, parts = dict(asked), dict[object, list[int]]()
            asked.clear()
            for lane, move in now.items():
                parts.setdefault(alike(move), []).append(lane)
            for lanes in parts.values():
                with located(places[lanes[0]] + (f" to {places[lanes[-1]]}" if len(lanes) > 1 else "")):
                    made = play_together([now[lane] for lane in lanes], replay)
                for lane, mine in zip(lanes, made, strict=True):
                    go_on(lane, mine)
    finally:
        for update in updates:
            update.close()
    return [answers[lane] for lane in range(len(updates))]


def most_together(config: Config) -> int:
    """Returns how many devices may update together at most."""
    engine = config.engine
    most = min(engine.stacked, engine.devices_per_actor, config.devices or engine.stacked)
    return min(most, config.asynchronous.buffer) if config.schedule == "asynchronous" else most


def told_of_stacking(config: Config, shape: tuple[int, ...]) -> str | None:
    """Returns a line that says why devices update one by one though `engine.stacked` asks for groups, or None."""
    if config.engine.stacked == 1:
        return None
    reason = not_stacked(config, method_of(config).device(config, shape, torch.device("cpu")))
    return None if reason is None else f"engine.stacked: {reason}; devices update one by one"


def not_stacked(config: Config, side: DeviceSide) -> str | None:
    """Returns why no devices of a run are stacked; None if they are."""
    if most_together(config) == 1:
        return "no two devices of an actor ever update together"
    if isinstance(config.privacy, RecordLevel):
        return "privacy.name=record computes the gradients of a batch's samples side by side already"
    if not side.by_moves:
        return f"method={config.method} has an update of its own that is not made of moves"
    return why_not(config.gan, side.networks)

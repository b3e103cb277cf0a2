"""Runs of many devices on images of noise, played block by block, for scripts that measure what devices cost."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from raygan.channel.clock import SimulatedRound
from raygan.config import Config
from raygan.executors.executor import Executor
from raygan.executors.transport import Pending
from raygan.record.folder import RunFolder
from raygan.record.storage import store_at
from raygan.round.reports import Outcome
from raygan.run.ledger import IN_FLIGHT
from raygan.run.loop import start_round
from raygan.run.session import Run, prepare

NORMS = ["gan.generator_norm=none", "gan.discriminator_norm=none"]
KEPT = ["averaged.optimizer_state=keep"]


def networks(width: int) -> list[str]:
    """Words of a config for DCGANs of a width."""
    return ["gan.latent=100", f"gan.generator_width={width}", f"gan.discriminator_width={width}"]


@dataclass(frozen=True)
class Block:
    """Rounds that were played one after the other."""

    seconds: float
    """From the first one's start to the last one's end."""
    simulated: list[SimulatedRound]
    played: list[Outcome]

    @property
    def s_per_round(self) -> float:
        """Seconds a round."""
        return self.seconds / len(self.played)


class Player:
    """Plays the rounds of a run, as many ahead as a run does."""

    def __init__(self, run: Run, executor: Executor) -> None:
        self._clock = run.clock
        self._executor = executor
        self.round = 0
        """The last one played."""

    def block(self, rounds: int) -> Block:
        """Play some more rounds to their end; a run would go on in the meantime."""
        start = perf_counter()
        playing: deque[Pending[Outcome]] = deque()
        simulated: list[SimulatedRound] = []
        done: list[Outcome] = []
        for _ in range(rounds):
            self.round += 1
            simulated.append(self._clock.round(self.round))
            playing.append(start_round(self._executor, self.round, simulated[-1]))
            if len(playing) > IN_FLIGHT:
                done.append(playing.popleft().result())
        done += [pending.result() for pending in playing]
        return Block(perf_counter() - start, simulated, done)


def images(folder: Path, count: int, size: int) -> list[str]:
    """Words of a config for a data set of so many images of noise, (1, size, size)."""
    random, path = np.random.default_rng(0), folder / "images.npz"
    noise = np.frombuffer(random.bytes(count * size * size), np.uint8).reshape(count, size, size)
    np.savez(path, images=noise, labels=random.integers(10, size=count))
    return ["data.name=npz", f"data.root={path}", f"data.size={size}"]


def prepared(config: Config, root: Path) -> Run:
    """A run that nothing has been started of."""
    store = store_at(root)
    RunFolder(store.local).create(config)
    return prepare(config, store, [], resume=False)

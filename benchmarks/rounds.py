"""Rounds of a run, played block by block for whoever measures them. Nothing else here talks to an executor;
gpu_placement.py asks actors themselves."""

from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from raygan.channel.simulated import SimulatedRound
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
BLOCKS = 5
LONGEST = 100
"""Rounds of a block, at most."""


@dataclass(frozen=True)
class Block:
    """Rounds that were played one after the other."""

    seconds: float
    """From the first one's start to the end of the last one, and of the last checkpoint."""
    simulated: list[SimulatedRound]
    played: list[Outcome]

    @property
    def s_per_round(self) -> float:
        """Seconds a round."""
        return self.seconds / len(self.played)

    @property
    def spent_s(self) -> list[dict[str, float]]:
        """Where the time of each round went (seconds), but of the first: it waited for the block."""
        return [one.spent_s for one in self.played[1:] or self.played]


class Player:
    """Plays the rounds of a run, as many ahead as a run does."""

    def __init__(self, run: Run, executor: Executor) -> None:
        self.run = run
        self._executor = executor
        self.round = 0
        """The last one played."""

    def wait_until_quiet(self) -> None:
        """Until the recorder is ready: from then on nothing but rounds uses the cores."""
        self._executor.export().result()

    def save(self) -> None:
        """Write a checkpoint, and wait until it is there."""
        self._executor.save().result()

    def close(self) -> None:
        """End the processes."""
        self._executor.close()

    def block(self, rounds: int, save_every: int | None = None) -> Block:
        """Play some more rounds, with a checkpoint every so many, to their end; a run would go on in the meantime."""
        start = perf_counter()
        playing: deque[Pending[Outcome]] = deque()
        saving: list[Pending[None]] = []
        simulated: list[SimulatedRound] = []
        done: list[Outcome] = []
        for number in range(1, rounds + 1):
            self.round += 1
            simulated.append(self.run.clock.round(self.round))
            playing.append(start_round(self._executor, self.round, simulated[-1]))
            if save_every is not None and number % save_every == 0:
                for earlier in saving:
                    earlier.result()
                saving = [self._executor.save()]
            if len(playing) > IN_FLIGHT:
                done.append(playing.popleft().result())
        done += [pending.result() for pending in playing]
        for last in saving:
            last.result()
        return Block(perf_counter() - start, simulated, done)

    def warm_up(self, seconds: float) -> tuple[list[Block], int]:
        """What is slow only once, and how many rounds a block is of, for `BLOCKS` of them to take about so long."""
        before = [self.block(1)]
        if before[0].seconds < seconds / BLOCKS:
            before.append(self.block(3))
        return before, min(LONGEST, max(1, int(seconds / BLOCKS / before[-1].s_per_round)))


def median_spent(blocks: list[Block]) -> dict[str, float]:
    """Where a round's time went: medians over rounds (seconds)."""
    spent = [one for block in blocks for one in block.spent_s]
    return {phase: median(one[phase] for one in spent) for phase in spent[0]}


def networks(width: int) -> list[str]:
    """Words of a config for DCGANs of a width."""
    return ["gan.latent=100", f"gan.generator_width={width}", f"gan.discriminator_width={width}"]


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


@contextmanager
def playing(config: Config, root: Path) -> Iterator[Player]:
    """A run in a folder, open."""
    run = prepared(config, root)
    with closing(Player(run, run.open(None))) as player:
        yield player

"""What checkpoints cost: the rounds of one run in turns with and without, on the same processes.

    python scripts/checkpoint_cost.py [CONFIG] [--every 10] [--block 50] [--pairs 12] [key=value ...]

Each pair is a block of rounds with a checkpoint every so many, and one without; who comes first changes from pair to
pair. A block ends when its rounds are played and its last checkpoint lies on the disk, which the next rounds of a real
run would not wait for: what is printed is an upper bound. CONFIG is the preset fashion_mnist if none is named.
"""

import argparse
import shutil
import sys
import tempfile
from collections import deque
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter

from raygan.config import load_config
from raygan.executors.executor import Executor
from raygan.executors.transport import Pending
from raygan.record.checkpoint import newest
from raygan.record.folder import RunFolder
from raygan.record.storage import store_at
from raygan.run.ledger import IN_FLIGHT
from raygan.run.loop import start_round
from raygan.run.session import Run, prepare


class Player:
    """Plays blocks of rounds, as many ahead as a run does."""

    def __init__(self, run: Run, executor: Executor) -> None:
        self._clock = run.clock
        self._executor = executor
        self._round = 0

    def block(self, rounds: int, save_every: int | None) -> float:
        """Seconds a block takes."""
        start = perf_counter()
        playing: deque[Pending[object]] = deque()
        saving: Pending[None] | None = None
        for played in range(1, rounds + 1):
            self._round += 1
            simulated = self._clock.round(self._round)
            playing.append(start_round(self._executor, self._round, simulated))
            if save_every is not None and played % save_every == 0:
                if saving is not None:
                    saving.result()
                saving = self._executor.save()
            if len(playing) > IN_FLIGHT:
                playing.popleft().result()
        for pending in [*playing, *([saving] if saving is not None else [])]:
            pending.result()
        return perf_counter() - start


def measure(run: Run, every: int, rounds: int, pairs: int) -> list[tuple[float, float]]:
    """Seconds of the blocks of each pair: with checkpoints, without."""
    with closing(run.open(None)) as executor:
        player = Player(run, executor)
        player.block(rounds, every)  # whatever is slow only once
        taken = []
        for pair in range(pairs):
            order = [every, None] if pair % 2 == 0 else [None, every]
            seconds = {saves: player.block(rounds, saves) for saves in order}
            taken.append((seconds[every], seconds[None]))
            print(f"pair {pair + 1}: {seconds[every]:.2f} s with, {seconds[None]:.2f} s without", flush=True)
        return taken


def main() -> None:
    """Measure, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("words", nargs="*", help="a config or preset, then key=value")
    parser.add_argument("--every", type=int, default=10, help="rounds from checkpoint to checkpoint")
    parser.add_argument("--block", type=int, default=50, help="rounds per block")
    parser.add_argument("--pairs", type=int, default=12, help="pairs of blocks")
    asked = parser.parse_args()
    sources = [word for word in asked.words if "=" not in word] or ["fashion_mnist"]
    config = load_config(sources[0], [word for word in asked.words if "=" in word])
    root = Path(tempfile.mkdtemp(prefix="raygan-checkpoint-cost-"))
    try:
        store = store_at(root)
        RunFolder(store.local).create(config)
        run = prepare(config, store, [], resume=False)
        taken = measure(run, asked.every, asked.block, asked.pairs)
        size = sum(path.stat().st_size for path in newest(run.folder.checkpoints, sys.maxsize).iterdir())
    finally:
        shutil.rmtree(root)
    with_them, without = (sum(seconds) for seconds in zip(*taken, strict=True))
    one_round = without / asked.pairs / asked.block
    middle = median(saving / plain for saving, plain in taken)
    print(f"a checkpoint of {size / 1e6:.1f} MB every {asked.every} rounds of {one_round:.3f} s:")
    print(f"{with_them / without - 1:+.1%} of the wall time in all, {middle - 1:+.1%} in the median pair")


if __name__ == "__main__":
    main()

"""What devices cost: memory of many packed ones, and seconds of a round in a population of a million.

    python scripts/scale.py packed [--devices 1000] [--actors 2] [--rounds 2]
    python scripts/scale.py population [--devices 1000000] [--selected 100] [--actors 4] [--rounds 3] [--pairs 5]

`packed` trains DCGANs of width 16 on 1x32x32 images, each device keeping its Adam state, and compares the private
memory of all processes with that of a run of one device per actor. It ends with a checkpoint, and prints the peak while
that is written. `population` plays blocks of rounds of two populations, a large one and one just as large as a round
needs, in turns, on the same number of images of 1x16x16 in all. A batch is what a device of the large population holds
(`--samples`), so that a device's work is the same in both. Who is chosen from many falls unevenly on the actors, and a
round waits for the one with the most: more actors than cores even that out. Images are noise; no numbers of the
training are looked at.
"""

import argparse
import logging
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from threading import Event, Thread
from time import perf_counter

import numpy as np
import psutil
import ray

from raygan.config import Config, load_config
from raygan.engine.executor import Executor, Pending
from raygan.engine.ledger import IN_FLIGHT
from raygan.engine.run import Run, prepare
from raygan.run_folder import RunFolder
from raygan.storage import store_at

NETWORKS = ["gan.latent=100", "gan.generator_width=16", "gan.discriminator_width=16"]
NORMS = ["gan.generator_norm=none", "gan.discriminator_norm=none"]
KEPT = ["averaged.optimizer_state=keep"]
SHARED = "/dev/shm/"  # where Ray's object store lies


class Memory:
    """Memory of this process and all that it has started (bytes)."""

    def __init__(self) -> None:
        self.private: Counter[str] = Counter()
        """By kind of process; what nobody else maps, the object store left out."""
        self.shared = 0
        """Pages of the object store in use."""
        this = psutil.Process()
        for process in [this, *this.children(recursive=True)]:
            try:
                maps = process.memory_maps()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            stored = [one for one in maps if one.path.startswith(SHARED)]
            self.shared += sum(one.pss for one in stored)
            private = sum(one.private_clean + one.private_dirty for one in maps)
            private -= sum(one.private_clean + one.private_dirty for one in stored)
            name = process.cmdline()[0] if process.pid != this.pid else "driver"
            self.private[name.split(".")[0].removeprefix("ray::") if name.startswith("ray::") else name] += private

    @property
    def total(self) -> int:
        """Private memory of all processes."""
        return sum(self.private.values())

    def __str__(self) -> str:
        return f"{self.total / 1e6:,.0f} MB private and {self.shared / 1e6:,.0f} MB shared"


@contextmanager
def peak() -> Iterator[list[Memory]]:
    """Look at the memory again and again inside; the list is empty until the end, then holds the highest."""
    seen: list[Memory] = []
    over = Event()

    def look() -> None:
        while not over.wait(0.05):
            seen.append(Memory())

    looking = Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()
        seen.sort(key=lambda memory: memory.total, reverse=True)


class Player:
    """Plays the rounds of a run, as many ahead as a run does."""

    def __init__(self, run: Run, executor: Executor) -> None:
        self._clock = run.clock
        self._executor = executor
        self._round = 0

    def block(self, rounds: int) -> float:
        """Seconds a round, over a block of them."""
        start = perf_counter()
        playing: deque[Pending[object]] = deque()
        for _ in range(rounds):
            self._round += 1
            simulated = self._clock.round(self._round)
            playing.append(self._executor.play(self._round, simulated.devices, simulated.partners))
            if len(playing) > IN_FLIGHT:
                playing.popleft().result()
        for pending in playing:
            pending.result()
        return (perf_counter() - start) / rounds


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


def packed(asked: argparse.Namespace, folder: Path) -> None:
    """Memory of many devices in a few actors."""
    words = [*images(folder, asked.devices * asked.samples, 32), *NETWORKS, *NORMS, *KEPT]
    used = {}
    for devices in (asked.actors, asked.devices):
        config = load_config(
            None, [*words, f"devices={devices}", f"engine.devices_per_actor={devices // asked.actors}"]
        )
        run = prepared(config, folder / str(devices))
        start = perf_counter()
        with closing(run.open(None)) as executor:
            opened = perf_counter() - start
            seconds = Player(run, executor).block(asked.rounds)
            print(f"{devices} devices: open after {opened:.1f} s, {seconds:.3f} s a round")
            with peak() as seen:
                executor.save().result()  # also shows that the recorder is ready
            used[devices] = Memory()
            print(f"  {used[devices]}")
            checkpoint = sum(path.stat().st_size for path in next(run.folder.checkpoints.iterdir()).iterdir())
            print(f"  while a checkpoint of {checkpoint / 1e6:.1f} MB was written: {seen[0]} at most")
            print(
                "  " + ", ".join(f"{name} {size / 1e6:,.0f}" for name, size in seen[0].private.most_common(5)),
                flush=True,
            )
    more = asked.devices - asked.actors
    each = (used[asked.devices].total - used[asked.actors].total) / more
    print(f"each further device: {each / 1e6:.3f} MB private")


def population(asked: argparse.Namespace, folder: Path) -> None:
    """Seconds of a round and memory, of a large population and of a small one."""
    held = asked.devices * asked.samples
    words = [*images(folder, held, 16), *NETWORKS, *NORMS, *KEPT, f"batch_size={asked.samples}"]
    words += ["selection.name=uniform", f"selection.count={asked.selected}", f"device_steps={asked.steps}"]
    ray.init(
        "local",
        num_cpus=2 * (asked.actors + 1),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )

    def opened(devices: int) -> tuple[Executor, Player]:
        start = perf_counter()
        packing = f"engine.devices_per_actor={-(-devices // asked.actors)}"
        run = prepared(load_config(None, [*words, f"devices={devices}", packing]), folder / str(devices))
        loaded = perf_counter() - start
        executor = run.open(None)
        print(f"{devices} devices: loaded in {loaded:.1f} s, open after {perf_counter() - start:.1f} s", flush=True)
        return executor, Player(run, executor)

    with peak() as seen:
        large, many = opened(asked.devices)
        many.block(asked.rounds)
        print(f"{asked.devices} devices: {Memory()}")
    print(f"  at most {seen[0]}")
    print("  " + ", ".join(f"{name} {size / 1e6:,.0f}" for name, size in seen[0].private.most_common(8)))
    small, few = opened(asked.selected)
    with closing(large), closing(small):
        few.block(asked.rounds)  # whatever is slow only once
        ratios = []
        for pair in range(asked.pairs):
            order = [many, few] if pair % 2 == 0 else [few, many]
            seconds = {player: player.block(asked.rounds) for player in order}
            ratios.append(seconds[many] / seconds[few])
            print(f"pair {pair + 1}: {seconds[many]:.3f} s a round, {seconds[few]:.3f} of {asked.selected}", flush=True)
    print(f"a round of the large population takes {median(ratios):.3f} times as long (median of {asked.pairs} pairs)")


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    kinds = parser.add_subparsers(required=True)
    for play, devices, samples, actors, rounds in ((packed, 1000, 64, 2, 2), (population, 1_000_000, 1, 4, 3)):
        kind = kinds.add_parser(play.__name__, help=play.__doc__)
        kind.set_defaults(play=play)
        kind.add_argument("--devices", type=int, default=devices, help="devices in all")
        kind.add_argument("--samples", type=int, default=samples, help="images on each of them")
        kind.add_argument("--actors", type=int, default=actors, help="actors that share them")
        kind.add_argument("--rounds", type=int, default=rounds, help="rounds in a block")
    kind.add_argument("--selected", type=int, default=100, help="devices of a round")
    kind.add_argument("--steps", type=int, default=5, help="local steps of a device")
    kind.add_argument("--pairs", type=int, default=5, help="pairs of blocks")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="raygan-scale-"))
    try:
        asked.play(asked, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

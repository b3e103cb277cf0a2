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
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter

import ray
from scale_memory import Memory, peak
from scale_run import KEPT, NORMS, Player, images, networks, prepared

from raygan.config import load_config
from raygan.executors.executor import Executor


def packed(asked: argparse.Namespace, folder: Path) -> None:
    """Memory of many devices in a few actors."""
    words = [*images(folder, asked.devices * asked.samples, 32), *networks(16), *NORMS, *KEPT]
    used = {}
    for devices in (asked.actors, asked.devices):
        config = load_config(
            None, [*words, f"devices={devices}", f"engine.devices_per_actor={devices // asked.actors}"]
        )
        run = prepared(config, folder / str(devices))
        start = perf_counter()
        with closing(run.open(None)) as executor:
            opened = perf_counter() - start
            seconds = Player(run, executor).block(asked.rounds).s_per_round
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
    words = [*images(folder, held, 16), *networks(16), *NORMS, *KEPT, f"batch_size={asked.samples}"]
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
            seconds = {player: player.block(asked.rounds).s_per_round for player in order}
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

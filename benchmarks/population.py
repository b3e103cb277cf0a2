"""Seconds of a round and memory of a population of a million devices, beside one just as large as a round needs.

    python benchmarks/population.py [--devices 1000000] [--selected 100] [--actors 4] [--rounds 3] [--pairs 5]

Plays blocks of rounds of both in turns, on the same number of images of 1x16x16 in all, DCGANs of width 16. A batch is
what a device of the large population holds (`--samples`), so that a device's work is the same in both. Who is chosen
from many falls unevenly on the actors, and a round waits for the one with the most: more actors than cores even that
out. Images are noise; no numbers of the training are looked at. More devices in a round: growth.py.
"""

import argparse
import logging
import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter

import ray
from memory import Memory, peak
from rounds import KEPT, NORMS, Player, images, networks, playing

from raygan.config import load_config


def measure(asked: argparse.Namespace, folder: Path) -> None:
    """Play, and print what was seen."""
    words = [*images(folder, asked.devices * asked.samples, 16), *networks(16), *NORMS, *KEPT]
    words += ["selection.name=uniform", f"selection.count={asked.selected}"]
    words += [f"batch_size={asked.samples}", f"device_steps={asked.steps}"]

    def population(devices: int) -> AbstractContextManager[Player]:
        packing = f"engine.devices_per_actor={-(-devices // asked.actors)}"
        return playing(load_config(None, [*words, f"devices={devices}", packing]), folder / str(devices))

    with ExitStack() as both:
        start = perf_counter()
        with peak() as most:
            many = both.enter_context(population(asked.devices))
            print(f"{asked.devices:,} devices: open after {perf_counter() - start:.1f} s", flush=True)
            many.block(asked.rounds)
            print(f"  {Memory()}")
        print(f"  at most {most.private / 1e6:,.0f} MB private, {most.stored / 1e6:,.0f} MB in the object store")
        few = both.enter_context(population(asked.selected))
        few.block(asked.rounds)  # whatever is slow only once
        ratios = []
        for pair in range(asked.pairs):
            order = [many, few] if pair % 2 == 0 else [few, many]
            seconds = {player: player.block(asked.rounds).s_per_round for player in order}
            ratios.append(seconds[many] / seconds[few])
            print(f"pair {pair + 1}: {seconds[many]:.3f} s a round, {seconds[few]:.3f} of {asked.selected}", flush=True)
    print(f"a round of the large population takes {median(ratios):.3f} times as long (median of {asked.pairs} pairs)")


def main() -> None:
    """Measure on one Ray, as both are open at once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1_000_000, help="devices in all")
    parser.add_argument("--samples", type=int, default=1, help="images on each of them")
    parser.add_argument("--selected", type=int, default=100, help="devices of a round")
    parser.add_argument("--steps", type=int, default=5, help="local steps of a device")
    parser.add_argument("--actors", type=int, default=4, help="actors that share them")
    parser.add_argument("--rounds", type=int, default=3, help="rounds in a block")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of blocks")
    asked = parser.parse_args()
    ray.init(
        "local",
        num_cpus=2 * (asked.actors + 1),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    with tempfile.TemporaryDirectory(prefix="raygan-population-") as folder:
        measure(asked, Path(folder))


if __name__ == "__main__":
    main()

"""Whether runs with stacked devices (`engine.stacked`) end where those of one by one do: to the spread over seeds.

    python benchmarks/stacked_seeds.py [--preset gaussians] [--groups 1 10] [--seeds 0 1 2 3 4] [--devices 20]
        [--rounds 300] [--measures sliced_wasserstein modes_found] [KEY=VALUE ...]

Stacked steps round differently, and training a GAN makes large differences of small ones. So whole runs, in this
process, are compared by what they come to: with the same seed, beside how much seeds differ. The first group is what
the others are compared with. Prints tables in Markdown.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter

from raygan import train
from raygan.config import load_config

Values = dict[str, float]
Runs = Mapping[int, Sequence[Values]]
"""By size of the groups: what the run of each seed came to."""


def played(asked: argparse.Namespace, folder: Path) -> dict[int, list[Values]]:
    """Play all, those of a seed one after the other."""
    runs: dict[int, list[Values]] = {size: [] for size in asked.groups}
    for seed in asked.seeds:
        for size in asked.groups:
            words = [
                f"seed={seed}",
                f"devices={asked.devices}",
                f"rounds={asked.rounds}",
                f"eval.every={asked.rounds}",
                f"checkpoint.every={asked.rounds}",
                "engine.executor=inline",
                f"engine.devices_per_actor={asked.devices}",
                f"engine.stacked={size}",
                *asked.words,
            ]
            start = perf_counter()
            last = train(load_config(asked.preset, words), folder / f"{seed}-{size}", watchers=[]).evaluations[-1]
            runs[size].append({name: float(last[name]) for name in asked.measures})
            told = ", ".join(f"{name} {value:.4g}" for name, value in runs[size][-1].items())
            print(f"seed {seed}, stacked {size}: {told} ({perf_counter() - start:.0f} s)", flush=True)
    return runs


def table(runs: Runs) -> Iterator[str]:
    """The runs of several seeds in Markdown: a line for each measure and size of groups."""
    first, base = next(iter(runs.items()))
    yield "| measure | stacked | mean (range) | s.d. over seeds | difference, same seed: mean | its s.d. |"
    yield "| --- | ---: | --- | ---: | ---: | ---: |"
    for name in base[0]:
        for size, found in runs.items():
            values = [one[name] for one in found]
            apart = [one[name] - other[name] for one, other in zip(found, base, strict=True)]
            difference = "- | -" if size == first else f"{fmean(apart):+.3g} | {stdev(apart):.3g}"
            row = f"{fmean(values):.3g} ({min(values):.3g} to {max(values):.3g}) | {stdev(values):.3g} | {difference}"
            yield f"| `{name}` | {size} | {row} |"


def main() -> None:
    """Play and print."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="raygan-seeds-") as folder:
        runs = played(asked, Path(folder))
    print("", *table(runs), sep="\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="gaussians", help="a preset or a config file")
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 10], help="devices that are stacked")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="two or more")
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--measures", nargs="+", default=["sliced_wasserstein", "modes_found"], metavar="MEASURE")
    parser.add_argument("words", nargs="*", help="more of the config")
    asked = parser.parse_args()
    if len(asked.seeds) < 2:
        parser.error("--seeds: a spread takes two or more")
    return asked


if __name__ == "__main__":
    main()

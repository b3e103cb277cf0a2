"""Whether runs with stacked devices (`engine.stacked`) end where those of one by one do: to the spread over seeds.

    python benchmarks/stacked_seeds.py [--groups 1 10] [--seeds 0 1 2 3 4] [--measures sliced_wasserstein modes_found]
        [--preset gaussians] [--devices 20] [--rounds 300] [--nudge 1e-6] [KEY=VALUE ...]

Stacked steps round differently, and training a GAN makes large differences of small ones. So whole runs, in this
process, are compared by what they come to: with the same seed, beside how much seeds differ, and beside what a nudge
does: the first of the groups again, with a learning rate of the devices larger by that part. The first is what the
others are compared with. Prints a table in Markdown.
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
Runs = Mapping[str, Sequence[Values]]
"""By size of the groups: what the run of each seed came to."""


def played(asked: argparse.Namespace, folder: Path) -> dict[str, list[Values]]:
    """Play all, those of a seed one after the other."""
    kinds = {str(size): [f"engine.stacked={size}"] for size in asked.groups}
    if asked.nudge:
        lr, first = load_config(asked.preset, asked.words).device_optimizer.lr, str(asked.groups[0])
        kinds[f"{first}, nudged"] = [*kinds[first], f"device_optimizer.lr={lr + lr * asked.nudge}"]
    runs: dict[str, list[Values]] = {kind: [] for kind in kinds}
    for seed in asked.seeds:
        for kind, more in kinds.items():
            words = [
                f"seed={seed}",
                f"devices={asked.devices}",
                f"rounds={asked.rounds}",
                f"eval.every={asked.rounds}",
                f"checkpoint.every={asked.rounds}",
                "engine.executor=inline",
                f"engine.devices_per_actor={asked.devices}",
                *asked.words,
                *more,
            ]
            start = perf_counter()
            out = folder / f"{seed}-{kind.replace(', ', '-')}"
            last = train(load_config(asked.preset, words), out, watchers=[]).evaluations[-1]
            runs[kind].append({name: float(last[name]) for name in asked.measures})
            told = ", ".join(f"{name} {value:.4g}" for name, value in runs[kind][-1].items())
            print(f"seed {seed}, stacked {kind}: {told} ({perf_counter() - start:.0f} s)", flush=True)
    return runs


def table(runs: Runs) -> Iterator[str]:
    """The runs of several seeds in Markdown: a line for each measure and kind of runs."""
    first, base = next(iter(runs.items()))
    yield "| measure | stacked | mean (range) | s.d. over seeds | difference, same seed: mean | its s.d. |"
    yield "| --- | ---: | --- | ---: | ---: | ---: |"
    for name in base[0]:
        for kind, found in runs.items():
            values = [one[name] for one in found]
            apart = [one[name] - other[name] for one, other in zip(found, base, strict=True)]
            difference = "- | -" if kind == first else f"{fmean(apart):+.3g} | {stdev(apart):.3g}"
            row = f"{fmean(values):.3g} ({min(values):.3g} to {max(values):.3g}) | {stdev(values):.3g} | {difference}"
            yield f"| `{name}` | {kind} | {row} |"


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
    parser.add_argument("--nudge", type=float, default=1e-6, help="of the learning rate (0: without these runs)")
    parser.add_argument("--measures", nargs="+", default=["sliced_wasserstein", "modes_found"], metavar="MEASURE")
    parser.add_argument("words", nargs="*", help="more of the config")
    asked = parser.parse_args()
    if len(asked.seeds) < 2:
        parser.error("--seeds: a spread takes two or more")
    return asked


if __name__ == "__main__":
    main()

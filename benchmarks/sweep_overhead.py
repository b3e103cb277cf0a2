"""What a sweep costs beside its trials: eight short ones by `raygan tune`, and the same one by one in one process.

    python benchmarks/sweep_overhead.py [--executor inline|ray] [--repeat 2] [key=value ...]

Both ways in turns, each in a process of its own that is timed from its start to its end, imports and Ray's start
included. Played one by one, each trial has all cores to itself, but uses what it uses: inline that is one. By default
a sweep plays as many at once as there are cores for; `one at a time` is the same sweep with `concurrent=1`. Ends with
an error unless all ways leave the same generators, byte for byte. `key=value` words set config keys of all trials.
"""

import argparse
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter

SWEEP = """
base: digits
config:
  rounds: 100
  engine: {executor: EXECUTOR, devices_per_actor: 5}
  eval: {every: 50, samples: 1000}
space:
  schedule: {grid_search: [serial, parallel]}
seeds: [0, 1, 2, 3]
"""
TRIALS = [*product(("serial", "parallel"), range(4))]
ONE_BY_ONE = """
import sys
import raygan
from raygan.sweep.load import load_sweep, listed

sweep = load_sweep(sys.argv[1], sys.argv[3:])
if sweep.config_of({}).engine.executor == "ray":
    import ray
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
for number, settings in enumerate(listed(sweep)):
    raygan.train(sweep.config_of(settings), f"{sys.argv[2]}/runs/{number:05d}")
"""


def commands(sweep: Path, words: list[str]) -> dict[str, list[str]]:
    """The ways to play the trials; the folder to play them in stands for OUT."""
    tune = [sys.executable, "-m", "raygan.cli", "tune", str(sweep), "--out", "OUT", *words]
    return {
        "one by one": [sys.executable, "-c", ONE_BY_ONE, str(sweep), "OUT", *words],
        "sweep": tune,
        "sweep, one at a time": [*tune, "concurrent=1"],
    }


def seconds_of(command: list[str], out: Path) -> float:
    """How long a way takes."""
    start = perf_counter()
    subprocess.run([str(out) if word == "OUT" else word for word in command], check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - start


def generators(out: Path) -> list[bytes]:
    """What the trials came to, in their order."""
    found = sorted(out.glob("runs/*/generator.safetensors"))
    assert len(found) == len(TRIALS), f"{out}: {len(found)} of {len(TRIALS)} trials came to their end"
    return [path.read_bytes() for path in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", choices=["inline", "ray"], default="inline")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    taken: dict[str, list[float]] = {}
    made: list[list[bytes]] = []
    with tempfile.TemporaryDirectory() as scratch:
        sweep = Path(scratch) / "sweep.yaml"
        sweep.write_text(SWEEP.replace("EXECUTOR", arguments.executor))
        for turn in range(arguments.repeat):
            for name, command in commands(sweep, arguments.words).items():
                out = Path(scratch) / f"{name}-{turn}"
                taken.setdefault(name, []).append(seconds_of(command, out))
                made.append(generators(out))
                print(f"{name}: {taken[name][-1]:.1f} s", flush=True)
    assert all(one == made[0] for one in made), "the ways do not leave the same generators"
    alone = median(taken["one by one"])
    for name, seconds in taken.items():
        print(f"{name:<22}{median(seconds):8.1f} s   {median(seconds) / alone:.2f}x")


if __name__ == "__main__":
    main()

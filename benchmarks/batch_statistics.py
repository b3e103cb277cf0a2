"""FD-clf with batch normalisation's statistics as averaged, and recomputed, of the same runs.

    python benchmarks/batch_statistics.py [--seeds 5] [key=value ...]

Trains inline once per seed, two classes on each device unless the words say otherwise, and measures the finished
generators both ways: what `gan.statistics` changes, since no step depends on it.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean

import raygan
from raygan.data import load_data
from raygan.evaluation.evaluator import Evaluator
from raygan.gan.statistics import recompute_statistics
from raygan.methods.inputs import statistics_latents

WORDS = ["engine.executor=inline", "data.partition.name=classes", "data.partition.per_device=2"]
QUIET = ["eval.every=1000000", "eval.nearest=0", "eval.metrics=[frechet]", "checkpoint.every=1000000"]


def measured(words: list[str], seed: int, folder: Path) -> dict[tuple[str, str], float]:
    """FD-clf of one run, by weights and by statistics."""
    config = raygan.load_config(None, [*WORDS, *QUIET, *words, f"seed={seed}"])
    run = raygan.train(config, folder / str(seed), watchers=[])
    evaluator, found = Evaluator(config, load_data(config.data, config.seed)), {}
    for weights in ("raw", "ema"):
        generator = raygan.load_generator(run.out, weights)
        for statistics in ("average", "recompute"):
            if statistics == "recompute":
                recompute_statistics(generator.network, statistics_latents(config, next(generator.parameters()).device))
            found[weights, statistics] = float(evaluator.measure(generator.network)["fd_clf"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("words", nargs="*", metavar="key=value")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measured(given.words, seed, Path(folder)) for seed in range(given.seeds)]
    print("| FD-clf of | " + " | ".join(f"seed {seed}" for seed in range(given.seeds)) + " | mean |")
    print("| --- |" + " --- |" * (given.seeds + 1))
    for key in rows[0]:
        values = [row[key] for row in rows]
        print(f"| {key[0]}, `{key[1]}` | " + " | ".join(f"{value:.1f}" for value in [*values, mean(values)]) + " |")


if __name__ == "__main__":
    main()

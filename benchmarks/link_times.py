"""How far a few rounds decide the time that links take, over cells: with and without outage.

python benchmarks/link_times.py    # half a minute; nothing is trained
"""

import numpy as np

from raygan.channel.clock import Clock
from raygan.channel.simulated import Work
from raygan.channel.traffic import Traffic
from raygan.config import load_config

ROUNDS, CELLS, DEVICES = 500, 40, 5
VALUES = Traffic(down=44_584, up=19_656, broadcast=True)  # the networks of docs/results.md


def round_seconds(seed: int, probability: float) -> np.ndarray:
    """Of a cell's rounds, (ROUNDS,)."""
    words = [f"seed={seed}", f"devices={DEVICES}", "channel.name=wireless"]
    config = load_config(None, [*words, f"channel.outage_probability={probability}"])
    clock = Clock(config, VALUES, Work(np.zeros(DEVICES), 0.0, 0.0), lambda round, devices: {})
    return np.array([clock.round(round).phases.seconds for round in range(1, ROUNDS + 1)])


def main() -> None:
    """Print a line per probability."""
    print(
        "| outage probability | five slowest of 500 rounds: median, most | mean over median of a round: median, most |"
    )
    print("| --- | --- | --- |")
    for probability in (0, 0.001, 0.01, 0.05):
        cells = [round_seconds(seed, probability) for seed in range(CELLS)]
        slowest = [np.sort(seconds)[-5:].sum() / seconds.sum() for seconds in cells]
        skew = [seconds.mean() / np.median(seconds) for seconds in cells]
        print(
            f"| {probability} | {np.median(slowest):.0%}, {max(slowest):.0%} of the time "
            f"| {np.median(skew):.2f}, {max(skew):.2f} |"
        )


if __name__ == "__main__":
    main()

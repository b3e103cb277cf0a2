"""What secure aggregation takes in a round beside training: masking on devices, and unmasking at the server, in turns.

    python benchmarks/masking.py [key=value ...]

One process, one thread, no Ray. For each number of devices in a round, a device's masks and the server's unmasking per
device, with nobody missing and with a tenth missing, over the time of a device's update: medians over turns.
"""

import sys
from statistics import median
from time import perf_counter

import numpy as np
import torch

from raygan.config import load_config
from raygan.data import load_data
from raygan.round.checks import method_of
from raygan.round.compute import threads
from raygan.round.flops import first_samples
from raygan.secure.protocol import secure_sum_of

TURNS = 7
DEVICES = (5, 10, 30, 100)


def ratios(words: list[str]) -> dict[int, tuple[float, float, float]]:
    """By number of devices: masking, unmasking, and unmasking with a tenth missing, over a device's update."""
    config = load_config(None, ["aggregation.secure.name=secagg", *words])
    images, method, cpu = load_data(config.data, config.seed), method_of(config), torch.device("cpu")
    server, device = method.server(config, images.shape, cpu), method.device(config, images.shape, cpu)
    shard, down = first_samples(config, images, config.batch_size), server.down(1)
    secure = secure_sum_of(config, server.update_size)
    start = device.reference(down)
    found: dict[int, list[tuple[float, ...]]] = {count: [] for count in DEVICES}
    for turn in range(1, TURNS + 1):
        for count in DEVICES:
            cohort, round = list(range(count)), turn * 1000 + count
            moments = [perf_counter()]
            update, _ = device.update(shard, turn, down, {})
            moments.append(perf_counter())
            # As where 10 devices share a process: public keys are made once for all of them.
            masked = [
                secure.masked(secure.integers(update.vector, start, 1), number, round, cohort)
                for number in range(min(10, count))
            ]
            moments.append(perf_counter())
            total = np.add.reduce(masked, dtype=masked[0].dtype)
            parts = [moments[2] - moments[1]]
            for missing in (0, -(-count // 10)):
                began = perf_counter()
                secure.unmasked(total, cohort[missing:], round, cohort)
                parts.append(perf_counter() - began)
            of_update = moments[1] - moments[0]
            found[count].append(
                (
                    parts[0] / len(masked) / of_update,
                    parts[1] / count / of_update,
                    parts[2] / count / of_update,
                )
            )
    return {count: tuple(median(column) for column in zip(*turns, strict=True)) for count, turns in found.items()}


if __name__ == "__main__":
    with threads(1):
        print("devices  masking  unmasking  a tenth missing   (a device, over its update)")
        for count, columns in ratios(sys.argv[1:]).items():
            print(f"{count:7}", *(f"{one:9.3f}" for one in columns))

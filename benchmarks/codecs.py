"""What coding an update takes beside making it: a device's update without and with each codec, in turns.

    python benchmarks/codecs.py [key=value ...]

One device, one thread, no Ray. `coding` is the time of an update's way through the codec (encoded, decoded, and what is
left out remembered) over that of the update itself: the median over turns. `server` is decoding alone, over the same.
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
from raygan.round.problem import Problem

TURNS = 15
CODECS = {
    "topk": ["compression.name=topk"],
    "randk": ["compression.name=randk", "compression.feedback=true"],
    "sign": ["compression.name=sign"],
    "qsgd": ["compression.name=qsgd"],
}


def ratios(words: list[str]) -> dict[str, tuple[float, float, float]]:
    """By codec: coding and decoding over the update's time, and the bytes that travel over those of the update."""
    config = load_config(None, ["averaged.upload=delta", *words])
    images, method, cpu = load_data(config.data, config.seed), method_of(config), torch.device("cpu")
    server, device = method.server(config, images.shape, cpu), method.device(config, images.shape, cpu)
    shard, down = first_samples(config, images, config.batch_size), server.down(1)
    uplinks = {}
    for name, codec in CODECS.items():
        own = load_config(None, ["averaged.upload=delta", *words, *codec])
        uplinks[name] = Problem.of(own, server, method.pooled, images.shape, len(images)).uplink(own)
    memory = np.zeros(uplinks["topk"].due(device.update(shard, 1, down, {})[0].vector, None).size, np.float32)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in uplinks}
    for turn in range(TURNS):
        for name, uplink in uplinks.items():
            moments = [perf_counter()]
            update, _ = device.update(shard, turn, down, {})
            moments.append(perf_counter())
            due = uplink.due(update.vector, memory)
            encoded = uplink.encode(due, update.vector, 0, turn)
            moments.append(perf_counter())
            arrived = uplink.decode(encoded)
            moments.append(perf_counter())
            uplink.left_out(due, arrived)
            moments.append(perf_counter())
            of_update, _, decoding, _ = np.diff(moments)
            found[name].append(((moments[-1] - moments[1]) / of_update, decoding / of_update))
    return {
        name: (*(median(column) for column in zip(*turns, strict=True)), uplinks[name].share)
        for name, turns in found.items()
    }


if __name__ == "__main__":
    with threads(1):
        found = ratios(sys.argv[1:])
    print("| codec | coding / update | server / update | bytes / the update's |\n| --- | ---: | ---: | ---: |")
    for name, values in found.items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |")

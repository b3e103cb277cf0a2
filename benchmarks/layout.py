"""Lays out the work of benchmarks/engines.py: images of noise, dealt by raygan, and raygan's initial weights."""

import numpy as np
import torch
from engine_raygan import config_of
from work import State, Work, WorkFolder

from raygan.data import load_data, split
from raygan.gan.flat import FlatModule
from raygan.gan.networks import build_networks


def lay_out(work: Work, folder: WorkFolder) -> None:
    """Write a work for every engine."""
    random = np.random.default_rng(work.seed)
    count = work.devices * work.samples
    colours = () if work.channels == 1 else (work.channels,)
    images = random.integers(0, 256, (count, work.side, work.side, *colours), dtype=np.uint8)
    np.savez(folder.images, images=images, labels=np.arange(count) % 10)
    config = config_of(work, folder, "inline")
    dealt = load_data(config.data, config.seed)
    shards = split(dealt.labels, work.devices, config.data.partition, config.seed)
    networks = build_networks(config, dealt.shape, torch.device("cpu"))
    initial = [state_of(network, network.vector) for network in (networks.generator, networks.discriminator)]
    folder.write(work, np.stack([dealt.images[shard] for shard in shards]), *initial)


def state_of(network: FlatModule, vector: torch.Tensor) -> State:
    """A vector of one of raygan's networks, by the names that the layers have on their own."""
    return {name.removeprefix("layers."): tensor.numpy() for name, tensor in network.named(vector.detach()).items()}

"""Devices and a server in one process, for tests of methods."""

from itertools import pairwise

import numpy as np
import torch

from raygan.gan.batches import as_seen, draw_batch
from raygan.round.checks import method_of
from raygan.round.problem import Problem
from raygan.round.server import Server
from raygan.round.shards import WorkerShards
from raygan.round.worker import Worker

CPU = torch.device("cpu")
SHAPE = (1, 16, 16)
IMAGES = np.random.default_rng(0).integers(256, size=(60, *SHAPE), dtype=np.uint8)
LABELS = np.arange(60) // 25
"""Of IMAGES: classes that shards hold unequal parts of."""


def drawn(batch_size, random):
    """Different IMAGES, as a network is given them."""
    return as_seen(torch.from_numpy(IMAGES[draw_batch(len(IMAGES), batch_size, random)]))


def parties(config, sizes, labels=LABELS):
    """A worker and a server over shards of the given sizes, cut one after the other from IMAGES of these classes.

    The worker is not told the classes.
    """
    offsets = np.cumsum([0, *sizes])
    problem = problem_of(config, int(offsets[-1]))
    shards = WorkerShards(range(len(sizes)), IMAGES, offsets)
    return Worker(config, problem, shards, CPU), server_of(config, problem, labels, offsets)


def server_of(config, problem, labels, offsets):
    """A server that has been told who holds how many samples of each of three classes, if it asks."""
    counts = [np.bincount(labels[start:end], minlength=3) for start, end in pairwise(offsets)]
    return Server(config, problem, CPU, np.stack(counts) if problem.counts_classes else None)


def problem_of(config, samples):
    """What every party knows."""
    method = method_of(config)
    return Problem.of(config, method.server(config, SHAPE, CPU), method.pooled, SHAPE, samples)


def play(config, sizes, rounds, labels=LABELS):
    """The server's side after so many rounds of all devices, without exchanges."""
    worker, server = parties(config, sizes, labels)
    for round in range(1, rounds + 1):
        message, _ = worker.update_devices(round, server.down(round), worker.devices)
        server.update(round, [message])
    return server.side


def judged(discriminator, real, fake):
    """Logits of real and of generated samples, in one pass where the network says that it may be one."""
    if discriminator.one_pass:
        return discriminator(torch.cat([real, fake])).split(len(real))
    of_fake = discriminator(fake)
    return discriminator(real), of_fake


def values(network, tensors=None):
    """A network's parameters, or `tensors` of their shapes, one after the other as the parameters lie in memory."""
    parameters = [parameter.detach() for parameter in network.parameters()]
    placed = [
        torch.empty_like(place).copy_(tensor) for place, tensor in zip(parameters, tensors or parameters, strict=True)
    ]
    return torch.cat([tensor.as_strided((tensor.numel(),), (1,)) for tensor in placed])


def play_restored(config, sizes, rounds, before):
    """As `play`, by parties that are new before a round, and restored to what the others kept."""
    worker, server = parties(config, sizes)
    for round in range(1, rounds + 1):
        if round == before:
            states, state = worker.states(), server.side.state()
            worker, server = parties(config, sizes)
            worker.restore(states)
            server.side.restore(state)
        message, _ = worker.update_devices(round, server.down(round), worker.devices)
        server.update(round, [message])
    return server.side

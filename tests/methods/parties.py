"""Devices and a server in one process, for tests of methods."""

import numpy as np
import torch

from raygan.engine.contributions import Problem
from raygan.engine.host_shards import HostShards
from raygan.engine.parties import Host, Server, method_of

CPU = torch.device("cpu")
SHAPE = (1, 16, 16)
IMAGES = np.random.default_rng(0).integers(256, size=(60, *SHAPE), dtype=np.uint8)


def parties(config, sizes):
    """A host and a server over shards of the given sizes, cut one after the other from IMAGES."""
    offsets = np.cumsum([0, *sizes])
    problem = problem_of(config, int(offsets[-1]))
    shards = HostShards(range(len(sizes)), IMAGES, offsets)
    return Host(config, problem, shards, CPU), Server(config, problem, CPU)


def problem_of(config, samples):
    """What every party knows."""
    side = method_of(config).server(config, SHAPE, CPU)
    return Problem(SHAPE, samples, side.update_size, side.slots)


def play(config, sizes, rounds):
    """The server's side after so many rounds of all devices, without exchanges."""
    host, server = parties(config, sizes)
    for round in range(1, rounds + 1):
        contribution, _ = host.round(round, server.down(round), host.devices)
        server.round(round, [contribution])
    return server.side


def values(network):
    """A network's parameters, one after the other."""
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

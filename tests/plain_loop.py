"""A whole run as one plain loop: no executor, worker, server or message; the sum is Python's own exact one."""

import math

import numpy as np
import torch

from raygan.data import load_data, split
from raygan.methods.base import Mean, Shard
from raygan.record.generator_file import save_generator
from raygan.round.checks import method_of
from raygan.round.compute import threads
from raygan.round.simulation import as_run, try_out

CPU = torch.device("cpu")


def plain_run(config, out, lost=()):
    """Write the generator file `out` that all rounds of a config lead to; returns its bytes.

    In each (round, device) of `lost` the device's process dies before it sends, and the device goes on from its last
    checkpoint. An update that is not finite does not count.
    """
    config = as_run(config)
    images = load_data(config.data, config.seed)
    shards = split(images.labels, config.devices, config.data.partition, config.seed)
    _, clock = try_out(config, images, shards)
    method = method_of(config)
    with threads(1):
        generators = _rounds(config, method, clock, images, shards, lost)
    save_generator(out, generators, config.gan, images.shape, config.rounds)
    return out.read_bytes()


def _rounds(config, method, clock, images, shards, lost):
    server, device = (side(config, images.shape, CPU) for side in (method.server, method.device))
    states, saved = {}, {}
    for round in range(1, config.rounds + 1):
        plan = clock.round(round)
        down = server.down(round)
        server.meanwhile(round)
        updates = {}
        for number in plan.devices:
            if (round, number) in lost:
                continue
            shard = Shard(number, images.images[shards[number]])
            update, state = device.update(shard, round, down, states.get(number, {}))
            if np.isfinite(update.vector).all():
                updates.setdefault(update.slot, []).append(update)
                states[number] = state
        if updates:
            server.finish(round, {slot: mean_of(group) for slot, group in updates.items()})
        before = dict(states)
        for receiver, giver in plan.partners.items():
            if not {(round, receiver), (round, giver)} & set(lost):
                states[receiver] = method.exchange.merge(config, before.get(receiver, {}), before.get(giver, {}))
        for number in {number for at, number in lost if at == round}:
            states[number] = saved.get(number, {})
        if round % config.checkpoint.every == 0:
            saved = dict(states)
    return server.generators()


def mean_of(updates):
    """The weighted mean, rounded once from the exact sum to float64, and once to float32."""
    weight = sum(update.weight for update in updates)
    weighted = [update.vector.astype(np.float64) * update.weight for update in updates]
    exact = np.array([math.fsum(values) for values in zip(*weighted, strict=True)])
    return Mean((exact / weight).astype(np.float32), weight)

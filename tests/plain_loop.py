"""A whole run as one plain loop: no executor, worker, server or message; the sum is Python's own exact one."""

import math
from dataclasses import replace

import numpy as np
import torch

from raygan.components import CODECS, resolve
from raygan.data import load_data, split
from raygan.methods.base import Mean, Shard
from raygan.record.generator_file import save_generator
from raygan.rng import Role, stream
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
    problem, clock = try_out(config, images, shards)
    method = method_of(config)
    with threads(1):
        generators = _rounds(config, method, problem, clock, images, shards, lost)
    save_generator(out, generators, config.gan, images.shape, config.rounds)
    return out.read_bytes()


def _rounds(config, method, problem, clock, images, shards, lost):
    codec, memories = None, {}
    if problem.compressible is not None:
        codec = resolve(CODECS, config.compression.name, "")(config.compression, problem.compressible.size)
    server, device = (side(config, images.shape, CPU) for side in (method.server, method.device))
    states, saved, copies = {}, {}, Copies(config, problem)
    for round in range(1, config.rounds + 1):
        plan = clock.round(round)
        copies.send(server.down(round), round)
        server.meanwhile(round)
        updates = {}
        overdue = plan.overdue if config.compression.feedback else []
        for number in sorted(plan.devices + overdue):
            if (round, number) in lost:
                continue
            shard = Shard(number, images.images[shards[number]])
            update, state = device.update(shard, round, copies.received(number), states.get(number, {}))
            if codec is not None:
                update = compressed(codec, config, problem.compressible.spans, update, round, memories, overdue)
            if number in overdue:
                states[number] = state
            elif np.isfinite(update.vector).all():
                updates.setdefault(update.slot, []).append(update)
                states[number] = state
        if updates:
            server.finish(round, {slot: mean_of(group) for slot, group in updates.items()})
        before = dict(states)
        for receiver, giver in plan.partners.items():
            if not {(round, receiver), (round, giver)} & set(lost):
                states[receiver] = method.exchange.merge(config, before.get(receiver, {}), before.get(giver, {}))
        for number in {number for at, number in lost if at == round}:
            states[number], memories[number] = saved.get(number, ({}, 0))
        if round % config.checkpoint.every == 0:
            saved = {number: (states.get(number, {}), memories.get(number, 0)) for number in {*states, *memories}}
    return server.generators()


class Copies:
    """What goes down: every device has a copy of its own of the model, and follows all codes that it has missed."""

    def __init__(self, config, problem):
        self.config, self.place, self.model = config, None, None
        self.codes, self.of = [], {}
        if problem.broadcast is not None:
            self.place = np.concatenate([np.arange(*span) for span in problem.broadcast])
            settings = config.downlink_compression
            self.codec = resolve(CODECS, settings.name, "")(settings, len(self.place))

    def send(self, down, round):
        """Note what goes down in a round, and how it changes a copy."""
        self.down = down
        if self.place is None:
            return
        new = down[self.place]
        if self.model is None:
            self.model = new
            return
        drawn = stream(self.config.seed, Role.DOWNLINK_COMPRESSION, round=round)
        change = self.codec.decode(self.codec.encode(new - self.model, drawn))
        if self.config.downlink_compression.name in ("topk", "randk"):  # which send values as they are
            self.codes.append(lambda copy: np.where(change != 0, new, copy))
        else:
            self.codes.append(lambda copy: copy + change)
        self.model = self.codes[-1](self.model)

    def received(self, number):
        """What a device has then; in the first round it is sent the model whole."""
        if self.place is None:
            return self.down
        followed, copy = self.of.get(number, (len(self.codes), self.model))
        for code in self.codes[followed:]:
            copy = code(copy)
        self.of[number] = len(self.codes), copy
        down = self.down.copy()
        down[self.place] = copy
        return down


def compressed(codec, config, spans, update, round, memories, overdue):
    """An update as it arrives, with what is remembered afterwards; an overdue one is remembered whole."""
    place = np.concatenate([np.arange(*span) for span in spans])
    due = update.vector[place] + memories.get(update.device, 0)
    arrived = np.zeros(len(place), np.float32)
    if update.device not in overdue:
        arrived = codec.decode(codec.encode(due, stream(config.seed, Role.COMPRESSION, update.device, round)))
    if config.compression.feedback:
        memories[update.device] = due - arrived
    vector = update.vector.copy()
    vector[place] = arrived
    return replace(update, vector=vector)


def mean_of(updates):
    """The weighted mean, rounded once from the exact sum to float64, and once to float32."""
    weight = sum(update.weight for update in updates)
    weighted = [update.vector.astype(np.float64) * update.weight for update in updates]
    exact = np.array([math.fsum(values) for values in zip(*weighted, strict=True)])
    return Mean((exact / weight).astype(np.float32), weight)

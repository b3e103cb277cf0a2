"""An asynchronous run as one plain loop with an event queue of its own; links of constant rates."""

import numpy as np

from raygan.channel.clock import device_speeds
from raygan.data import load_data, split
from raygan.methods.base import Mean, Shard
from raygan.record.generator_file import save_generator
from raygan.round.checks import method_of
from raygan.round.compute import threads
from raygan.round.simulation import try_out
from tests.plain_loop import CPU, Copies, mean_of


def plain_versions(config, out, lost=()):
    """As `plain_run`; `lost` has (round in which it started, device) of updates that never arrive."""
    images = load_data(config.data, config.seed)
    shards = split(images.labels, config.devices, config.data.partition, config.seed)
    problem, clock = try_out(config, images, shards)
    method = method_of(config)
    with threads(1):
        server, device = (side(config, images.shape, CPU) for side in (method.server, method.device))
        samples = [images.images[shards[number]] for number in range(config.devices)]
        seconds = clock._work.device / device_speeds(config)
        values, bits = clock._traffic, config.channel.bits_per_parameter
        if config.channel.name == "constant":
            seconds = seconds + values.down * bits / np.array(config.channel.downlink_bps)
            seconds = seconds + values.up * bits / np.array(config.channel.uplink_bps)
        busy = (2 * values.up * config.asynchronous.buffer + clock._work.finish) / config.compute.server_flops
        _play(config, server, device, samples, seconds, busy, lost, Copies(config, problem))
    save_generator(out, server.generators(), config.gan, images.shape, config.rounds)
    return out.read_bytes()


def _play(config, server, device, samples, seconds, busy, lost, copies):
    settings = config.asynchronous
    now, flying, idle, states = 0.0, [], list(range(config.devices)), {}

    def start():
        while idle and len(flying) < (settings.running or config.devices):
            number = idle.pop(0)
            shard, down = Shard(number, samples[number]), copies.received(number)
            update, state = device.update(shard, version, down, states.get(number, {}))
            if (version, number) in lost:
                update = None
            else:
                states[number] = state
            flying.append((now + seconds[number], number, version, update))

    for version in range(1, config.rounds + 1):
        copies.send(server.down(version), version)
        taken = []
        start()
        while len(taken) < settings.buffer:
            flying.sort(key=lambda flight: flight[:2])
            taken.append(flying.pop(0))
            now = max(now, taken[-1][0])
            if len(taken) < settings.buffer and not any(arrives <= now for arrives, *_ in flying):
                start()
        idle += [number for _, number, _, _ in taken]
        if groups := _by_age(version, taken):
            server.finish(version, {0: _merged(groups, server.reference(version), settings)})
        now += busy


def _by_age(version, taken):
    groups = {}
    for _, _, started, update in taken:
        if update is not None:
            groups.setdefault(version - started, []).append(update)
    return {age: mean_of(groups[age]) for age in sorted(groups)}


def _merged(groups, own, settings):
    weight = sum(group.weight for group in groups.values())
    new, stays = np.zeros(len(own)), 1.0
    factors = {
        "constant": lambda age: 1.0,
        "polynomial": lambda age: (1 + age) ** -settings.exponent,
        "hinge": lambda age: 1.0 if age <= settings.grace else 1 / (settings.exponent * (age - settings.grace) + 1),
    }
    shares = [settings.mixing * factors[settings.staleness](age) * groups[age].weight / weight for age in groups]
    new = (stays - sum(shares)) * own.astype(float)
    for share, group in zip(shares, groups.values(), strict=True):
        new = new + share * group.vector
    return Mean(new.astype(np.float32), weight)

"""A test of whether processes compute the same bits: the hash of one small fixed step of the run's networks.

The bits follow whatever the libraries below make of a machine (oneDNN's and MKL's instruction sets, versions, kinds of
GPUs), of which no name tells all. The step tells, whatever the cause.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor

from raygan.config.tree import Config
from raygan.gan.conditions import Labelled
from raygan.gan.flat import FlatModule
from raygan.gan.moves import Moves, alone
from raygan.gan.networks import Networks, build_networks
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.replay import Replay
from raygan.gan.steps import discriminator_step, generate, generator_step
from raygan.methods.local import Batch
from raygan.rng import Role, noise, stream, torch_seeded
from raygan.round.compute import threads
from raygan.round.lanes import most_together, side_by_side, told_of_stacking

ProcessFacts = Mapping[str, object]
"""Facts of a process: `role`, node, and its `steps`."""

_BATCH = 8
_NAMED = 3  # processes that a line names


def device_steps(config: Config, shape: tuple[int, ...], device: torch.device) -> dict[str, str]:
    """Returns the step's hash in a worker, by the threads and the kind of device that were asked for.

    With `engine.stacked` a step of a group has one, too: libraries choose other kernels for it.
    """
    count, kind = _devices_ask(config)
    steps = _step(config, shape, device, count, kind)
    if config.engine.stacked > 1 and told_of_stacking(config, shape) is None:
        size = most_together(config)
        digest = stacked_digest(config, shape, device, count, size)
        steps[f"{kind}, threads: {count}, stacked: {size}"] = f"{device.type}:{digest}"
    return steps


def server_steps(config: Config, shape: tuple[int, ...], device: torch.device) -> dict[str, str]:
    """Returns the step's hash in the server, likewise."""
    return _step(config, shape, device, *_server_asks(config))


def _devices_ask(config: Config) -> tuple[int, str]:
    return config.engine.threads_per_device, "GPU" if config.engine.gpus_per_device else "CPU"


def _server_asks(config: Config) -> tuple[int, str]:
    return config.engine.server_threads, "GPU" if config.engine.server_gpus else "CPU"


def _step(config: Config, shape: tuple[int, ...], device: torch.device, count: int, kind: str) -> dict[str, str]:
    return {f"{kind}, threads: {count}": f"{device.type}:{step_digest(config, shape, device, count)}"}


def step_digest(config: Config, shape: tuple[int, ...], device: torch.device, count: int) -> str:
    """The hash (16 hexadecimal digits) of both networks after a step of each from their initial weights.

    The step is of 8 samples, or of as many as the server generates where a network is not raygan's own: what others
    take is known only of that size. All random numbers come from streams of its own.
    """
    random = stream(config.seed, Role.LIKENESS)
    with threads(count), torch_seeded(config.seed, Role.LIKENESS):
        networks = build_networks(config, shape, device)
        batch = _batch(config, networks, shape, random, device)
        optimizer = FlatOptimizer(config.generator_optimizer, networks.generator)
        with networks.chance.of(Role.LIKENESS):
            alone(_discriminator_moves(config, networks, batch))
            generator_step(networks, optimizer, 1, batch.latents, batch.real)
        return _hash([networks.discriminator, networks.generator])


def stacked_digest(config: Config, shape: tuple[int, ...], device: torch.device, count: int, size: int) -> str:
    """The same of the discriminators of `size` devices after a step that they take together, each on its own batch."""
    random = stream(config.seed, Role.LIKENESS, 1)
    with threads(count), torch_seeded(config.seed, Role.LIKENESS), ExitStack() as stack:
        group = [build_networks(config, shape, device) for _ in range(size)]
        updates = []
        for networks in group:
            stack.enter_context(networks.chance.of(Role.LIKENESS))
            updates.append(_discriminator_moves(config, networks, _batch(config, networks, shape, random, device)))
        side_by_side(updates, ["the step that is compared"] * size, Replay(False))
        return _hash(networks.discriminator for networks in group)


def _batch(
    config: Config, networks: Networks, shape: tuple[int, ...], random: np.random.Generator, device: torch.device
) -> Batch:
    own = ":" in config.gan.generator + config.gan.discriminator
    size = config.generator_batch_size if own else min(_BATCH, config.generator_batch_size)
    real = torch.from_numpy(random.uniform(-1, 1, (size, *shape)).astype(np.float32)).to(device)
    z = noise(random, size, config.gan.latent, device)
    mix = torch.from_numpy(random.random(size, np.float32)).to(device) if networks.loss.gradient_penalty else None
    labels = torch.arange(size, device=device) % networks.classes if networks.classes else None
    return Batch(Labelled(real, labels), Labelled(z, labels), mix)


def _discriminator_moves(config: Config, networks: Networks, batch: Batch) -> Moves[Tensor]:
    optimizer = FlatOptimizer(config.device_optimizer, networks.discriminator)
    fake = yield from generate.moves(networks, batch.latents)
    return (yield from discriminator_step.moves(networks, optimizer, 1, batch.real, fake, batch.mix))


def _hash(networks: Iterable[FlatModule]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for network in networks:
        found.update(network.dump().tobytes())
        found.update(network.gradient.cpu().numpy().tobytes())
    return found.hexdigest()


def unlike_each_other(processes: Iterable[ProcessFacts]) -> str | None:
    """Returns a line for the user if processes with the same settings compute different bits, or None."""
    for group in _by_asked(processes).values():
        if len(group) > 1:
            most = max(group, key=lambda digest: len(group[digest]))  # of equally many the first, which has the server
            others = [process for digest, found in group.items() if digest != most for process in found]
            return (
                f"{_who(others)} computed other bits of one and the same step of this run's networks than "
                f"{_who(group[most])}: the last bits of the numbers depend on which process is where"
            )
    return None


def unlike_before(processes: Iterable[ProcessFacts], before: Iterable[ProcessFacts]) -> str | None:
    """Returns a line for the user if a process computes other bits than all that the run had `before`, or None."""
    then = _by_asked(before)
    for asked, group in _by_asked(processes).items():
        others = [
            process for digest, found in group.items() if digest not in then.get(asked, group) for process in found
        ]
        if others:
            (one, *_) = then[asked].values()
            return (
                f"{_who(others)} computed other bits of one and the same step of this run's networks than {_who(one)} "
                "had before: from here on the last bits of the numbers are others than without the change"
            )
    return None


def _by_asked(processes: Iterable[ProcessFacts]) -> dict[str, dict[str, list[ProcessFacts]]]:
    """Processes by what they were asked for, and then by the hash of their step."""
    groups: dict[str, dict[str, list[ProcessFacts]]] = {}
    for process in processes:
        steps = process.get("steps")
        for asked, digest in steps.items() if isinstance(steps, Mapping) else ():
            groups.setdefault(asked, {}).setdefault(digest, []).append(process)
    return groups


def _who(processes: list[ProcessFacts]) -> str:
    """A few processes by role, place, and what ATen says of the processor."""
    named = [
        f"{one['role']} on {one.get('address', one.get('node'))} ({one.get('instructions', 'unknown processor')})"
        for one in processes
    ]
    more = len(named) - _NAMED
    return ", ".join(named[:_NAMED]) + (f" and {more} more" if more > 0 else "")

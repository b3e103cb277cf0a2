"""What a run will ask for: processes, shards, memory, traffic. Starts nothing."""

from dataclasses import dataclass

import numpy as np
import torch

from raygan.config.tree import Config
from raygan.data import load_data, split
from raygan.engine.cluster import needs_of
from raygan.engine.parties import Problem, Server

PROCESS_MB = 420
"""Private memory of a Ray worker that has imported torch (MB), measured with torch 2.15's CUDA build on a CPU."""
RECORDER_MB = 750
"""The same for the recorder, which imports torchvision and torchmetrics too."""


@dataclass(frozen=True)
class Plan:
    """Sizes of a run."""

    samples: int
    shape: tuple[int, ...]
    shard_sizes: tuple[int, int, int]
    """Smallest, median and largest shard (samples)."""
    classes_per_device: tuple[int, int, int]
    """Smallest, median and largest number of classes on a device."""
    generator_parameters: int
    discriminator_parameters: int
    actors: int
    """Device actors; 0 when everything runs inline."""
    cpus: float
    gpus: float
    bytes_down: int
    """Per round, all devices (bytes)."""
    bytes_up: int
    """Per round, all devices (bytes)."""
    memory_mb: int
    """Private memory of all processes (MB), about."""


def make_plan(config: Config) -> Plan:
    """Work a run's sizes out from its config and data."""
    images = load_data(config.data, config.seed)
    shards = split(images.labels, config.devices, config.data.partition, config.seed)
    server = Server(config, Problem(images.shape, len(images)), torch.device("cpu"))
    networks = server.side.networks
    down, up = server.traffic()
    needs = needs_of(config)
    on_ray = config.engine.executor == "ray"
    processes = needs.hosts + 1 if on_ray else 1
    return Plan(
        samples=len(images),
        shape=images.shape,
        shard_sizes=_spread([len(shard) for shard in shards]),
        classes_per_device=_spread([len(np.unique(images.labels[shard])) for shard in shards]),
        generator_parameters=networks.generator.num_parameters,
        discriminator_parameters=networks.discriminator.num_parameters,
        actors=needs.hosts if on_ray else 0,
        cpus=needs.total["CPU"] if on_ray else 0,
        gpus=needs.total.get("GPU", 0) + config.eval.gpus if on_ray else 0,
        bytes_down=down * config.devices,
        bytes_up=up * config.devices,
        memory_mb=processes * PROCESS_MB + RECORDER_MB + images.images.nbytes // 2**20,
    )


def _spread(values: list[int]) -> tuple[int, int, int]:
    return min(values), int(np.median(values)), max(values)


def describe_plan(config: Config, plan: Plan) -> list[tuple[str, str]]:
    """A plan as (what, how much) lines for a person."""
    low, middle, high = plan.shard_sizes
    fewest, usual, most = plan.classes_per_device
    where = "inline, in one process"
    if config.engine.executor == "ray":
        each = config.engine.devices_per_actor
        packing = "one device each" if each == 1 else f"up to {each} devices each"
        where = (
            f"{plan.actors} device actors ({packing}), a server and a recorder; "
            f"{plan.cpus:g} CPU, {plan.gpus:g} GPU asked of Ray"
        )
    return [
        ("method", f"{config.method}, {config.schedule} schedule, {config.rounds} rounds"),
        ("data", f"{config.data.name}: {plan.samples} samples of shape {plan.shape}"),
        ("devices", f"{config.devices}, each with {low} / {middle} / {high} samples (least / median / most)"),
        ("classes", f"{fewest} / {usual} / {most} per device (least / median / most)"),
        (
            "networks",
            f"generator {plan.generator_parameters:,}, discriminator {plan.discriminator_parameters:,} parameters",
        ),
        ("processes", where),
        ("memory", f"about {plan.memory_mb / 1000:.1f} GB in all"),
        ("traffic", f"{plan.bytes_down / 1e6:.2f} MB down and {plan.bytes_up / 1e6:.2f} MB up per round (simulated)"),
    ]

"""What a run will ask for: processes, shards, memory, traffic. Starts nothing."""

from dataclasses import asdict, dataclass
from statistics import fmean

import numpy as np
import torch

from raygan.config.tree import Config
from raygan.data import ImageSet, Shards, load_data, split
from raygan.engine.checks import check_weights
from raygan.engine.needs import needs_of
from raygan.engine.parties import method_of
from raygan.engine.simulation import as_played, try_out
from raygan.gan.steps import build_networks

PROCESS_MB = 360
"""Private memory of a Ray worker that has imported torch (MB), measured with torch 2.15's CUDA build on a CPU."""
RECORDER_MB = 750
"""The same for the recorder, which imports torchvision and torchmetrics too."""

SIMULATED_ROUNDS = 100
"""Simulated means are over at most so many rounds."""


@dataclass(frozen=True)
class Plan:
    """Sizes of a run."""

    devices: int
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
    bytes_down: float
    """Per round, all devices (bytes, simulated)."""
    bytes_up: float
    """Per round, all devices (bytes, simulated)."""
    bytes_swap: float
    """Per round, between devices (bytes, simulated)."""
    round_s: float
    """Length of a round (simulated seconds)."""
    phases_s: dict[str, float]
    """Where it goes (simulated seconds)."""
    memory_mb: int
    """Private memory of all processes (MB), about."""


def make_plan(config: Config) -> Plan:
    """Work a run's sizes out from its config and data; simulated means are over the first rounds."""
    check_weights(config)
    config = as_played(config)
    images = load_data(config.data, config.seed)
    shards = split(images.labels, config.devices, config.data.partition, config.seed)
    networks = build_networks(config, images.shape, torch.device("cpu"))
    _, clock = try_out(config, images, shards)
    rounds = [clock.round(round) for round in range(1, min(config.rounds, SIMULATED_ROUNDS) + 1)]
    phases = [asdict(round.phases) for round in rounds]
    needs = needs_of(config)
    on_ray = config.engine.executor == "ray"
    processes = needs.hosts + 1 if on_ray else 1
    return Plan(
        devices=config.devices,
        samples=len(images),
        shape=images.shape,
        shard_sizes=_spread(shards.sizes),
        classes_per_device=_spread(_classes_per_device(images, shards)),
        generator_parameters=networks.generator.num_parameters,
        discriminator_parameters=networks.discriminator.num_parameters,
        actors=needs.hosts if on_ray else 0,
        cpus=needs.total["CPU"] if on_ray else 0,
        gpus=needs.total.get("GPU", 0) + config.eval.gpus if on_ray else 0,
        bytes_down=fmean(round.bytes_down for round in rounds),
        bytes_up=fmean(round.bytes_up for round in rounds),
        bytes_swap=fmean(round.bytes_swap for round in rounds),
        round_s=fmean(round.phases.seconds for round in rounds),
        phases_s={name: fmean(one[name] for one in phases) for name in phases[0]},
        memory_mb=processes * PROCESS_MB + RECORDER_MB + images.images.nbytes // 2**20,
    )


def _classes_per_device(images: ImageSet, shards: Shards) -> np.ndarray:
    """How many classes each device holds samples of, (K,)."""
    holders, classes = np.repeat(np.arange(len(shards)), shards.sizes), len(images.classes)
    held = np.unique(holders * classes + images.labels[shards.indices])
    return np.bincount(held // classes, minlength=len(shards))


def _spread(values: np.ndarray) -> tuple[int, int, int]:
    return int(values.min()), int(np.median(values)), int(values.max())


def describe_plan(config: Config, plan: Plan) -> list[tuple[str, str]]:
    """A plan as (what, how much) lines for a person."""
    low, middle, high = plan.shard_sizes
    fewest, usual, most = plan.classes_per_device
    phases = ", ".join(f"{name} {seconds:.3g}" for name, seconds in plan.phases_s.items() if seconds)
    ways = {"down": plan.bytes_down, "up": plan.bytes_up, "between devices": plan.bytes_swap}
    traffic = ", ".join(f"{count / 1e6:.2f} MB {way}" for way, count in ways.items() if count) or "nothing"
    schedule = f", {config.schedule} schedule" if method_of(config).scheduled else ""
    where = "inline, in one process"
    if config.engine.executor == "ray":
        each = config.engine.devices_per_actor
        packing = "one device each" if each == 1 else f"up to {each} devices each"
        where = (
            f"{plan.actors} device actors ({packing}), a server and a recorder; "
            f"{plan.cpus:g} CPU, {plan.gpus:g} GPU asked of Ray"
        )
    return [
        ("method", f"{config.method}{schedule}, {config.rounds} rounds"),
        ("data", f"{config.data.name}: {plan.samples} samples of shape {plan.shape}"),
        ("devices", f"{plan.devices}, each with {low} / {middle} / {high} samples (least / median / most)"),
        ("classes", f"{fewest} / {usual} / {most} per device (least / median / most)"),
        (
            "networks",
            f"generator {plan.generator_parameters:,}, discriminator {plan.discriminator_parameters:,} parameters",
        ),
        ("processes", where),
        ("memory", f"about {plan.memory_mb / 1000:.1f} GB in all"),
        ("traffic", f"{traffic} per round (simulated)"),
        ("time", f"{plan.round_s:.3g} s per round (simulated){': ' if phases else ''}{phases}"),
    ]

"""The sizes of a run, independent of its placement: devices, shards, simulated traffic and time, memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

import numpy as np
import torch

from raygan.channel.simulated import SimulatedRound
from raygan.cluster.resources import Needs, needs_of
from raygan.config.tree import Config
from raygan.data import ImageSet, Shards, dealt, load_data
from raygan.data.classes import with_classes
from raygan.data.natural import settled
from raygan.evaluation.checks import check_weights
from raygan.gan.networks import build_networks
from raygan.plan.footprint import Footprint, footprint_of
from raygan.privacy.accountant import Accountant, accountant_of
from raygan.round.checks import method_of
from raygan.round.simulation import as_run, try_out

SIMULATED_ROUNDS = 100
"""Maximum number of rounds for simulated means."""


@dataclass(frozen=True)
class Plan:
    """The sizes of a run."""

    config: Config
    """The config as the run uses it."""
    devices: int
    samples: int
    shape: tuple[int, ...]
    shard_sizes: tuple[int, int, int]
    """Smallest, median and largest shard (samples)."""
    classes_per_device: tuple[int, int, int]
    """Smallest, median and largest number of classes on a device."""
    generator_parameters: int
    discriminator_parameters: int
    needs: Needs
    """The resources that the run requests from Ray, with actors."""
    bytes_down: float
    """Per round, all devices (bytes, simulated)."""
    bytes_up: float
    """Per round, all devices (bytes, simulated)."""
    bytes_swap: float
    """Per round, between devices (bytes, simulated)."""
    round_s: float
    """Duration of a round (simulated seconds)."""
    phases_s: dict[str, float]
    """Duration of each phase (simulated seconds)."""
    rounds: Sequence[SimulatedRound]
    """The rounds that the means are over."""
    accountant: Accountant | None
    """The account of a private run."""
    footprint: Footprint
    image_bytes: int
    """Bytes of all samples."""
    worker_samples: np.ndarray
    """Bytes of each worker's samples, (workers,)."""
    unread: bool
    """Whether only the shape and the number of samples are known."""

    @property
    def on_ray(self) -> bool:
        """Whether the run uses Ray actors."""
        return self.config.engine.executor == "ray"


def make_plan(config: Config, images: ImageSet | None = None) -> Plan:
    """Compute a run's sizes from its config and data. Simulated means are over the first rounds.

    `images` take the place of the data if that is not there.
    """
    check_weights(config)
    config = as_run(config)
    unread = images is not None
    images = load_data(config.data, config.seed) if images is None else images
    config = settled(config, images)
    shards, weighed = dealt(images, config), bool(config.gan.class_weights)
    config = with_classes(config, images, shards)
    networks = build_networks(config, images.shape, torch.device("cpu"))
    problem, clock = try_out(config, images, shards, weighed)
    worker_samples = _worker_samples(config, images, shards)
    rounds = [clock.round(round) for round in range(1, min(config.rounds, SIMULATED_ROUNDS) + 1)]
    phases = [round.phases.by_name() for round in rounds]
    return Plan(
        config=config,
        devices=config.devices,
        samples=len(images),
        shape=images.shape,
        shard_sizes=_spread(shards.sizes),
        classes_per_device=_spread(_classes_per_device(images, shards)),
        generator_parameters=networks.generator.num_parameters,
        discriminator_parameters=networks.discriminator.num_parameters,
        needs=needs_of(config),
        bytes_down=fmean(round.bytes_down for round in rounds),
        bytes_up=fmean(round.bytes_up for round in rounds),
        bytes_swap=fmean(round.bytes_swap for round in rounds),
        round_s=fmean(round.phases.seconds for round in rounds),
        phases_s={name: fmean(one.get(name, 0.0) for one in phases) for name in dict.fromkeys(chain(*phases))},
        rounds=rounds,
        accountant=accountant_of(config, method_of(config), shards.sizes),
        footprint=footprint_of(config, problem, images, shards, worker_samples),
        image_bytes=images.images.nbytes,
        worker_samples=worker_samples,
        unread=unread,
    )


def _worker_samples(config: Config, images: ImageSet, shards: Shards) -> np.ndarray:
    starts = shards.offsets[: -1 : config.engine.devices_per_actor]
    sizes: np.ndarray = np.diff(np.append(starts, shards.offsets[-1])) * images.images[0].nbytes
    return sizes


def _classes_per_device(images: ImageSet, shards: Shards) -> np.ndarray:
    """Returns the number of classes on each device, (K,)."""
    holders, classes = np.repeat(np.arange(len(shards)), shards.sizes), len(images.classes)
    held = np.unique(holders * classes + images.labels[shards.indices])
    return np.bincount(held // classes, minlength=len(shards))


def _spread(values: np.ndarray) -> tuple[int, int, int]:
    return int(values.min()), int(np.median(values)), int(values.max())

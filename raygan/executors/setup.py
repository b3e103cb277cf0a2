"""The setup that every start of a run's processes shares."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raygan.config.tree import Config
from raygan.data import ImageSet, Shards
from raygan.data.classes import class_counts
from raygan.record.settings import FlatConfig
from raygan.round.problem import Problem
from raygan.round.shards import WorkerShards

PATIENCE = 3
"""Losses of a process at the same point before a run gives up."""


@dataclass(frozen=True)
class Setup:
    """The arguments that the processes of a run are started with, at first and again."""

    config: Config
    """The config as the engine runs it; see `raygan.round.simulation.as_run`."""
    settings: FlatConfig
    """The settings that the numbers depend on, as the user has them."""
    root: Path
    """The run folder."""
    images: ImageSet
    shards: Shards
    """The images of each device, by index."""
    problem: Problem

    def shards_of(self, devices: range) -> WorkerShards:
        """Returns the samples that a worker of these devices holds, copied out of `images`."""
        offsets = self.shards.offsets[devices.start : devices.stop + 1]
        held = self.shards.indices[offsets[0] : offsets[-1]]
        labels = self.images.labels[held] if self.config.gan.num_classes else None
        return WorkerShards(devices, self.images.images[held], offsets - offsets[0], labels=labels)

    @property
    def counts(self) -> np.ndarray | None:
        """The number of samples of each class on each device, (K, C), if devices report it to the server."""
        return class_counts(self.images, self.shards) if self.problem.counts_classes else None

"""What a method is: a device's side and the server's side of one round.

In every round the server's `down` goes to the devices that take part, each device's `update` answers it, and the
server's `finish` takes the weighted mean of the answers. `meanwhile` is server work that does not wait for them.
Both sides know nothing of where they run; all that a device remembers is the `State` it is handed, so a
round can be replayed and one process can play many devices.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raygan.channel.traffic import Traffic
from raygan.config.tree import Config
from raygan.gan.networks import Networks, build_networks
from raygan.gan.statistics import recompute_statistics
from raygan.gan.transfer import Values, array_of, fill, uploaded
from raygan.rng import Role, noise, stream

_STATISTICS_BATCHES, _STATISTICS_BATCH = 10, 250  # latent points, of which statistics are recomputed

State = dict[str, np.ndarray]
"""What one party keeps from round to round: named arrays, float32."""

Metrics = dict[str, float]
"""Scalars of one round, by name: plain numbers. Devices may measure different things; what is recorded under a name is
the mean over the devices that have it."""


@dataclass(frozen=True)
class Update:
    """What one device sends up, and nothing else: a float32 vector, its weight in the mean, scalar metrics."""

    device: int
    vector: np.ndarray
    weight: int
    metrics: Metrics
    slot: int = 0
    """Which of the server's means it goes into."""


@dataclass(frozen=True)
class Mean:
    """What the config's aggregator made of the updates of one slot, (update_size,) float32, and their weights' sum."""

    vector: np.ndarray
    weight: int


@dataclass(frozen=True)
class Shard:
    """One device's samples: `samples` is (n, C, H, W) uint8 or (n, d) float32."""

    device: int
    samples: np.ndarray
    held: Tensor | None = None
    """The same on the GPU that the process computes on, if they have been put there."""

    def taken(self, chosen: np.ndarray, device: torch.device) -> Iterator[Tensor]:
        """The samples of each row of `chosen`, (batches, N) int64, one batch after the other, on `device`."""
        if self.held is None:
            for rows in chosen:
                yield uploaded(self.samples[rows], device)
        else:
            for rows in uploaded(chosen, device):
                yield self.held.index_select(0, rows)


class DeviceSide(ABC):
    """A device's part. One instance serves all devices of a process, one after the other."""

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        self.config = config
        self.torch_device = torch_device
        self.networks: Networks = build_networks(config, shape, torch_device)
        self._received: tuple[np.ndarray, Tensor] | None = None

    def received(self, down: np.ndarray) -> Values:
        """`down` where this side computes: copied to a GPU once, however many devices take turns with it."""
        if self.torch_device.type == "cpu":
            return down
        if self._received is None or self._received[0] is not down:
            self._received = down, uploaded(down, self.torch_device)
        return self._received[1]

    @abstractmethod
    def update(self, shard: Shard, round: int, down: np.ndarray, state: State) -> tuple[Update, State]:
        """Answer `down` in `round`; returns what goes up and the state to keep. `down` is left unchanged.

        The clock counts its operations once, on as many samples as a batch has.
        """


class ServerSide(ABC):
    """The server's part: holds the global GAN."""

    slots = 1
    """How many means a round has; updates of different slots are not added.

    The clock takes it that device n's update goes into slot n mod `slots`, and `finish` has as much to do for each.
    """

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        self.config = config
        self.torch_device = torch_device
        self.networks: Networks = build_networks(config, shape, torch_device)
        self.ema = self.networks.generator.averaged.clone()
        """The moving average of the generator's parameters and buffers; what follows from them is made of it."""

    @property
    @abstractmethod
    def update_size(self) -> int:
        """Length of every device's update vector."""

    @abstractmethod
    def traffic(self) -> Traffic:
        """What a round sends, as the literature counts it."""

    @abstractmethod
    def down(self, round: int) -> np.ndarray:
        """The vector that goes to the devices at the start of `round`, (n,) float32, a copy. `state` stays."""

    def reference(self, round: int) -> np.ndarray:
        """The update of a device that would do nothing, (update_size,) float32: nought, if updates are differences."""
        return np.zeros(self.update_size, np.float32)

    @abstractmethod
    def meanwhile(self, round: int) -> Metrics:
        """Work on the old state while the devices work."""

    @abstractmethod
    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Take in the means of the slots that got updates (one at least), then do the work that waited for them."""

    def update_ema(self, steps: int = 1) -> None:
        """Move the average towards the generator as it is, buffers too, as `steps` steps there would."""
        self.ema.lerp_(self.networks.generator.averaged, 1 - self.config.gan.ema**steps)

    def generators(self) -> State:
        """The generator as it is and its moving average, each (|G| + buffers,) float32, to be measured and saved.

        Derived buffers are recomputed for both: those of the generator in training lag a step behind. So are batch
        normalisation's statistics with `gan.statistics=recompute`. Training goes on as if nobody had asked.
        """
        return {"raw": self._measurable(self.networks.generator.averaged.clone()), "ema": self._measurable(self.ema)}

    def _measurable(self, averaged: Tensor) -> np.ndarray:
        generator = self.networks.generator
        with generator.holding(averaged):
            if self.config.gan.statistics == "recompute":
                recompute_statistics(generator.module, statistics_latents(self.config, self.torch_device))
            return generator.dump()

    def state(self) -> State:
        """Everything that later rounds depend on."""
        return {
            "generator": self.networks.generator.dump(),
            "discriminator": self.networks.discriminator.dump(),
            "ema": array_of(self.ema),
        }

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        self.networks.generator.load(state["generator"])
        self.networks.discriminator.load(state["discriminator"])
        fill(self.ema, state["ema"])


def statistics_latents(config: Config, device: torch.device) -> Iterator[Tensor]:
    """The batches of latent points that a generator's statistics are recomputed over: the same in every round."""
    random = stream(config.seed, Role.STATISTICS)
    for _ in range(_STATISTICS_BATCHES):
        yield noise(random, _STATISTICS_BATCH, config.gan.latent, device)


@dataclass(frozen=True)
class Exchange:
    """Devices handing what they remember to one another between rounds."""

    partners: Callable[[Config, int, int, list[int]], dict[int, int]]
    """(config, samples of all devices, round, devices that took part) to receiver: giver; empty: not this round."""
    merge: Callable[[Config, State, State], State]
    """(config, the receiver's state, the giver's) to what the receiver keeps."""


@dataclass(frozen=True)
class Method:
    """A method's two sides."""

    device: Callable[[Config, tuple[int, ...], torch.device], DeviceSide]
    server: Callable[[Config, tuple[int, ...], torch.device], ServerSide]
    exchange: Exchange | None = None
    pooled: bool = False
    """Whether one party at the server holds all samples, so that nothing is sent."""
    scheduled: bool = False
    """Whether the config's `schedule` is of this method."""

"""The interface of a method: a device's side and the server's side of one round.

In every round, the server's `down` is sent to the devices that take part, each device answers it with `update`, and the
server's `finish` receives the weighted mean of the answers, or what its `combine` makes of them. `meanwhile` is server
work that does not wait for them. Neither side knows where it runs. A device's only memory is the `State` it is given,
so a round can be replayed and one process can simulate many devices.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raygan.channel.traffic import Traffic
from raygan.compression.uplink import Compressible
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.gan.moves import Moves, alone
from raygan.gan.networks import Networks, build_networks
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.statistics import recompute_statistics
from raygan.gan.transfer import Values, array_of, fill, uploaded
from raygan.methods.inputs import statistics_latents
from raygan.methods.messages import Gathered, Mean, Metrics, State, Update
from raygan.methods.shard import Shard

__all__ = [  # all that a method's own file needs
    "DeviceSide",
    "Exchange",
    "Gathered",
    "Mean",
    "Method",
    "Metrics",
    "ServerSide",
    "Shard",
    "State",
    "Update",
]


class DeviceSide(ABC):
    """The device side of a method. One instance serves all devices of a process, one after another."""

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        self.config = config
        self.torch_device = torch_device
        self.networks: Networks = build_networks(config, shape, torch_device)
        self._received: tuple[np.ndarray, Tensor] | None = None

    def received(self, down: np.ndarray) -> Values:
        """Returns `down` on the device that this side computes on; a copy to a GPU is made once for all devices."""
        if self.torch_device.type == "cpu":
            return down
        if self._received is None or self._received[0] is not down:
            self._received = down, uploaded(down, self.torch_device)
        return self._received[1]

    def reference(self, down: np.ndarray) -> np.ndarray | None:
        """Returns the update of a device that does no training, as the server's `reference`; None stands for zeros."""
        return None

    @abstractmethod
    def update(self, shard: Shard, round: int, down: np.ndarray, state: State) -> tuple[Update, State]:
        """Answer `down` in `round`; returns the update to send and the state to keep. `down` is left unchanged.

        The clock counts its operations once, on a shard of one batch.
        """

    def moves(self, shard: Shard, round: int, down: np.ndarray, state: State) -> Moves[tuple[Update, State]]:
        """The update as moves: here it asks for none, and is computed at once."""
        yield from ()
        return self.update(shard, round, down, state)

    @property
    def by_moves(self) -> bool:
        """Whether `moves` are all of an update: not if who wrote them, or a subclass, has another `update`."""
        written = next(one for one in type(self).__mro__ if "moves" in vars(one))
        updated = next(one for one in type(self).__mro__ if "update" in vars(one))
        return written is not updated and issubclass(written, updated)

    def optimizers(self) -> Sequence[FlatOptimizer]:
        """The optimisers of the networks that an update trains from what came down, in the order of the server's
        `parameters`; none if it trains no such networks.
        """
        return ()


class SteppedDevice(DeviceSide):
    """A device side whose update is moves, so that several devices can be played side by side (`engine.stacked`)."""

    def update(self, shard: Shard, round: int, down: np.ndarray, state: State) -> tuple[Update, State]:
        """Play the moves of the update."""
        return alone(self.moves(shard, round, down, state))

    @abstractmethod
    def moves(self, shard: Shard, round: int, down: np.ndarray, state: State) -> Moves[tuple[Update, State]]:
        """The moves of an update, which comes to what `update` returns. Its only state between two moves is its own."""


class ServerSide(ABC):
    """The server side of a method. It holds the global GAN."""

    slots = 1
    """Number of means in a round; updates of different slots are not added.

    The clock assumes that device n's update goes into slot n mod `slots`, and that `finish` does equal work per slot.
    """

    gathers = False
    """Whether every single update is needed at the server, for `combine`. Then nothing is added up on the way."""
    counts_classes = False
    """Whether devices report once how many samples of each class they have; see `reported`."""

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        self.config = config
        self.torch_device = torch_device
        self.networks: Networks = build_networks(config, shape, torch_device)
        self.ema = self.networks.generator.averaged.clone()
        """The moving average of the generator's parameters and buffers; derived buffers are recomputed from it."""

    @property
    @abstractmethod
    def update_size(self) -> int:
        """Length of every device's update vector."""

    def parameters(self) -> Sequence[slice]:
        """The places in an update of the parameters of networks, or of their change if it is a difference.

        A device starts to train them from what came down. Buffers, moments and derived values are not among them. None
        if an update is something else, or there are several slots.
        """
        return ()

    def sent_buffers(self) -> Mapping[str, str]:
        """Returns the networks whose buffers, such as statistics, are in an update: "generator", "discriminator".

        With each the setting that leaves them on the device, such as "averaged.buffers=local"; "" if there is none.
        """
        return {}

    @abstractmethod
    def traffic(self) -> Traffic:
        """Returns the traffic of a round, as the literature counts it."""

    def compressible(self) -> Compressible:
        """Returns the values of an update that `compression` may change, such as `parameters`; `traffic` counts them.

        They are differences of parameters, or gradients: what a codec leaves out of them is a smaller step. Buffers and
        an optimiser's moments are none. A variance, for which a memory makes up too late, may become negative.

        Raises:
            InputError: the method, as configured, has none.
        """
        raise InputError(
            f"compression.name: method={self.config.method} does not say what of its updates may be compressed "
            "(ServerSide.compressible); set compression.name=none",
            code="conflict",
        )

    def broadcast_parameters(self) -> Sequence[slice]:
        """Returns the places of the networks' parameters in `down`, of which devices may keep a copy, in order.

        `downlink_compression` sends changes of the copy. Then devices start from the copy, and the server goes on from
        its own networks: updates must be differences. `traffic` counts these parameters, and what it says is broadcast.

        Raises:
            InputError: the method, as configured, has none.
        """
        raise InputError(
            f"downlink_compression.name: method={self.config.method} does not say where in what it broadcasts the "
            "networks are (ServerSide.broadcast_parameters); set downlink_compression.name=none",
            code="conflict",
        )

    @abstractmethod
    def down(self, round: int) -> np.ndarray:
        """Returns a copy of the vector for the devices at the start of `round`, (n,) float32. Changes no state."""

    def reference(self, round: int) -> np.ndarray:
        """Returns the update of a device that does no training, (update_size,) float32: zeros for differences."""
        return np.zeros(self.update_size, np.float32)

    def reported(self, counts: np.ndarray) -> None:
        """Keep the number of samples of each class of every device, (K, C) int64, before the first round."""
        self.counts = counts

    def combine(self, round: int, updates: Gathered) -> Mean:
        """Returns what `finish` takes over from the updates of a slot, of any length. Changes no state.

        It is called where the server `gathers`, in the place of the exact mean.
        """
        raise NotImplementedError

    def taken_from(self, round: int, vector: np.ndarray) -> Mean:
        """Returns what `finish` takes over from a slot in which device 0 alone sent an update, of weight 1."""
        return self.combine(round, Gathered([0], [vector], [1])) if self.gathers else Mean(vector, 1)

    @abstractmethod
    def meanwhile(self, round: int) -> Metrics:
        """Do the work on the old state that runs while the devices train."""

    @abstractmethod
    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Take over the means of the slots that got updates (at least one), then do the work that waited for them."""

    def update_ema(self, steps: int = 1) -> None:
        """Move the average towards the current generator, buffers included, as after `steps` steps to it."""
        self.ema.lerp_(self.networks.generator.averaged, 1 - self.config.gan.ema**steps)

    def generators(self) -> State:
        """Returns the current generator and its moving average, each (|G| + buffers,) float32, to measure and save.

        Derived buffers are recomputed for both, because those of the training generator lag a step behind. So are batch
        normalisation's statistics with `gan.statistics=recompute`. The training state is not affected.
        """
        return {"raw": self._measurable(self.networks.generator.averaged.clone()), "ema": self._measurable(self.ema)}

    def _measurable(self, averaged: Tensor) -> np.ndarray:
        generator = self.networks.generator
        with generator.holding(averaged):
            if self.config.gan.statistics == "recompute":
                recompute_statistics(generator.module, statistics_latents(self.config, self.torch_device))
            return generator.dump()

    def state(self) -> State:
        """Returns everything that later rounds depend on."""
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


def _always(config: Config) -> bool:
    return True


@dataclass(frozen=True)
class Exchange:
    """An exchange of states between devices after a round."""

    partners: Callable[[Config, int, int, list[int]], dict[int, int]]
    """Maps (config, samples of all devices, round, devices that took part) to {receiver: giver}, empty for no swap."""
    merge: Callable[[Config, State, State], State]
    """Maps (config, the receiver's state, the giver's state) to the state that the receiver keeps."""
    happens: Callable[[Config], bool] = _always
    """Whether it happens after any round, as configured."""


def _whole(config: Config) -> int:
    return 1


@dataclass(frozen=True)
class Method:
    """The two sides of a method."""

    device: Callable[[Config, tuple[int, ...], torch.device], DeviceSide]
    server: Callable[[Config, tuple[int, ...], torch.device], ServerSide]
    exchange: Exchange | None = None
    pooled: bool = False
    """Whether all samples are at the server, so that nothing is sent."""
    scheduled: bool = False
    """Whether the config's `schedule` applies to this method."""
    clipped_parts: Callable[[Config], int] = _whole
    """Returns the number of equal parts of an update that a private run clips one by one."""
    private_steps: bool = False
    """Whether devices use their real samples in the discriminator's steps of `raygan.methods.local` alone, which
    `privacy.name=record` makes private."""
    asynchronous: bool = False
    """Whether `schedule=asynchronous` does: an update may be merged into another state of the server than the one that
    came down for it, and `ServerSide.reference` is the update of a device that does no training on the newest."""

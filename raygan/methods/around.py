"""A method around another one: it adds to the other's messages, states or steps, and leaves the rest to it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from raygan.channel.traffic import Traffic
from raygan.compression.uplink import Compressible
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.gan.moves import Moves
from raygan.gan.optimizer import FlatOptimizer
from raygan.methods.base import DeviceSide, Gathered, Mean, Metrics, ServerSide, Shard, State, SteppedDevice, Update

Device = Callable[[Config, tuple[int, ...], torch.device], DeviceSide]
Server = Callable[[Config, tuple[int, ...], torch.device], ServerSide]


class DeviceAround(SteppedDevice):
    """Another method's device side."""

    def __init__(self, inner: Device, config: Config, shape: tuple[int, ...], computes_on: torch.device) -> None:
        self.config = config
        self.torch_device = computes_on
        self.inner = inner(config, shape, computes_on)
        self.networks = self.inner.networks
        self.own = 0
        """Values that it adds at the end of the other method's messages, down and up."""
        self._down = self._inners = np.empty(0, np.float32)

    def moves(self, shard: Shard, round: int, down: np.ndarray, state: State) -> Moves[tuple[Update, State]]:
        """Update as the other method does."""
        if self.inner.by_moves:
            return (yield from self.inner.moves(shard, round, down, state))
        return self.inner.update(shard, round, down, state)

    @property
    def by_moves(self) -> bool:
        """Whether the other method's update is moves."""
        return super().by_moves and self.inner.by_moves

    def reference(self, down: np.ndarray) -> np.ndarray | None:
        """Returns the other method's reference; its own values are differences."""
        inner = self.inner.reference(self.inners(down))
        return None if inner is None else np.append(inner, np.zeros(self.own, np.float32))

    def optimizers(self) -> Sequence[FlatOptimizer]:
        """The other method's."""
        return self.inner.optimizers()

    def trained(self, key: str, advice: str) -> Sequence[FlatOptimizer]:
        """Returns the optimisers.

        Raises:
            InputError: there are none, so `key` does not apply; names it, with the advice.
        """
        if optimizers := self.optimizers():
            return optimizers
        raise InputError(
            f"{key}: devices of method={self.config.method} train no networks that they receive; {advice}, or take "
            "method=averaged or fedgan",
            code="conflict",
        )

    def inners(self, down: np.ndarray) -> np.ndarray:
        """Returns the other method's part of `down`: one object for all devices, to be copied to a GPU once."""
        if not self.own:
            return down
        if down is not self._down:
            self._down, self._inners = down, down[: len(down) - self.own]
        return self._inners


class ServerAround(ServerSide):
    """Another method's server side."""

    def __init__(self, inner: Server, config: Config, shape: tuple[int, ...], computes_on: torch.device) -> None:
        self.config = config
        self.torch_device = computes_on
        self.inner = inner(config, shape, computes_on)
        self.networks = self.inner.networks
        self.slots = self.inner.slots
        self.gathers, self.counts_classes = self.inner.gathers, self.inner.counts_classes
        self.ema = self.inner.ema

    @property
    def update_size(self) -> int:
        """The other method's."""
        return self.inner.update_size

    def parameters(self) -> Sequence[slice]:
        """The other method's."""
        return self.inner.parameters()

    def compressible(self) -> Compressible:
        """The other method's: what is added to its updates is sent as it is."""
        return self.inner.compressible()

    def sent_buffers(self) -> Mapping[str, str]:
        """The other method's."""
        return self.inner.sent_buffers()

    def broadcast_parameters(self) -> Sequence[slice]:
        """The other method's: what is added to them goes down as it is."""
        return self.inner.broadcast_parameters()

    def traffic(self) -> Traffic:
        """The other method's."""
        return self.inner.traffic()

    def down(self, round: int) -> np.ndarray:
        """Returns what the other method sends."""
        return self.inner.down(round)

    def reference(self, round: int) -> np.ndarray:
        """Returns the other method's reference."""
        return self.inner.reference(round)

    def reported(self, counts: np.ndarray) -> None:
        """Hand the numbers on."""
        self.inner.reported(counts)

    def combine(self, round: int, updates: Gathered) -> Mean:
        """Combine as the other method does."""
        return self.inner.combine(round, updates)

    def meanwhile(self, round: int) -> Metrics:
        """Do the other method's work."""
        return self.inner.meanwhile(round)

    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Do the other method's work."""
        return self.inner.finish(round, means)

    def generators(self) -> State:
        """Returns the other method's generator and moving average."""
        return self.inner.generators()

    def state(self) -> State:
        """Returns the other method's state."""
        return self.inner.state()

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        self.inner.restore(state)

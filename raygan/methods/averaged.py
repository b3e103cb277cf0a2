"""Local discriminators averaged at a server that updates the generator (arXiv 2107.08681).

The abstract says: the server sends the global GAN, devices update local discriminators, the server takes
their average as the new global discriminator, then updates the generator accordingly; two schedules differ
in how far device and server work overlap. Step counts, weights, optimisers and the exact order within the
schedules are our reading. The serial loop has a precedent in DP-FedAvg-GAN (Augenstein et al.,
arXiv 1911.06679), to which it is very close but for the privacy mechanism (inferred).
"""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from raygan.channel.traffic import Traffic
from raygan.compression.uplink import Compressible
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.gan.flat import FlatModule
from raygan.gan.moves import Moves, read
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.transfer import Values, array_of, fill, pieces
from raygan.methods.base import Mean, Method, Metrics, Shard, State, SteppedDevice, Update
from raygan.methods.generator import GeneratorServer
from raygan.methods.local import discriminator_steps, local_batches, mean
from raygan.methods.staleness import check_statistics


class AveragedDevice(SteppedDevice):
    """Trains a local discriminator on the device's samples and on fakes that it generates."""

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        super().__init__(config, shape, torch_device)
        self._optimizer = FlatOptimizer(config.device_optimizer, self.networks.discriminator)
        self._initial_buffers = self.networks.discriminator.buffers.clone()

    def reference(self, down: np.ndarray) -> np.ndarray | None:
        """Returns the discriminator that came down, with averaged moments; None if differences are sent."""
        if self.config.averaged.upload == "delta":
            return None
        _, shared, _, moments = self._parts(down)
        return np.concatenate([shared, moments])

    def moves(self, shard: Shard, round: int, down: np.ndarray, state: State) -> Moves[tuple[Update, State]]:
        """Take `device_steps` steps from the global discriminator, with the generator frozen (our reading)."""
        generator, shared, derived, moments = self._parts(self.received(down))
        self.networks.generator.load(generator)
        self._load(shared, derived, moments, state)
        losses, kept = (yield from self._train(shard, round)), self._kept()
        vector, losses_read, *kept_read = yield from read(self._message(), torch.stack(losses), *kept.values())
        if self.config.averaged.upload == "delta":
            _, sent, _, sent_moments = self._parts(down)
            vector -= np.concatenate([sent, sent_moments])
        update = Update(shard.device, vector, self._weight(len(shard.samples)), {"d_loss": mean(losses_read)})
        return update, dict(zip(kept, kept_read, strict=True))

    def optimizers(self) -> Sequence[FlatOptimizer]:
        """The discriminator's."""
        return (self._optimizer,)

    def _parts(self, down: Values) -> list[Values]:
        """Split `down`: generator, the discriminator's averaged values and derived buffers, averaged moments."""
        discriminator = self.networks.discriminator
        shared = _shared_size(discriminator, self.config)
        sizes = [self.networks.generator.vector.numel(), shared, discriminator.derived.numel()]
        return pieces(down, sizes)

    def _load(self, shared: Values, derived: Values, moments: Values, state: State) -> None:
        discriminator, switches = self.networks.discriminator, self.config.averaged
        with torch.no_grad():
            fill(discriminator.vector[: len(shared)], shared)
            fill(discriminator.derived, derived)
            if switches.buffers == "reset" or (switches.buffers == "local" and "buffers" not in state):
                discriminator.buffers.copy_(self._initial_buffers)
            elif switches.buffers == "local":
                fill(discriminator.buffers, state["buffers"])
        if switches.optimizer_state == "average":
            self._optimizer.load(moments)
        else:
            self._optimizer.load(state.get("optimizer"))

    def _train(self, shard: Shard, round: int) -> Moves[list[Tensor]]:
        """Take the local steps; returns their losses."""
        with local_batches(self, shard, round) as batches:
            some = islice(batches, self.config.device_steps)
            return (yield from discriminator_steps.moves(self, self._optimizer, round, some))

    def _message(self) -> Tensor:
        discriminator = self.networks.discriminator
        shared = discriminator.vector[: _shared_size(discriminator, self.config)]
        if self.config.averaged.optimizer_state == "average":
            shared = torch.cat([shared, self._optimizer.vector])
        return shared

    def _weight(self, samples: int) -> int:
        batch = min(self.config.batch_size, samples)
        return {"uniform": 1, "shard": samples, "batch": batch}[self.config.averaged.weights]

    def _kept(self) -> dict[str, Tensor]:
        kept = {}
        if self.config.averaged.optimizer_state == "keep":
            kept["optimizer"] = self._optimizer.vector
        if self.config.averaged.buffers == "local":
            kept["buffers"] = self.networks.discriminator.buffers
        return kept


class AveragedServer(GeneratorServer):
    """Averages the discriminators, and updates the generator after averaging or meanwhile."""

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        super().__init__(config, shape, torch_device)
        self._shared_size = _shared_size(self.networks.discriminator, config)
        if config.averaged.upload == "delta" and config.averaged.buffers == "average":
            check_statistics(config, "averaged.upload", self.networks.discriminator)
        moments = 0
        if config.averaged.optimizer_state == "average":
            moments = FlatOptimizer(config.device_optimizer, self.networks.discriminator).vector.numel()
        self._moments = np.zeros(moments, np.float32)
        self._sent = np.empty(0, np.float32)  # deltas are relative to it

    @property
    def update_size(self) -> int:
        """The discriminator's shared values, and its optimiser's state if that is averaged."""
        return self._shared_size + len(self._moments)

    def parameters(self) -> Sequence[slice]:
        """The discriminator's, which come first."""
        return (slice(0, self.networks.discriminator.num_parameters),)

    def sent_buffers(self) -> Mapping[str, str]:
        """The discriminator's, if they are averaged."""
        return {"discriminator": "averaged.buffers=local"} if self.config.averaged.buffers == "average" else {}

    def traffic(self) -> Traffic:
        """Both networks down, the discriminator up; the optimiser's moments both ways where they are averaged."""
        generator, discriminator = self.networks.generator, self.networks.discriminator
        up = discriminator.num_parameters + len(self._moments)
        return Traffic(down=generator.num_parameters + up, up=up, broadcast=True)

    def compressible(self) -> Compressible:
        """The discriminator's parameters, of which differences are sent."""
        if self.config.averaged.upload != "delta":
            raise InputError(
                f"averaged.upload: {self.config.compression.name} compresses differences; set averaged.upload=delta",
                code="conflict",
            )
        return Compressible.of(self.parameters())

    def broadcast_parameters(self) -> Sequence[slice]:
        """Those of both networks, if differences are sent."""
        if self.config.averaged.upload != "delta":
            raise InputError(
                "averaged.upload: with downlink_compression devices start from a copy, and the server goes on from its "
                "own networks; set averaged.upload=delta",
                code="conflict",
            )
        return self.networks.parameters_in_a_row()

    def down(self, round: int) -> np.ndarray:
        """Returns the generator, the discriminator's averaged values and derived buffers, and averaged moments."""
        discriminator = self.networks.discriminator
        shared = array_of(discriminator.vector[: self._shared_size])
        self._sent = np.concatenate([shared, self._moments])
        return np.concatenate([self.networks.generator.dump(), shared, array_of(discriminator.derived), self._moments])

    def reference(self, round: int) -> np.ndarray:
        """Returns the values that devices started from; zeros if they send differences."""
        return self._sent if self.config.averaged.upload == "weights" else super().reference(round)

    def meanwhile(self, round: int) -> Metrics:
        """In the parallel schedule, train the generator against the discriminator of the previous round."""
        return self.generator_steps(round) if self.config.schedule == "parallel" else {}

    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Take over the average as the global discriminator; unless in parallel, train the generator against it."""
        new = means[0].vector
        if self.config.averaged.upload == "delta":
            new = self._sent + new
        self.networks.discriminator.take_over(new[: self._shared_size])
        self._moments = new[self._shared_size :]
        return {} if self.config.schedule == "parallel" else self.generator_steps(round)

    def state(self) -> State:
        """Returns the state with the averaged moments."""
        return super().state() | {"moments": self._moments}

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        super().restore(state)
        self._moments = np.array(state["moments"])


def _shared_size(discriminator: FlatModule, config: Config) -> int:
    """Returns how much of the discriminator's vector is sent: buffers only if they are averaged."""
    with_buffers = config.averaged.buffers == "average"
    return discriminator.num_averaged if with_buffers else discriminator.num_parameters


Averaged = Method(device=AveragedDevice, server=AveragedServer, scheduled=True, asynchronous=True, private_steps=True)

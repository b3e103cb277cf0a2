"""FedGAN (Rasouli, Sun, Rajagopal, arXiv 2006.07228, algorithm 1): devices train both networks, the server averages.

Each device takes K = `device_steps` simultaneous steps of both networks on its own samples, both gradients at the
old point; then both networks are averaged, by shard sizes. With uniform weights it is FL-GAN (defined in
arXiv 1811.03850). Drawing the fakes of both gradients from one batch of noise is our reading of "a local minibatch";
the optimiser is open, as the paper's algorithm is plain stochastic gradient steps.
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
from raygan.gan.moves import Moves, read
from raygan.gan.networks import Networks
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.transfer import Values, array_of, pieces
from raygan.methods.base import DeviceSide, Mean, Method, Metrics, ServerSide, Shard, State, SteppedDevice, Update
from raygan.methods.local import local_batches, local_simultaneous_step, mean
from raygan.methods.staleness import check_statistics


class WholeGanDevice(DeviceSide):
    """A device that trains both networks and sends both up."""

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        super().__init__(config, shape, torch_device)
        self.discriminator_optimizer = FlatOptimizer(config.device_optimizer, self.networks.discriminator)
        self.generator_optimizer = FlatOptimizer(config.generator_optimizer, self.networks.generator)

    def load(self, down: Values, state: State) -> None:
        """Load both networks from `down`, and both optimisers from `state` (fresh ones if it has none)."""
        load_both(self.networks, down)
        self.discriminator_optimizer.load(state.get("discriminator_optimizer"))
        self.generator_optimizer.load(state.get("generator_optimizer"))

    def moments(self) -> dict[str, Tensor]:
        """Returns the states of both optimisers, not copied."""
        return {
            "discriminator_optimizer": self.discriminator_optimizer.vector,
            "generator_optimizer": self.generator_optimizer.vector,
        }


class FedGANDevice(WholeGanDevice, SteppedDevice):
    """Takes simultaneous steps."""

    def reference(self, down: np.ndarray) -> np.ndarray | None:
        """Returns the networks that came down, without derived buffers; None if differences are sent."""
        return None if self.config.fedgan.upload == "delta" else self._start(down)

    def optimizers(self) -> Sequence[FlatOptimizer]:
        """The generator's, then the discriminator's."""
        return self.generator_optimizer, self.discriminator_optimizer

    def moves(self, shard: Shard, round: int, down: np.ndarray, state: State) -> Moves[tuple[Update, State]]:
        """`device_steps` simultaneous steps from the averaged networks."""
        self.load(self.received(down), state)
        optimizers = self.discriminator_optimizer, self.generator_optimizer
        with local_batches(self, shard, round) as batches:
            losses = []
            for batch in islice(batches, self.config.device_steps):
                losses.append((yield from local_simultaneous_step.moves(self, optimizers, round, batch)))
        switches, networks = self.config.fedgan, self.networks
        kept = self.moments() if switches.optimizer_state == "keep" else {}
        losses_of_both = (torch.stack(one) for one in zip(*losses, strict=True))
        averaged = networks.generator.averaged, networks.discriminator.averaged
        generator, discriminator, d_losses, g_losses, *kept_read = yield from read(
            *averaged, *losses_of_both, *kept.values()
        )
        weight = len(shard.samples) if switches.weights == "shard" else 1
        vector = np.concatenate([generator, discriminator])
        if switches.upload == "delta":
            vector -= self._start(down)
        metrics = {"d_loss": mean(d_losses), "g_loss": mean(g_losses)}
        return Update(shard.device, vector, weight, metrics), dict(zip(kept, kept_read, strict=True))

    def _start(self, down: np.ndarray) -> np.ndarray:
        """Returns the values that are averaged of the networks that came down."""
        generator, discriminator = pieces(down, [self.networks.generator.vector.numel()])
        averaged = (
            generator[: self.networks.generator.num_averaged],
            discriminator[: self.networks.discriminator.num_averaged],
        )
        return np.concatenate(averaged)


class WholeGanServer(ServerSide):
    """A server that does no training: the aggregate, buffers included, is the new global GAN."""

    def down(self, round: int) -> np.ndarray:
        """Both networks."""
        return both(self.networks)

    def sent_buffers(self) -> Mapping[str, str]:
        """Those of both networks."""
        return {"generator": "", "discriminator": ""}

    def meanwhile(self, round: int) -> Metrics:
        """Nothing."""
        return {}


class FedGANServer(WholeGanServer):
    """Averages after every K local steps. Its moving average is updated once a round, with the decay of K steps."""

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        super().__init__(config, shape, torch_device)
        if config.fedgan.upload == "delta":
            check_statistics(config, "fedgan.upload", self.networks.generator, self.networks.discriminator)

    @property
    def update_size(self) -> int:
        """Both networks without derived buffers."""
        return self.networks.generator.num_averaged + self.networks.discriminator.num_averaged

    def parameters(self) -> Sequence[slice]:
        """Those of both networks, each before its buffers."""
        generator, discriminator = self.networks.generator, self.networks.discriminator
        start = generator.num_averaged
        return slice(0, generator.num_parameters), slice(start, start + discriminator.num_parameters)

    def reference(self, round: int) -> np.ndarray:
        """Returns the networks that devices started from; zeros if they send differences."""
        return _averaged(self.networks) if self.config.fedgan.upload == "weights" else super().reference(round)

    def compressible(self) -> Compressible:
        """The parameters of both networks, of which differences are sent."""
        if self.config.fedgan.upload != "delta":
            raise InputError(
                f"fedgan.upload: {self.config.compression.name} compresses differences; set fedgan.upload=delta",
                code="conflict",
            )
        return Compressible.of(self.parameters())

    def broadcast_parameters(self) -> Sequence[slice]:
        """Those of both networks, if differences are sent."""
        if self.config.fedgan.upload != "delta":
            raise InputError(
                "fedgan.upload: with downlink_compression devices start from a copy, and the server goes on from its "
                "own networks; set fedgan.upload=delta",
                code="conflict",
            )
        return self.networks.parameters_in_a_row()

    def traffic(self) -> Traffic:
        """Both networks both ways."""
        both = self.networks.generator.num_parameters + self.networks.discriminator.num_parameters
        return Traffic(down=both, up=both, broadcast=True)

    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Take over the mean, and recompute derived buffers."""
        new = means[0].vector
        if self.config.fedgan.upload == "delta":
            new = _averaged(self.networks) + new
        generator, discriminator = np.split(new, [self.networks.generator.num_averaged])
        self.networks.generator.take_over(generator)
        self.networks.discriminator.take_over(discriminator)
        self.update_ema(self.config.device_steps)
        return {}


def both(networks: Networks) -> np.ndarray:
    """Returns both networks with derived buffers: generator, then discriminator."""
    return np.concatenate([networks.generator.dump(), networks.discriminator.dump()])


def load_both(networks: Networks, vector: Values) -> None:
    """Load both networks, in the layout of `both`."""
    generator, discriminator = pieces(vector, [networks.generator.vector.numel()])
    networks.generator.load(generator)
    networks.discriminator.load(discriminator)


def _averaged(networks: Networks) -> np.ndarray:
    """Returns the values that are averaged."""
    return np.concatenate([array_of(networks.generator.averaged), array_of(networks.discriminator.averaged)])


FedGAN = Method(device=FedGANDevice, server=FedGANServer, asynchronous=True, private_steps=True)

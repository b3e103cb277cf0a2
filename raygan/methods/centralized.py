"""Plain GAN training on all samples in one place: the upper baseline for distributed methods.

One trainer at the server holds the samples of all devices. So devices, partition, channel and selection do not apply,
nothing is sent, and training runs at the server's speed. A round is `device_steps` discriminator steps of `batch_size`
real images, then `generator_steps` generator steps (alternating, arXiv 1406.2661, algorithm 1). In between, the
discriminator's derived buffers are recomputed, as in the serial schedule: that schedule with one device is the same.
"""

from collections.abc import Mapping
from itertools import islice

import numpy as np
import torch

from raygan.channel.traffic import NO_TRAFFIC, Traffic
from raygan.gan.conditions import Labelled
from raygan.gan.steps import generator_step
from raygan.gan.transfer import array_of, fill, pieces
from raygan.methods.base import Mean, Method, Metrics, Shard, State, Update
from raygan.methods.fedgan import WholeGanDevice, WholeGanServer, both, load_both
from raygan.methods.inputs import global_classes
from raygan.methods.local import discriminator_steps, local_batches, mean
from raygan.rng import Role, noise, stream


class CentralizedTrainer(WholeGanDevice):
    """Holds all samples and trains both networks."""

    def update(self, shard: Shard, round: int, down: np.ndarray, state: State) -> tuple[Update, State]:
        """Take discriminator steps, then generator steps against the new discriminator; update the moving average."""
        config, networks, generator = self.config, self.networks, self.networks.generator
        both_networks, averaged = pieces(self.received(down), [len(down) - generator.num_averaged])
        self.load(both_networks, state)
        ema = torch.empty_like(generator.averaged)
        fill(ema, averaged)
        latents = stream(config.seed, Role.SERVER_NOISE, round=round)
        of_fakes = stream(config.seed, Role.SERVER_CLASSES, round=round)
        with local_batches(self, shard, round) as batches:
            steps = islice(batches, config.device_steps)
            d_losses = discriminator_steps(self, self.discriminator_optimizer, round, steps)
            networks.discriminator.refresh()
            g_losses = []
            for _ in range(config.generator_steps):
                z = noise(latents, config.generator_batch_size, config.gan.latent, self.torch_device)
                labels = global_classes(config, of_fakes, config.generator_batch_size, self.torch_device)
                real = next(batches).real if networks.loss.relative else None
                g_losses.append(generator_step(networks, self.generator_optimizer, round, Labelled(z, labels), real))
                ema.lerp_(generator.averaged, 1 - config.gan.ema)
        metrics = {"d_loss": mean(d_losses), "g_loss": mean(g_losses)}
        kept = {name: array_of(moments) for name, moments in self.moments().items()}
        return Update(shard.device, np.concatenate([both(networks), array_of(ema)]), 1, metrics), kept


class CentralizedServer(WholeGanServer):
    """Takes over the trainer's networks, to measure and save them."""

    @property
    def update_size(self) -> int:
        """Both networks, and the generator's moving average."""
        return sum(
            one.numel() for one in (self.networks.generator.vector, self.networks.discriminator.vector, self.ema)
        )

    def down(self, round: int) -> np.ndarray:
        """Both networks, then the moving average."""
        return np.concatenate([super().down(round), array_of(self.ema)])

    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Take over networks and moving average."""
        size = self.ema.numel()
        load_both(self.networks, means[0].vector[:-size])
        fill(self.ema, means[0].vector[-size:])
        return {}

    def traffic(self) -> Traffic:
        """Nothing is sent."""
        return NO_TRAFFIC


Centralized = Method(device=CentralizedTrainer, server=CentralizedServer, pooled=True, private_steps=True)

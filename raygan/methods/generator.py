"""A server that trains the generator, independent of how it aggregates updates."""

import torch

from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.gan.conditions import Labelled
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.steps import generator_step
from raygan.methods.base import Metrics, ServerSide, State
from raygan.methods.inputs import global_classes
from raygan.methods.local import mean
from raygan.rng import Role, noise, stream, torch_seeded


class GeneratorServer(ServerSide):
    """Holds the generator's optimiser. It has no real samples, so a relative loss is an InputError."""

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        super().__init__(config, shape, torch_device)
        if self.networks.loss.relative:
            raise InputError(
                f"gan.loss: {config.gan.loss} compares generated samples with real ones, but the server of "
                f"method={config.method}, which trains the generator, has none; take method=fedgan, mdgan or "
                "centralized, or another loss",
                code="conflict",
            )
        self._generator_optimizer = FlatOptimizer(config.generator_optimizer, self.networks.generator)

    def generator_steps(self, round: int) -> Metrics:
        """Take `generator_steps` steps against the current discriminator, update the average; returns the mean loss."""
        config = self.config
        latents = stream(config.seed, Role.SERVER_NOISE, round=round)
        of_fakes = stream(config.seed, Role.SERVER_CLASSES, round=round)
        losses = []
        with (
            torch_seeded(config.seed, Role.SERVER_TORCH, round=round),
            self.networks.chance.of(Role.SERVER_AUGMENT, round=round),
        ):
            for _ in range(config.generator_steps):
                z = noise(latents, config.generator_batch_size, config.gan.latent, self.torch_device)
                labels = global_classes(config, of_fakes, config.generator_batch_size, self.torch_device)
                losses.append(generator_step(self.networks, self._generator_optimizer, round, Labelled(z, labels)))
                self.update_ema()
        return {"g_loss": mean(losses)}

    def state(self) -> State:
        """Returns also the state of the generator's optimiser."""
        return super().state() | {"optimizer": self._generator_optimizer.dump()}

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        super().restore(state)
        self._generator_optimizer.load(state["optimizer"])

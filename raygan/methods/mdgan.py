"""MD-GAN (Hardy, Le Merrer, Sericola, arXiv 1811.03850, algorithm 1): one generator, a discriminator per device.

Per round the server generates k batches of b = `batch_size` images. Device n gets two of them, X_g = X((n mod k) + 1)
and X_d = X(((n+1) mod k) + 1), takes L = `device_steps` discriminator steps on b samples of its own and X_d, the same
ones L times, and sends up the gradient of its generator loss with respect to each image of X_g. The server propagates
the mean of these gradients back through the generator. Every `mdgan.swap_epochs` passes over a shard, devices swap
discriminators.

Scale: a device's gradient is that of a mean over b images, so the server weighs each by 1/N, N the devices that took
part, and not by 1/(N b) again. Swaps are random pairs, so that no discriminator is lost or doubled; with an odd
number one stays. The paper does not say what happens to the optimiser's moments at a swap: see `mdgan.swap_moments`.
With a class condition, the server draws the class of each image, and the classes go down with the images.
Other weightings of the feedback than the mean are in `raygan.methods.feedback`, where the method is put together.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from raygan.channel.traffic import Traffic
from raygan.compression.uplink import Compressible
from raygan.config.aggregation import TrimmedMean
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.gan.conditions import Labelled
from raygan.gan.moves import Moves, read
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.steps import feedback, feedback_step, generate
from raygan.gan.transfer import Values, array_of, fill, pieces, uploaded
from raygan.methods.base import (
    Mean,
    Metrics,
    ServerSide,
    Shard,
    State,
    SteppedDevice,
    Update,
)
from raygan.methods.inputs import global_classes
from raygan.methods.local import local_batches, local_step, mean, planned_batch
from raygan.methods.swaps import together
from raygan.rng import Role, noise, stream, torch_seeded


def number_of_batches(config: Config) -> int:
    """Returns the paper's k: as configured, else ceil(log N) (the paper's experiments use 1 or this).

    It is 1 where all devices judge the same images (`mdgan.feedback`).
    """
    if config.mdgan.feedback != "mean":
        return 1
    return config.mdgan.batches or max(1, math.ceil(math.log(config.devices)))


class MDGANDevice(SteppedDevice):
    """Keeps a local discriminator and returns feedback on generated images."""

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        super().__init__(config, shape, torch_device)
        self._optimizer = FlatOptimizer(config.device_optimizer, self.networks.discriminator)
        self._initial = self.networks.discriminator.dump()
        self._shape = shape
        self._batches = number_of_batches(config)

    def moves(self, shard: Shard, round: int, down: np.ndarray, state: State) -> Moves[tuple[Update, State]]:
        """Take `device_steps` discriminator steps on X_d, then compute the feedback on X_g."""
        discriminator = self.networks.discriminator
        discriminator.load(state.get("discriminator", self._initial))
        self._optimizer.load(state.get("optimizer"))
        slot = shard.device % self._batches
        images = self.received(down)
        generated, judged = (self._batch(images, index) for index in (slot, (shard.device + 1) % self._batches))
        with local_batches(self, shard, round, steps=1) as batches:
            batch = next(batches)
            fake = judged.first(planned_batch(self.config, len(shard.samples)))
            d_losses = []
            for _ in range(self.config.device_steps):
                d_losses.append((yield from local_step.moves(self, self._optimizer, round, batch, fake)))
            judgement, metrics = yield from self.judge(generated, batch.real)
        kept = {"discriminator": discriminator.vector, "optimizer": self._optimizer.vector}
        losses = {"d_loss": torch.stack(d_losses)} | metrics
        read_here = yield from read(judgement, *kept.values(), *losses.values())
        vector, states, told = read_here[0], read_here[1 : 1 + len(kept)], read_here[1 + len(kept) :]
        scalars = {name: mean(values) for name, values in zip(losses, told, strict=True)}
        update = Update(shard.device, vector, self.weight(shard), scalars, slot)
        return update, dict(zip(kept, states, strict=True))

    def judge(self, generated: Labelled, real: Labelled) -> Moves[tuple[Tensor, dict[str, Tensor]]]:
        """Returns the feedback on generated images as it is sent, (update_size,), and losses, (1,), of the generator.

        What is sent lies in the order of (b, *shape), whatever the layout of the tensors in memory.
        """
        gradient, loss = yield from feedback.moves(self.networks, generated, real)
        return gradient.reshape(-1), {"g_loss": loss.view(1)}

    def weight(self, shard: Shard) -> int:
        """Returns the weight of a device in the mean."""
        return 1

    def _batch(self, down: Values, index: int) -> Labelled:
        """Returns one of the batches of images, and their classes if there is a condition."""
        batch = torch.empty(self.config.batch_size, *self._shape, device=self.torch_device)
        images, labels = pieces(down, [self._batches * batch.numel()])
        fill(batch, images.reshape(self._batches, *batch.shape)[index])
        if not self.networks.classes:
            return Labelled(batch)
        classes = torch.empty(len(batch), device=self.torch_device)
        fill(classes, labels.reshape(self._batches, len(batch))[index])
        return Labelled(batch, classes.long())


class MDGANServer(ServerSide):
    """Generates the batches, and trains the generator with the devices' feedback."""

    unicast = 2
    """Batches that are sent to a device alone."""

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        _check(config)
        super().__init__(config, shape, torch_device)
        self._optimizer = FlatOptimizer(config.generator_optimizer, self.networks.generator)
        self.slots = number_of_batches(config)
        self._shape = shape
        self.values_per_batch = config.batch_size * math.prod(shape)

    @property
    def update_size(self) -> int:
        """One gradient for each value of a batch."""
        return self.values_per_batch

    def traffic(self) -> Traffic:
        """Two batches down to each device, or all batches to all; gradients of one up; a discriminator at a swap."""
        batch, broadcast = self.values_per_batch, self.config.mdgan.downlink == "broadcast"
        swapped = self.networks.discriminator.num_parameters
        if self.config.mdgan.swap_moments == "travel":
            swapped += FlatOptimizer(self.config.device_optimizer, self.networks.discriminator).vector.numel()
        sent, classes = self.slots if broadcast else self.unicast, self.networks.classes
        bits = math.ceil(math.log2(classes)) if classes else 0  # of the class of an image
        return Traffic(
            down=sent * batch,
            up=self.update_size,
            broadcast=broadcast,
            swap=swapped,
            down_bits=sent * self.config.batch_size * bits,
        )

    def compressible(self) -> Compressible:
        """The gradients at images, which are new in every round."""
        return Compressible(((0, self.values_per_batch),), adds_up=False)

    def broadcast_parameters(self) -> Sequence[slice]:
        """Refused: images go down, and new ones in every round."""
        raise InputError(
            "downlink_compression.name: method=mdgan sends images down, which are new in every round, and no networks "
            "of which devices keep a copy; set downlink_compression.name=none",
            code="conflict",
        )

    def down(self, round: int) -> np.ndarray:
        """Returns all k batches, (k * b * d,), of which a device uses two; then their classes, (k * b,), if any.

        `finish` generates the same batches again, with gradients; only that updates buffers.
        """
        moving = self.networks.generator.moving
        before = moving.clone()
        images, classes = [], []
        for slot, latents in enumerate(self.latents(round)):
            with torch_seeded(self.config.seed, Role.SERVER_TORCH, slot, round):
                images.append(array_of(generate(self.networks, latents).values).ravel())
            if latents.labels is not None:
                classes.append(array_of(latents.labels.float()))  # exact up to 16,777,216 classes
        moving.copy_(before)
        return np.concatenate(images + classes)

    def meanwhile(self, round: int) -> Metrics:
        """Do nothing: the generator waits for the feedback."""
        return {}

    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Take one generator step with the mean feedback, where slot j has the share of devices that judged X(j)."""
        total = sum(judgement.weight for judgement in means.values())
        shape = (self.config.batch_size, *self._shape)
        latents = self.latents(round)

        def judged() -> Iterator[tuple[Tensor, Tensor]]:
            for slot, one in enumerate(latents):  # all batches, as in `down`: each forward pass updates buffers
                with torch_seeded(self.config.seed, Role.SERVER_TORCH, slot, round):
                    images = self.networks.samples(*one)
                if slot in means:
                    mean_feedback, weight = means[slot].vector, means[slot].weight
                    yield images, uploaded(mean_feedback, self.torch_device).view(shape) * (weight / total)

        feedback_step(self.networks, self._optimizer, round, judged())
        self.update_ema()
        return {}

    def latents(self, round: int) -> list[Labelled]:
        """Returns latent points for each batch."""
        config, device = self.config, self.torch_device
        random = stream(config.seed, Role.SERVER_NOISE, round=round)
        of_images = stream(config.seed, Role.SERVER_CLASSES, round=round)
        return [
            Labelled(
                noise(random, config.batch_size, config.gan.latent, device),
                global_classes(config, of_images, config.batch_size, device),
            )
            for _ in range(self.slots)
        ]

    def state(self) -> State:
        """Returns the generator and its optimiser's state; there is no global discriminator."""
        state = super().state() | {"optimizer": self._optimizer.dump()}
        del state["discriminator"]
        return state

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        super().restore(state | {"discriminator": self.networks.discriminator.dump()})
        self._optimizer.load(state["optimizer"])


def _check(config: Config) -> None:
    if config.gan.fake_classes == "own":
        raise InputError(
            "gan.fake_classes: own is for methods whose devices generate; with mdgan the server does, so leave it out",
            code="conflict",
        )
    judges = together(config) // number_of_batches(config)
    if isinstance(config.aggregation, TrimmedMean) and 2 * config.aggregation.trim >= judges:
        raise InputError(
            f"aggregation.trim: {config.aggregation.trim} at either end leaves nothing of the {judges} devices that "
            "judge a batch; lower it, or mdgan.batches",
            code="conflict",
        )
    if number_of_batches(config) > config.devices:
        raise InputError(
            f"mdgan.batches: {config.mdgan.batches} is more than devices={config.devices} can judge", code="conflict"
        )
    if config.mdgan.swap_epochs is not None and together(config) < 2:
        raise InputError(
            "mdgan.swap_epochs: discriminators can only change places between two devices or more in a round, but "
            "there is 1; set mdgan.swap_epochs=null, or more devices (selection.count)",
            code="conflict",
        )

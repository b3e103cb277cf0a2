"""The two networks of a GAN: building them, and checking that they fit each other and the data."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raygan.components import DISCRIMINATORS, GENERATORS, LOSSES, build, resolve
from raygan.config.gan import Gan, Precision
from raygan.config.tree import Config
from raygan.errors import InputError, naming, place_of
from raygan.gan.augmentation import changed
from raygan.gan.chance import Chance
from raygan.gan.class_losses import ClassLoss, class_loss_of
from raygan.gan.conditions import Judged, Named
from raygan.gan.flat import FlatModule
from raygan.gan.losses import Loss
from raygan.gan.replay import Replay
from raygan.rng import Role, torch_seeded


@dataclass(frozen=True)
class Networks:
    """Generator and discriminator in their initial state, and the loss between them."""

    generator: FlatModule
    discriminator: FlatModule
    loss: Loss
    penalty_weight: float
    precision: Precision
    replay: Replay
    """Launches the passes of the networks."""
    r1: float
    """What half of the mean squared gradient at real samples is multiplied by in a step that has the penalty."""
    r2: float
    """At generated samples, likewise."""
    chance: Chance
    """How samples are augmented, and which steps have the penalties."""
    class_loss: ClassLoss | None = None
    """The error of a discriminator that names classes."""
    classes: int = 0
    """The number of classes that the networks tell apart; with 0 there are no labels."""
    stacked: bool = False
    """Whether these are several GANs side by side: every tensor then has them along its first dimension."""

    def each(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Returns a function of one GAN's tensors as one of these networks' tensors."""
        if not self.stacked:
            return function
        side_by_side: Callable[..., Tensor] = torch.vmap(function)
        return side_by_side

    @property
    def batch_dim(self) -> int:
        """The dimension along which the samples of a batch lie."""
        return int(self.stacked)

    def count(self, samples: Tensor) -> int:
        """Returns the number of samples in a batch."""
        return samples.shape[self.batch_dim]

    def both(self) -> tuple[FlatModule, FlatModule]:
        """Returns the generator and the discriminator."""
        return self.generator, self.discriminator

    def parameters_in_a_row(self) -> tuple[slice, slice]:
        """Returns the places of both networks' parameters where the generator's vector goes before the other's."""
        start = self.generator.vector.numel()
        end = start + self.discriminator.num_parameters
        return slice(0, self.generator.num_parameters), slice(start, end)

    def samples(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Returns the generator's samples, (N, *shape) float32, for latent points (N, latent) and labels (N,)."""
        with self._precisely(z):
            made: Tensor = self.generator.module(z, *self._condition(labels))
        return made.float()

    def judged(self, samples: Tensor, labels: Tensor | None = None) -> Judged:
        """Returns what the discriminator says of samples (N, *shape) with labels (N,), as float32."""
        condition = self._condition(labels)
        with self._precisely(samples):
            if self.class_loss is None:
                logits: Tensor = self.discriminator.module(samples, *condition)
                return Judged(logits.float())
            logits, *named = self.discriminator.module(samples)
        return Judged(logits.float(), Named(*condition, *(one.float() for one in named)))

    def logits(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Returns the discriminator's logits, (N,) float32."""
        return self.judged(samples, labels).logits

    def with_class_losses(self, loss: Tensor, *judged: Judged) -> Tensor:
        """Returns a loss with the discriminator's error in naming the classes of these samples, if it names them."""
        for one in judged:
            if self.class_loss is not None and one.named is not None:
                loss = loss + self.class_loss.weight * self._misnamed(self.class_loss, one.named)
        return loss

    def _misnamed(self, class_loss: ClassLoss, named: Named) -> Tensor:
        said = [part for part in named if part is not None]
        return self.each(lambda *parts: class_loss.of(Named(*parts)))(*said)

    def _condition(self, labels: Tensor | None) -> tuple[Tensor, ...]:
        """Returns the labels for networks that are given them."""
        if not self.classes:
            return ()
        if labels is None:
            raise ValueError("gan.condition: the networks need the classes of these samples, and were given none")
        return (labels,)

    def changes(self, count: int) -> Tensor | None:
        """Returns the changes of so many samples by the augmentation, drawn for the next step; None without any."""
        return self.chance.changes(count, self.generator.vector.device)

    def seen(self, samples: Tensor, changes: Tensor | None) -> Tensor:
        """Returns the samples as the discriminator sees them: augmented by `changes`, or as they are."""
        return samples if changes is None else self.each(changed)(samples, changes)

    def _precisely(self, given: Tensor) -> AbstractContextManager[object]:
        if self.precision != "bfloat16":  # TF32 is a setting of the process: raygan.round.compute
            return nullcontext()
        return torch.autocast(given.device.type, torch.bfloat16, cache_enabled=False)

    @property
    def one_pass(self) -> bool:
        """Whether a discriminator step takes one pass over real and generated samples together, not one over each.

        It may where passes of the two are the same (`per_sample`), or where the discriminator declares that they
        regularise alike, with an attribute `one_pass = True`: with spectral normalisation the vectors move once a step.
        """
        return self.per_sample or getattr(self.discriminator.module, "one_pass", False) is True

    @property
    def per_sample(self) -> bool:
        """Whether, as the discriminator declares, a logit depends on its own sample only and passes change no state.

        Then one pass over real and generated samples together is the same as two. A custom network declares it with an
        attribute `per_sample = True`. Batch normalisation, spectral normalisation and dropout break it.
        """
        return getattr(self.discriminator.module, "per_sample", False) is True


def build_networks(config: Config, shape: tuple[int, ...], device: torch.device) -> Networks:
    """Returns both networks with their initial weights, which every process shares: a function of the config alone."""
    gan = config.gan
    with torch_seeded(config.seed, Role.GENERATOR_INIT):
        generator = build_generator(gan, shape)
    with torch_seeded(config.seed, Role.DISCRIMINATOR_INIT):
        discriminator = build(DISCRIMINATORS, gan.discriminator, "gan.discriminator", nn.Module, shape, gan)
    loss = resolve(LOSSES, gan.loss, "gan.loss")
    if not isinstance(loss, Loss):
        raise InputError(
            f"gan.loss: {gan.loss} is a {type(loss).__name__}, but a raygan.gan.losses.Loss is needed", code="kind"
        )
    if gan.augment != "none" and len(shape) != 3:
        raise InputError(
            f"gan.augment: {gan.augment} changes images, but a sample has the shape {shape}; set gan.augment=none",
            code="conflict",
        )
    flat_generator = _laid_out("gan.generator", generator, device)
    flat_discriminator = _laid_out("gan.discriminator", discriminator, device)
    replay = Replay(config.engine.cuda_graphs and _replayable(gan, generator, discriminator))
    return Networks(
        flat_generator,
        flat_discriminator,
        loss,
        gan.gradient_penalty,
        gan.precision,
        replay,
        gan.r1 * gan.penalty_every,
        gan.r2 * gan.penalty_every,
        Chance(gan, config.seed, shape),
        class_loss_of(gan) if gan.condition == "auxiliary" and gan.num_classes > 0 else None,
        gan.num_classes,
    )


def _replayable(gan: Gan, generator: nn.Module, discriminator: nn.Module) -> bool:
    """Whether passes always launch the same kernels: raygan's do, custom networks may say so, custom losses cannot."""
    return ":" not in gan.loss and all(
        ":" not in name or getattr(network, "replayable", False) is True
        for name, network in ((gan.generator, generator), (gan.discriminator, discriminator))
    )


def _laid_out(key: str, network: nn.Module, device: torch.device) -> FlatModule:
    try:
        return FlatModule(network, device)
    except Exception as error:  # whatever a custom network raises in `refresh`
        raise InputError(f"{key}: its derived buffers cannot be recomputed: {error}", code="failed") from error


def build_generator(gan: Gan, shape: tuple[int, ...]) -> nn.Module:
    """Returns the generator alone, with weights from torch's current random state."""
    return build(GENERATORS, gan.generator, "gan.generator", nn.Module, shape, gan)


def check_networks(config: Config, shape: tuple[int, ...], smallest_shard: int) -> None:
    """Build both networks once and pass the smallest batches of the run through them, in training mode.

    Raises:
        InputError: a network cannot be built, or they do not fit each other or the data; names the key.
    """
    networks = build_networks(config, shape, torch.device("cpu"))
    check_loss(networks.loss, f"gan.loss: {config.gan.loss}")
    with torch_seeded(config.seed, Role.DEVICE_TORCH):
        for batch in {min(config.batch_size, smallest_shard), config.generator_batch_size}:
            z = torch.zeros(batch, config.gan.latent)
            labels = (torch.arange(batch) % networks.classes,) if networks.classes else ()
            samples = _probe(networks.generator, "gan.generator", (z, *labels), (batch, *shape))
            if networks.class_loss is None:
                _probe(networks.discriminator, "gan.discriminator", (samples, *labels), (batch,))
            else:
                _probe_naming(networks, networks.class_loss, samples)


def _probe(network: FlatModule, key: str, given: tuple[Tensor, ...], expected: tuple[int, ...]) -> Tensor:
    return _checked(key, _tried(network, key, given), given[0], expected)


def _probe_naming(networks: Networks, class_loss: ClassLoss, samples: Tensor) -> None:
    """Probe a discriminator that also names classes."""
    key, count, classes = "gan.discriminator", len(samples), networks.classes
    out = _tried(networks.discriminator, key, (samples,))
    parts = {"logits": (count,)} | class_loss.answers(count, classes)
    if not (isinstance(out, tuple) and len(out) == len(parts)):
        needed = [f"{what} {shape}" for what, shape in parts.items()]
        raise InputError(
            f"{key}: makes a {type(out).__name__} of a batch of {count}, but with gan.condition=auxiliary a tuple is "
            f"needed: {', '.join(needed[:-1])} and {needed[-1]}",
            code="result",
        )
    for part, expected in zip(out, parts.values(), strict=True):
        _checked(key, part, samples, expected)


def _tried(network: FlatModule, key: str, given: tuple[Tensor, ...]) -> object:
    try:
        with torch.no_grad():
            out: object = network.module(*given)
    except Exception as error:  # whatever a custom network raises
        labels = " with their classes" if len(given) > 1 else ""
        raise InputError(
            f"{key}: fails on a batch of shape {tuple(given[0].shape)}{labels}, as in this run: {error} "
            f"({place_of(error)})",
            code="failed",
        ) from error
    return out


def _checked(key: str, out: object, given: Tensor, expected: tuple[int, ...]) -> Tensor:
    if not (isinstance(out, Tensor) and out.dtype == torch.float32):
        made = f"{out.dtype} tensor" if isinstance(out, Tensor) else type(out).__name__
        raise InputError(
            f"{key}: makes a {made} of a batch of {len(given)}, but a float32 tensor is needed", code="result"
        )
    if tuple(out.shape) != expected:
        raise InputError(
            f"{key}: makes {tuple(out.shape)} of a batch of {len(given)}, but {expected} is needed", code="result"
        )
    return out


def check_loss(loss: Loss, key: str) -> None:
    """Try a loss on a few logits, forward and backward.

    Raises:
        InputError: a part of it fails, or does not return a finite scalar with a gradient for the logits; names `key`.
    """
    for part, count in (("discriminator", 2), ("generator", 1 + loss.relative)):
        logits = [torch.linspace(-1, 1, 4).requires_grad_() for _ in range(count)]
        with naming(key, part):
            value: object = getattr(loss, part)(*logits)
        if not (isinstance(value, Tensor) and value.dim() == 0 and value.requires_grad and bool(value.isfinite())):
            is_one = f"{value.dtype} tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise InputError(
                f"{key}: {part} gave {is_one} for logits of shape (4,); a finite scalar that depends on them is needed",
                code="result",
            )

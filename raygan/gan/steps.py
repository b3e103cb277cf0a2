"""The two networks of a GAN, one discriminator step, one generator step.

A step is told its round, on which the learning rate depends.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raygan.components import DISCRIMINATORS, GENERATORS, LOSSES, build, resolve
from raygan.config.gan import Gan
from raygan.config.tree import Config
from raygan.errors import InputError, naming, place_of
from raygan.gan.flat import FlatModule
from raygan.gan.losses import Loss, gradient_penalty
from raygan.gan.optimizer import FlatOptimizer
from raygan.rng import Role, torch_seeded


@dataclass(frozen=True)
class Networks:
    """Generator and discriminator in their initial state, and the loss between them."""

    generator: FlatModule
    discriminator: FlatModule
    loss: Loss
    penalty_weight: float

    @property
    def per_sample(self) -> bool:
        """Whether the discriminator promises that a sample's logit depends on no other and that passes leave no trace.

        Then one pass over real and generated samples together is the same as two. A network of one's own
        promises it with an attribute `per_sample = True`; batch and spectral normalisation and dropout break it.
        """
        return getattr(self.discriminator.module, "per_sample", False) is True


def build_networks(config: Config, shape: tuple[int, ...], device: torch.device) -> Networks:
    """Both networks with the initial weights that every party shares: a function of the config alone."""
    gan = config.gan
    with torch_seeded(config.seed, Role.GENERATOR_INIT):
        generator = build_generator(gan, shape)
    with torch_seeded(config.seed, Role.DISCRIMINATOR_INIT):
        discriminator = build(DISCRIMINATORS, gan.discriminator, "gan.discriminator", nn.Module, shape, gan)
    loss = resolve(LOSSES, gan.loss, "gan.loss")
    if not isinstance(loss, Loss):
        raise InputError(f"gan.loss: {gan.loss} is a {type(loss).__name__}, but a raygan.gan.losses.Loss is needed")
    flat_generator = _laid_out("gan.generator", generator, device)
    flat_discriminator = _laid_out("gan.discriminator", discriminator, device)
    return Networks(flat_generator, flat_discriminator, loss, gan.gradient_penalty)


def _laid_out(key: str, network: nn.Module, device: torch.device) -> FlatModule:
    try:
        return FlatModule(network, device)
    except Exception as error:  # whatever a user's own network raises where it recomputes what follows from it
        raise InputError(f"{key}: its derived buffers cannot be recomputed: {error}") from error


def build_generator(gan: Gan, shape: tuple[int, ...]) -> nn.Module:
    """The generator alone, with whatever weights torch's random state gives."""
    return build(GENERATORS, gan.generator, "gan.generator", nn.Module, shape, gan)


def check_networks(config: Config, shape: tuple[int, ...], smallest_shard: int) -> None:
    """Build both networks once and pass the smallest batches of the run through, in training mode.

    Raises:
        InputError: one cannot be built, or they do not fit each other or the data; names the key.
    """
    networks = build_networks(config, shape, torch.device("cpu"))
    check_loss(networks.loss, f"gan.loss: {config.gan.loss}")
    with torch_seeded(config.seed, Role.DEVICE_TORCH):
        for batch in {min(config.batch_size, smallest_shard), config.generator_batch_size}:
            z = torch.zeros(batch, config.gan.latent)
            samples = _probe(networks.generator, "gan.generator", z, (batch, *shape))
            _probe(networks.discriminator, "gan.discriminator", samples, (batch,))


def _probe(network: FlatModule, key: str, given: Tensor, expected: tuple[int, ...]) -> Tensor:
    try:
        with torch.no_grad():
            out: object = network.module(given)
    except Exception as error:  # whatever a user's own network raises
        raise InputError(
            f"{key}: fails on a batch of shape {tuple(given.shape)}, as in this run: {error} ({place_of(error)})"
        ) from error
    if not (isinstance(out, Tensor) and out.dtype == torch.float32):
        made = f"{out.dtype} tensor" if isinstance(out, Tensor) else type(out).__name__
        raise InputError(f"{key}: makes a {made} of a batch of {len(given)}, but a float32 tensor is needed")
    if tuple(out.shape) != expected:
        raise InputError(f"{key}: makes {tuple(out.shape)} of a batch of {len(given)}, but {expected} is needed")
    return out


def check_loss(loss: Loss, key: str) -> None:
    """Try a loss on a few logits, forward and backward.

    Raises:
        InputError: a part of it fails or is no finite scalar that logits have a gradient of; names `key`.
    """
    for part, count in (("discriminator", 2), ("generator", 1)):
        logits = [torch.linspace(-1, 1, 4).requires_grad_() for _ in range(count)]
        with naming(key, part):
            value: object = getattr(loss, part)(*logits)
        if not (isinstance(value, Tensor) and value.dim() == 0 and value.requires_grad and bool(value.isfinite())):
            is_one = f"{value.dtype} tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise InputError(
                f"{key}: {part} gave {is_one} for logits of shape (4,); a finite scalar that depends on them is needed"
            )


def generate(networks: Networks, z: Tensor) -> Tensor:
    """Samples for latent points `z` (N, latent), the generator frozen."""
    with torch.no_grad():
        fake: Tensor = networks.generator.module(z)
    return fake


def discriminator_step(
    networks: Networks, optimizer: FlatOptimizer, round: int, real: Tensor, fake: Tensor, mix: Tensor | None
) -> float:
    """One descent step of the discriminator on real and generated samples, (N, *shape) each.

    `mix` (N,) places WGAN-GP's penalty and is None for other losses. Returns the loss before the step.
    """
    loss = discriminator_gradient(networks, real, fake, mix)
    optimizer.step(round)
    return loss


def discriminator_gradient(networks: Networks, real: Tensor, fake: Tensor, mix: Tensor | None) -> float:
    """Leave the gradient of such a step as the discriminator's `gradient`; returns the loss."""
    discriminator = networks.discriminator
    discriminator.gradient.zero_()
    if networks.per_sample:
        real_logits, fake_logits = discriminator.module(torch.cat([real, fake])).split([len(real), len(fake)])
    else:
        fake_logits = discriminator.module(fake)
        real_logits = discriminator.module(real)
    loss = _discriminator_loss(networks, real_logits, fake_logits, real, fake, mix)
    loss.backward()
    return loss.item()


def simultaneous_step(
    networks: Networks,
    discriminator_optimizer: FlatOptimizer,
    generator_optimizer: FlatOptimizer,
    round: int,
    real: Tensor,
    z: Tensor,
    mix: Tensor | None,
) -> tuple[float, float]:
    """One descent step of both networks, both gradients taken at the point before it, on the same fakes.

    Returns the discriminator's and the generator's loss before the step.
    """
    generator, discriminator = networks.generator, networks.discriminator
    generator.gradient.zero_()
    discriminator.gradient.zero_()
    fake = generator.module(z)
    logits = discriminator.module(fake)
    d_loss = _discriminator_loss(networks, discriminator.module(real), logits, real, fake.detach(), mix)
    g_loss = networks.loss.generator(logits)
    d_loss.backward(inputs=_trained(discriminator), retain_graph=True)
    g_loss.backward(inputs=_trained(generator))
    discriminator_optimizer.step(round)
    generator_optimizer.step(round)
    return d_loss.item(), g_loss.item()


def feedback(networks: Networks, fake: Tensor) -> tuple[Tensor, float]:
    """The gradient of the generator's mean loss with respect to the fakes (N, *shape), and that loss."""
    given = fake.detach().requires_grad_()
    loss = networks.loss.generator(networks.discriminator.module(given))
    (gradient,) = torch.autograd.grad(loss, given)
    return gradient, loss.item()


def feedback_step(
    networks: Networks, optimizer: FlatOptimizer, round: int, judged: Iterable[tuple[Tensor, Tensor]]
) -> None:
    """One descent step of the generator on batches of its samples, each with the gradient at every sample."""
    networks.generator.gradient.zero_()
    for fake, gradient in judged:
        fake.backward(gradient)
    optimizer.step(round)


def _discriminator_loss(
    networks: Networks, real_logits: Tensor, fake_logits: Tensor, real: Tensor, fake: Tensor, mix: Tensor | None
) -> Tensor:
    loss = networks.loss.discriminator(real_logits, fake_logits)
    if mix is not None:
        loss = loss + networks.penalty_weight * gradient_penalty(networks.discriminator.module, real, fake, mix)
    return loss


def generator_step(networks: Networks, optimizer: FlatOptimizer, round: int, z: Tensor) -> float:
    """One descent step of the generator against the discriminator as it is; `z` is (M, latent).

    Returns the loss before the step.
    """
    generator, discriminator = networks.generator, networks.discriminator
    generator.gradient.zero_()
    loss = networks.loss.generator(discriminator.module(generator.module(z)))
    loss.backward(inputs=_trained(generator))
    optimizer.step(round)
    return loss.item()


def _trained(network: FlatModule) -> list[nn.Parameter]:
    """The parameters that learn: all but those that a user's own network keeps frozen."""
    return [parameter for parameter in network.module.parameters() if parameter.requires_grad]

"""Single training steps: of the discriminator, of the generator, of both, and from feedback.

A step is given its round, because the learning rate depends on it. Losses are 0-dimensional tensors. Reading one waits
for the computation, so that is done once a round and not here.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from raygan.gan.flat import FlatModule
from raygan.gan.losses import gradient_penalty
from raygan.gan.networks import Networks
from raygan.gan.optimizer import FlatOptimizer


def generate(networks: Networks, z: Tensor) -> Tensor:
    """Returns samples for latent points `z` (N, latent), with the generator frozen."""
    (fake,) = networks.replay(_generate, networks, z)
    return fake


def _generate(networks: Networks, z: Tensor) -> tuple[Tensor]:
    with torch.no_grad():
        return (networks.samples(z),)


def discriminator_step(
    networks: Networks, optimizer: FlatOptimizer, round: int, real: Tensor, fake: Tensor, mix: Tensor | None
) -> Tensor:
    """One descent step of the discriminator on real and generated samples, (N, *shape) each.

    `mix` (N,) places WGAN-GP's penalty and is None for other losses. Returns the loss before the step.
    """
    loss = discriminator_gradient(networks, real, fake, mix)
    optimizer.step(round)
    return loss


def discriminator_gradient(networks: Networks, real: Tensor, fake: Tensor, mix: Tensor | None) -> Tensor:
    """Compute the gradient of such a step into the discriminator's `gradient`; returns the loss."""
    (loss,) = networks.replay(_discriminator_gradient, networks, real, fake, mix)
    return loss


def _discriminator_gradient(networks: Networks, real: Tensor, fake: Tensor, mix: Tensor | None) -> tuple[Tensor]:
    networks.discriminator.gradient.zero_()
    if networks.per_sample:
        real_logits, fake_logits = networks.logits(torch.cat([real, fake])).split([len(real), len(fake)])
    else:
        fake_logits = networks.logits(fake)
        real_logits = networks.logits(real)
    loss = _discriminator_loss(networks, real_logits, fake_logits, real, fake, mix)
    loss.backward()
    return (loss.detach(),)


def simultaneous_step(
    networks: Networks,
    discriminator_optimizer: FlatOptimizer,
    generator_optimizer: FlatOptimizer,
    round: int,
    real: Tensor,
    z: Tensor,
    mix: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """One descent step of both networks, with both gradients taken before the step, on the same fakes.

    Returns the discriminator's and the generator's loss before the step.
    """
    d_loss, g_loss = networks.replay(_both_gradients, networks, real, z, mix)
    discriminator_optimizer.step(round)
    generator_optimizer.step(round)
    return d_loss, g_loss


def _both_gradients(networks: Networks, real: Tensor, z: Tensor, mix: Tensor | None) -> tuple[Tensor, Tensor]:
    generator, discriminator = networks.generator, networks.discriminator
    generator.gradient.zero_()
    discriminator.gradient.zero_()
    fake = networks.samples(z)
    logits = networks.logits(fake)
    d_loss = _discriminator_loss(networks, networks.logits(real), logits, real, fake.detach(), mix)
    g_loss = networks.loss.generator(logits)
    d_loss.backward(inputs=_trained(discriminator), retain_graph=True)
    g_loss.backward(inputs=_trained(generator))
    return d_loss.detach(), g_loss.detach()


def feedback(networks: Networks, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the gradient of the generator's mean loss with respect to the fakes (N, *shape), and that loss."""
    gradient, loss = networks.replay(_feedback, networks, fake)
    return gradient, loss


def _feedback(networks: Networks, fake: Tensor) -> tuple[Tensor, Tensor]:
    given = fake.detach().requires_grad_()
    loss = networks.loss.generator(networks.logits(given))
    (gradient,) = torch.autograd.grad(loss, given)
    return gradient, loss.detach()


def feedback_step(
    networks: Networks, optimizer: FlatOptimizer, round: int, judged: Iterable[tuple[Tensor, Tensor]]
) -> None:
    """One descent step of the generator, given batches of its samples and the gradient at every sample."""
    networks.generator.gradient.zero_()
    for fake, gradient in judged:
        fake.backward(gradient)
    optimizer.step(round)


def _discriminator_loss(
    networks: Networks, real_logits: Tensor, fake_logits: Tensor, real: Tensor, fake: Tensor, mix: Tensor | None
) -> Tensor:
    loss = networks.loss.discriminator(real_logits, fake_logits)
    if mix is not None:
        loss = loss + networks.penalty_weight * gradient_penalty(networks.logits, real, fake, mix)
    return loss


def generator_step(networks: Networks, optimizer: FlatOptimizer, round: int, z: Tensor) -> Tensor:
    """One descent step of the generator against the current discriminator; `z` is (M, latent).

    Returns the loss before the step.
    """
    (loss,) = networks.replay(_generator_gradient, networks, z)
    optimizer.step(round)
    return loss


def _generator_gradient(networks: Networks, z: Tensor) -> tuple[Tensor]:
    networks.generator.gradient.zero_()
    loss = networks.loss.generator(networks.logits(networks.samples(z)))
    loss.backward(inputs=_trained(networks.generator))
    return (loss.detach(),)


def _trained(network: FlatModule) -> list[nn.Parameter]:
    """Returns the parameters that are trained: all but those that a custom network keeps frozen."""
    return [parameter for parameter in network.module.parameters() if parameter.requires_grad]

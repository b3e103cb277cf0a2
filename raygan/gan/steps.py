"""Single training steps: of the discriminator, of the generator, of both, and from feedback.

A step is given its round, because the learning rate depends on it. `labels` (N,) int64 are the classes of samples that
`gan.condition` needs, else None. Losses are 0-dimensional tensors. Reading one waits
for the computation, so that is done once a round and not here.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from raygan.gan.conditions import Judged
from raygan.gan.flat import FlatModule
from raygan.gan.losses import gradient_penalty
from raygan.gan.networks import Networks
from raygan.gan.optimizer import FlatOptimizer


def generate(networks: Networks, z: Tensor, labels: Tensor | None = None) -> Tensor:
    """Returns samples for latent points `z` (N, latent), with the generator frozen."""
    (fake,) = networks.replay(_generate, networks, z, labels)
    return fake


def _generate(networks: Networks, z: Tensor, labels: Tensor | None) -> tuple[Tensor]:
    with torch.no_grad():
        return (networks.samples(z, labels),)


def discriminator_step(
    networks: Networks,
    optimizer: FlatOptimizer,
    round: int,
    real: Tensor,
    fake: Tensor,
    mix: Tensor | None,
    labels: Tensor | None = None,
    fake_labels: Tensor | None = None,
) -> Tensor:
    """One descent step of the discriminator on real and generated samples, (N, *shape) each.

    `mix` (N,) places WGAN-GP's penalty and is None for other losses. Returns the loss before the step.
    """
    loss = discriminator_gradient(networks, real, fake, mix, labels, fake_labels)
    optimizer.step(round)
    return loss


def discriminator_gradient(
    networks: Networks,
    real: Tensor,
    fake: Tensor,
    mix: Tensor | None,
    labels: Tensor | None = None,
    fake_labels: Tensor | None = None,
) -> Tensor:
    """Compute the gradient of such a step into the discriminator's `gradient`; returns the loss."""
    (loss,) = networks.replay(_discriminator_gradient, networks, real, fake, mix, labels, fake_labels)
    return loss


def _discriminator_gradient(
    networks: Networks,
    real: Tensor,
    fake: Tensor,
    mix: Tensor | None,
    labels: Tensor | None,
    fake_labels: Tensor | None,
) -> tuple[Tensor]:
    networks.discriminator.gradient.zero_()
    if networks.per_sample:
        all_labels = None if labels is None or fake_labels is None else torch.cat([labels, fake_labels])
        of_real, of_fake = networks.judged(torch.cat([real, fake]), all_labels).split(len(real))
    else:
        of_fake = networks.judged(fake, fake_labels)
        of_real = networks.judged(real, labels)
    loss = _discriminator_loss(networks, of_real, of_fake, real, fake, mix, labels)
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
    labels: Tensor | None = None,
    fake_labels: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One descent step of both networks, with both gradients taken before the step, on the same fakes.

    Returns the discriminator's and the generator's loss before the step.
    """
    d_loss, g_loss = networks.replay(_both_gradients, networks, real, z, mix, labels, fake_labels)
    discriminator_optimizer.step(round)
    generator_optimizer.step(round)
    return d_loss, g_loss


def _both_gradients(
    networks: Networks,
    real: Tensor,
    z: Tensor,
    mix: Tensor | None,
    labels: Tensor | None,
    fake_labels: Tensor | None,
) -> tuple[Tensor, Tensor]:
    generator, discriminator = networks.generator, networks.discriminator
    generator.gradient.zero_()
    discriminator.gradient.zero_()
    fake = networks.samples(z, fake_labels)
    of_fake = networks.judged(fake, fake_labels)
    of_real = networks.judged(real, labels)
    d_loss = _discriminator_loss(networks, of_real, of_fake, real, fake.detach(), mix, labels)
    g_loss = _generator_loss(networks, of_fake)
    d_loss.backward(inputs=_trained(discriminator), retain_graph=True)
    g_loss.backward(inputs=_trained(generator))
    return d_loss.detach(), g_loss.detach()


def feedback(networks: Networks, fake: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns the gradient of the generator's mean loss with respect to the fakes (N, *shape), and that loss."""
    gradient, loss = networks.replay(_feedback, networks, fake, labels)
    return gradient, loss


def _feedback(networks: Networks, fake: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    given = fake.detach().requires_grad_()
    loss = _generator_loss(networks, networks.judged(given, labels))
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
    networks: Networks,
    of_real: Judged,
    of_fake: Judged,
    real: Tensor,
    fake: Tensor,
    mix: Tensor | None,
    labels: Tensor | None,
) -> Tensor:
    loss = networks.loss.discriminator(of_real.logits, of_fake.logits)
    if mix is not None:  # of places between the two, judged as of the real sample's class

        def logits(between: Tensor) -> Tensor:
            return networks.logits(between, labels)

        loss = loss + networks.penalty_weight * gradient_penalty(logits, real, fake, mix)
    return networks.with_class_losses(loss, of_real, of_fake)


def _generator_loss(networks: Networks, of_fake: Judged) -> Tensor:
    return networks.with_class_losses(networks.loss.generator(of_fake.logits), of_fake)


def generator_step(
    networks: Networks, optimizer: FlatOptimizer, round: int, z: Tensor, labels: Tensor | None = None
) -> Tensor:
    """One descent step of the generator against the current discriminator; `z` is (M, latent).

    Returns the loss before the step.
    """
    (loss,) = networks.replay(_generator_gradient, networks, z, labels)
    optimizer.step(round)
    return loss


def _generator_gradient(networks: Networks, z: Tensor, labels: Tensor | None) -> tuple[Tensor]:
    networks.generator.gradient.zero_()
    loss = _generator_loss(networks, networks.judged(networks.samples(z, labels), labels))
    loss.backward(inputs=_trained(networks.generator))
    return (loss.detach(),)


def _trained(network: FlatModule) -> list[nn.Parameter]:
    """Returns the parameters that are trained: all but those that a custom network keeps frozen."""
    return [parameter for parameter in network.module.parameters() if parameter.requires_grad]

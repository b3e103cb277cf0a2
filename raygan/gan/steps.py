"""Single training steps: of the discriminator, of the generator, of both, and from feedback.

A step is given its round, because the learning rate depends on it. Labels (N,) int64 are the classes of samples that
`gan.condition` needs, else None: `labels` of the samples, `fake_labels` of generated and `real_labels` of real ones
beside them. Losses are 0-dimensional tensors. Reading one waits for the computation, so that is done once a round and
not here.
"""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn

from raygan.gan.flat import FlatModule
from raygan.gan.networks import Networks
from raygan.gan.objective import (
    differentiable,
    discriminator_loss,
    generator_loss,
    loss_of_fakes,
    penalties,
    seen_both,
    signs_of,
)
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
    changes = networks.changes(len(real) + len(fake))
    work = _penalised_gradient if networks.chance.penalised() else _discriminator_gradient
    loss, *signs = networks.replay(work, networks, real, fake, mix, changes, labels, fake_labels)
    networks.chance.note(signs)
    return loss


def _discriminator_gradient(
    networks: Networks,
    real: Tensor,
    fake: Tensor,
    mix: Tensor | None,
    changes: Tensor | None,
    labels: Tensor | None,
    fake_labels: Tensor | None,
    penalised: bool = False,
) -> tuple[Tensor, ...]:
    networks.discriminator.gradient.zero_()
    if penalised:
        real, fake = differentiable(networks, real, fake)
    seen_real, seen_fake = seen_both(networks, real, fake, changes)
    if networks.one_pass:
        all_labels = None if labels is None or fake_labels is None else torch.cat([labels, fake_labels])
        of_real, of_fake = networks.judged(torch.cat([seen_real, seen_fake]), all_labels).split(len(real))
    else:
        of_fake = networks.judged(seen_fake, fake_labels)
        of_real = networks.judged(seen_real, labels)
    loss = discriminator_loss(networks, of_real, of_fake, seen_real, seen_fake, mix, labels)
    if penalised:
        loss = loss + penalties(networks, of_real.logits, of_fake.logits, real, fake)
    loss.backward(inputs=_trained(networks.discriminator) if penalised else None)  # not the samples'
    return loss.detach(), *signs_of(networks, of_real.logits)


_penalised_gradient = partial(_discriminator_gradient, penalised=True)


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
    changes = networks.changes(len(real) + len(z))
    work = _both_penalised_gradients if networks.chance.penalised() else _both_gradients
    d_loss, g_loss, *signs = networks.replay(work, networks, real, z, mix, changes, labels, fake_labels)
    networks.chance.note(signs)
    discriminator_optimizer.step(round)
    generator_optimizer.step(round)
    return d_loss, g_loss


def _both_gradients(
    networks: Networks,
    real: Tensor,
    z: Tensor,
    mix: Tensor | None,
    changes: Tensor | None,
    labels: Tensor | None,
    fake_labels: Tensor | None,
    penalised: bool = False,
) -> tuple[Tensor, ...]:
    generator, discriminator = networks.generator, networks.discriminator
    generator.gradient.zero_()
    discriminator.gradient.zero_()
    fake = networks.samples(z, fake_labels)
    if penalised and networks.r1:
        real = real.detach().requires_grad_()
    seen_real, seen_fake = seen_both(networks, real, fake, changes)
    of_fake = networks.judged(seen_fake, fake_labels)
    of_real = networks.judged(seen_real, labels)
    d_loss = discriminator_loss(networks, of_real, of_fake, seen_real, seen_fake.detach(), mix, labels)
    if penalised:
        d_loss = d_loss + penalties(networks, of_real.logits, of_fake.logits, real, fake)
    g_loss = generator_loss(networks, of_fake, of_real.logits)
    d_loss.backward(inputs=_trained(discriminator), retain_graph=True)
    g_loss.backward(inputs=_trained(generator))
    return d_loss.detach(), g_loss.detach(), *signs_of(networks, of_real.logits)


_both_penalised_gradients = partial(_both_gradients, penalised=True)


def feedback(
    networks: Networks,
    fake: Tensor,
    real: Tensor | None = None,
    labels: Tensor | None = None,
    real_labels: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns the gradient of the generator's mean loss with respect to the fakes (N, *shape), and that loss.

    `real` is as for `generator_step`.
    """
    real, real_labels = (real, real_labels) if networks.loss.relative else (None, None)
    changes = networks.changes(len(fake) if real is None else len(real) + len(fake))
    gradient, loss = networks.replay(_feedback, networks, fake, real, changes, labels, real_labels)
    return gradient, loss


def _feedback(
    networks: Networks,
    fake: Tensor,
    real: Tensor | None,
    changes: Tensor | None,
    labels: Tensor | None,
    real_labels: Tensor | None,
) -> tuple[Tensor, Tensor]:
    given = fake.detach().requires_grad_()
    loss = loss_of_fakes(networks, given, real, changes, labels, real_labels)
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


def generator_step(
    networks: Networks,
    optimizer: FlatOptimizer,
    round: int,
    z: Tensor,
    real: Tensor | None = None,
    labels: Tensor | None = None,
    real_labels: Tensor | None = None,
) -> Tensor:
    """One descent step of the generator against the current discriminator; `z` is (M, latent).

    `real`, (N, *shape), are samples that a relative loss compares the generated ones with, in turns if they are fewer;
    other losses do without. Returns the loss before the step.
    """
    real, real_labels = (real, real_labels) if networks.loss.relative else (None, None)
    changes = networks.changes(len(z) if real is None else len(real) + len(z))
    (loss,) = networks.replay(_generator_gradient, networks, z, real, changes, labels, real_labels)
    optimizer.step(round)
    return loss


def _generator_gradient(
    networks: Networks,
    z: Tensor,
    real: Tensor | None,
    changes: Tensor | None,
    labels: Tensor | None,
    real_labels: Tensor | None,
) -> tuple[Tensor]:
    networks.generator.gradient.zero_()
    loss = loss_of_fakes(networks, networks.samples(z, labels), real, changes, labels, real_labels)
    loss.backward(inputs=_trained(networks.generator))
    return (loss.detach(),)


def _trained(network: FlatModule) -> list[nn.Parameter]:
    """Returns the parameters that are trained: all but those that a custom network keeps frozen."""
    return [parameter for parameter in network.module.parameters() if parameter.requires_grad]

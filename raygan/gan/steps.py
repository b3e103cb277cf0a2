"""Single training steps: of the discriminator, of the generator, of both, and from feedback.

A step is given its round, because the learning rate depends on it. Losses are 0-dimensional tensors. Reading one waits
for the computation, so that is done once a round and not here.
"""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn

from raygan.gan.conditions import NOTHING, Labelled
from raygan.gan.flat import FlatModule
from raygan.gan.networks import Networks
from raygan.gan.objective import (
    differentiable,
    discriminator_loss,
    generator_loss,
    judged_both,
    loss_of_fakes,
    penalties,
    seen_both,
    signs_of,
)
from raygan.gan.optimizer import FlatOptimizer


def generate(networks: Networks, latents: Labelled) -> Labelled:
    """Returns samples for latent points (N, latent), of their classes, with the generator frozen."""
    (fake,) = networks.replay(_generate, networks, *latents)
    return Labelled(fake, latents.labels)


def _generate(networks: Networks, z: Tensor, labels: Tensor | None) -> tuple[Tensor]:
    with torch.no_grad():
        return (networks.samples(z, labels),)


def discriminator_step(
    networks: Networks,
    optimizer: FlatOptimizer,
    round: int,
    real: Labelled,
    fake: Labelled,
    mix: Tensor | None = None,
) -> Tensor:
    """One descent step of the discriminator on real and generated samples.

    `mix` (N,) places WGAN-GP's penalty and is None for other losses. Returns the loss before the step.
    """
    loss = discriminator_gradient(networks, real, fake, mix)
    optimizer.step(round)
    return loss


def discriminator_gradient(networks: Networks, real: Labelled, fake: Labelled, mix: Tensor | None = None) -> Tensor:
    """Compute the gradient of such a step into the discriminator's `gradient`; returns the loss."""
    changes = networks.changes(len(real.values) + len(fake.values))
    work = _penalised_gradient if networks.chance.penalised() else _discriminator_gradient
    loss, *signs = networks.replay(work, networks, *real, *fake, mix, changes)
    networks.chance.note(signs)
    return loss


def _discriminator_gradient(
    networks: Networks,
    real: Tensor,
    labels: Tensor | None,
    fake: Tensor,
    fake_labels: Tensor | None,
    mix: Tensor | None,
    changes: Tensor | None,
    penalised: bool = False,
) -> tuple[Tensor, ...]:
    networks.discriminator.gradient.zero_()
    if penalised:
        real, fake = differentiable(networks, real, fake)
    seen_real, seen_fake = seen_both(networks, Labelled(real, labels), Labelled(fake, fake_labels), changes)
    of_real, of_fake = judged_both(networks, seen_real, seen_fake)
    loss = discriminator_loss(networks, of_real, of_fake, seen_real, seen_fake.values, mix)
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
    real: Labelled,
    latents: Labelled,
    mix: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One descent step of both networks, with both gradients taken before the step, on the same fakes.

    Returns the discriminator's and the generator's loss before the step.
    """
    changes = networks.changes(len(real.values) + len(latents.values))
    work = _both_penalised_gradients if networks.chance.penalised() else _both_gradients
    d_loss, g_loss, *signs = networks.replay(work, networks, *real, *latents, mix, changes)
    networks.chance.note(signs)
    discriminator_optimizer.step(round)
    generator_optimizer.step(round)
    return d_loss, g_loss


def _both_gradients(
    networks: Networks,
    real: Tensor,
    labels: Tensor | None,
    z: Tensor,
    fake_labels: Tensor | None,
    mix: Tensor | None,
    changes: Tensor | None,
    penalised: bool = False,
) -> tuple[Tensor, ...]:
    generator, discriminator = networks.generator, networks.discriminator
    generator.gradient.zero_()
    discriminator.gradient.zero_()
    fake = networks.samples(z, fake_labels)
    if penalised and networks.r1:
        real = real.detach().requires_grad_()
    seen_real, seen_fake = seen_both(networks, Labelled(real, labels), Labelled(fake, fake_labels), changes)
    of_fake = networks.judged(*seen_fake)
    of_real = networks.judged(*seen_real)
    d_loss = discriminator_loss(networks, of_real, of_fake, seen_real, seen_fake.values.detach(), mix)
    if penalised:
        d_loss = d_loss + penalties(networks, of_real.logits, of_fake.logits, real, fake)
    g_loss = generator_loss(networks, of_fake, of_real.logits)
    d_loss.backward(inputs=_trained(discriminator), retain_graph=True)
    g_loss.backward(inputs=_trained(generator))
    return d_loss.detach(), g_loss.detach(), *signs_of(networks, of_real.logits)


_both_penalised_gradients = partial(_both_gradients, penalised=True)


def feedback(networks: Networks, fake: Labelled, real: Labelled | None = None) -> tuple[Tensor, Tensor]:
    """Returns the gradient of the generator's mean loss with respect to the fakes (N, *shape), and that loss.

    `real` is as for `generator_step`.
    """
    gradient, loss = networks.replay(_feedback, networks, *fake, *_for_fakes(networks, fake, real))
    return gradient, loss


def _feedback(
    networks: Networks,
    fake: Tensor,
    labels: Tensor | None,
    real: Tensor | None,
    real_labels: Tensor | None,
    changes: Tensor | None,
) -> tuple[Tensor, Tensor]:
    given = fake.detach().requires_grad_()
    loss = loss_of_fakes(networks, Labelled(given, labels), real, real_labels, changes)
    (gradient,) = torch.autograd.grad(loss, given)
    return gradient, loss.detach()


def logit_feedback(networks: Networks, fake: Labelled) -> tuple[Tensor, Tensor]:
    """Returns the gradient of the logit of each fake with respect to the fake (N, *shape), and the logits (N,).

    A discriminator must judge every sample by itself: the gradient is that of the sum of logits.
    """
    gradient, logits = networks.replay(_logit_feedback, networks, *fake, networks.changes(len(fake.values)))
    return gradient, logits


def _logit_feedback(
    networks: Networks, fake: Tensor, labels: Tensor | None, changes: Tensor | None
) -> tuple[Tensor, Tensor]:
    given = fake.detach().requires_grad_()
    logits = networks.logits(networks.seen(given, changes), labels)
    (gradient,) = torch.autograd.grad(logits.sum(), given)
    return gradient, logits.detach()


def _for_fakes(
    networks: Networks, made: Labelled, real: Labelled | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Returns real samples and their labels if the loss compares with some, and the changes of all that is judged."""
    compared = real if networks.loss.relative else None
    count = len(made.values) if compared is None else len(compared.values) + len(made.values)
    return *(compared or NOTHING), networks.changes(count)


def feedback_step(
    networks: Networks, optimizer: FlatOptimizer, round: int, judged: Iterable[tuple[Tensor, Tensor]]
) -> None:
    """One descent step of the generator, given batches of its samples and the gradient at every sample."""
    networks.generator.gradient.zero_()
    for fake, gradient in judged:
        fake.backward(gradient)
    optimizer.step(round)


def generator_step(
    networks: Networks, optimizer: FlatOptimizer, round: int, latents: Labelled, real: Labelled | None = None
) -> Tensor:
    """One descent step of the generator against the current discriminator, on M latent points.

    `real` are samples that a relative loss compares the generated ones with, in turns if they are fewer; other losses
    do without. Returns the loss before the step.
    """
    given = _for_fakes(networks, latents, real)
    (loss,) = networks.replay(_generator_gradient, networks, *latents, *given)
    optimizer.step(round)
    return loss


def generator_gradient(networks: Networks, latents: Labelled) -> Tensor:
    """Compute the gradient of a generator step that compares with nothing into its `gradient`; returns the loss."""
    (loss,) = networks.replay(_generator_gradient, networks, *latents, *_for_fakes(networks, latents, None))
    return loss


def _generator_gradient(
    networks: Networks,
    z: Tensor,
    labels: Tensor | None,
    real: Tensor | None,
    real_labels: Tensor | None,
    changes: Tensor | None,
) -> tuple[Tensor]:
    networks.generator.gradient.zero_()
    fake = Labelled(networks.samples(z, labels), labels)
    loss = loss_of_fakes(networks, fake, real, real_labels, changes)
    loss.backward(inputs=_trained(networks.generator))
    return (loss.detach(),)


def _trained(network: FlatModule) -> list[nn.Parameter]:
    """Returns the parameters that are trained: all but those that a custom network keeps frozen."""
    return [parameter for parameter in network.module.parameters() if parameter.requires_grad]

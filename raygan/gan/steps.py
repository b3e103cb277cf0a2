"""Single training steps: of the discriminator, of the generator, of both, and from feedback.

A step is given its round, because the learning rate depends on it. Losses are 0-dimensional tensors. Reading one waits
for the computation, so that is done once a round and not here.

Steps of devices are functions of moves (`raygan.gan.moves`): called, they are taken; `step.moves(...)` is for updates
that are themselves moves. Their passes hold for several GANs side by side, as `raygan.gan.objective` does.
"""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from raygan.gan.conditions import NOTHING, Labelled
from raygan.gan.moves import Descent, Moves, Passes, Played
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


@Played
def generate(networks: Networks, latents: Labelled) -> Moves[Labelled]:
    """Returns samples for latent points (N, latent), of their classes, with the generator frozen."""
    (fake,) = yield Passes(_generate, networks, (*latents,))
    return Labelled(fake, latents.labels)


def _generate(networks: Networks, z: Tensor, labels: Tensor | None) -> tuple[Tensor]:
    with torch.no_grad():
        return (networks.samples(z, labels),)


@Played
def discriminator_step(
    networks: Networks,
    optimizer: FlatOptimizer,
    round: int,
    real: Labelled,
    fake: Labelled,
    mix: Tensor | None = None,
) -> Moves[Tensor]:
    """One descent step of the discriminator on real and generated samples.

    `mix` (N,) places WGAN-GP's penalty and is None for other losses. Returns the loss before the step.
    """
    loss = yield from discriminator_gradient.moves(networks, real, fake, mix)
    yield Descent(optimizer, round)
    return loss


@Played
def discriminator_gradient(
    networks: Networks, real: Labelled, fake: Labelled, mix: Tensor | None = None
) -> Moves[Tensor]:
    """Compute the gradient of such a step into the discriminator's `gradient`; returns the loss."""
    changes = networks.changes(len(real.values) + len(fake.values))
    work = _penalised_gradient if networks.chance.penalised() else _discriminator_gradient
    loss, *signs = yield Passes(work, networks, (*real, *fake, mix, changes))
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
    networks.discriminator.zero_gradient()
    if penalised:
        real, fake = differentiable(networks, real, fake)
    seen_real, seen_fake = seen_both(networks, Labelled(real, labels), Labelled(fake, fake_labels), changes)
    of_real, of_fake = judged_both(networks, seen_real, seen_fake)
    loss = discriminator_loss(networks, of_real, of_fake, seen_real, seen_fake.values, mix)
    if penalised:
        loss = loss + penalties(networks, of_real.logits, of_fake.logits, real, fake)
    inputs = networks.discriminator.trained() if penalised else None  # not the samples'
    loss.backward(torch.ones_like(loss), inputs=inputs)
    return loss.detach(), *signs_of(networks, of_real.logits)


_penalised_gradient = partial(_discriminator_gradient, penalised=True)


@Played
def simultaneous_step(
    networks: Networks,
    discriminator_optimizer: FlatOptimizer,
    generator_optimizer: FlatOptimizer,
    round: int,
    real: Labelled,
    latents: Labelled,
    mix: Tensor | None = None,
) -> Moves[tuple[Tensor, Tensor]]:
    """One descent step of both networks, with both gradients taken before the step, on the same fakes.

    Returns the discriminator's and the generator's loss before the step.
    """
    changes = networks.changes(len(real.values) + len(latents.values))
    work = _both_penalised_gradients if networks.chance.penalised() else _both_gradients
    d_loss, g_loss, *signs = yield Passes(work, networks, (*real, *latents, mix, changes))
    networks.chance.note(signs)
    yield Descent(discriminator_optimizer, round)
    yield Descent(generator_optimizer, round)
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
    generator.zero_gradient()
    discriminator.zero_gradient()
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
    d_loss.backward(torch.ones_like(d_loss), inputs=discriminator.trained(), retain_graph=True)
    g_loss.backward(torch.ones_like(g_loss), inputs=generator.trained())
    return d_loss.detach(), g_loss.detach(), *signs_of(networks, of_real.logits)


_both_penalised_gradients = partial(_both_gradients, penalised=True)


@Played
def feedback(networks: Networks, fake: Labelled, real: Labelled | None = None) -> Moves[tuple[Tensor, Tensor]]:
    """Returns the gradient of the generator's mean loss with respect to the fakes (N, *shape), and that loss.

    `real` is as for `generator_step`.
    """
    gradient, loss = yield Passes(_feedback, networks, (*fake, *_for_fakes(networks, fake, real)))
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
    (gradient,) = torch.autograd.grad(loss, given, torch.ones_like(loss))
    return gradient, loss.detach()


@Played
def logit_feedback(networks: Networks, fake: Labelled) -> Moves[tuple[Tensor, Tensor]]:
    """Returns the gradient of the logit of each fake with respect to the fake (N, *shape), and the logits (N,).

    A discriminator must judge every sample by itself: the gradient is that of the sum of logits.
    """
    gradient, logits = yield Passes(_logit_feedback, networks, (*fake, networks.changes(len(fake.values))))
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
    networks.generator.zero_gradient()
    fake = Labelled(networks.samples(z, labels), labels)
    loss = loss_of_fakes(networks, fake, real, real_labels, changes)
    loss.backward(torch.ones_like(loss), inputs=networks.generator.trained())
    return (loss.detach(),)

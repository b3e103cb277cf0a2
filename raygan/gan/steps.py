"""Single training steps: of the discriminator, of the generator, of both, and from feedback.

A step is given its round, because the learning rate depends on it. Losses are 0-dimensional tensors. Reading one waits
for the computation, so that is done once a round and not here.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from raygan.gan.flat import FlatModule
from raygan.gan.losses import gradient_penalty, squared_gradient
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
    changes = networks.changes(len(real) + len(fake))
    work = _penalised_gradient if networks.chance.penalised() else _discriminator_gradient
    loss, *signs = networks.replay(work, networks, real, fake, mix, changes)
    networks.chance.note(signs)
    return loss


def _penalised_gradient(
    networks: Networks, real: Tensor, fake: Tensor, mix: Tensor | None, changes: Tensor | None
) -> tuple[Tensor, ...]:
    return _discriminator_gradient(networks, real, fake, mix, changes, penalised=True)


def _discriminator_gradient(
    networks: Networks,
    real: Tensor,
    fake: Tensor,
    mix: Tensor | None,
    changes: Tensor | None,
    penalised: bool = False,
) -> tuple[Tensor, ...]:
    networks.discriminator.gradient.zero_()
    if penalised:
        real, fake = _differentiable(networks, real, fake)
    seen_real, seen_fake = _seen(networks, real, fake, changes)
    if networks.one_pass:
        real_logits, fake_logits = networks.logits(torch.cat([seen_real, seen_fake])).split([len(real), len(fake)])
    else:
        fake_logits = networks.logits(seen_fake)
        real_logits = networks.logits(seen_real)
    loss = _discriminator_loss(networks, real_logits, fake_logits, seen_real, seen_fake, mix)
    if penalised:
        loss = loss + _penalties(networks, real_logits, fake_logits, real, fake)
    loss.backward(inputs=_trained(networks.discriminator) if penalised else None)  # not the samples'
    return loss.detach(), *_signs(networks, real_logits)


def _differentiable(networks: Networks, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the samples as those that a penalty is differentiated by: as they are before they are augmented."""
    if networks.r1:
        real = real.detach().requires_grad_()
    if networks.r2:
        fake = fake.detach().requires_grad_()
    return real, fake


def _penalties(networks: Networks, real_logits: Tensor, fake_logits: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Returns R1 and R2."""
    penalties = real_logits.new_zeros(())
    if networks.r1:
        penalties = penalties + networks.r1 / 2 * squared_gradient(real_logits, real)
    if networks.r2:
        penalties = penalties + networks.r2 / 2 * squared_gradient(fake_logits, fake)
    return penalties


def _seen(networks: Networks, real: Tensor, fake: Tensor, changes: Tensor | None) -> tuple[Tensor, Tensor]:
    """Returns real and generated samples as the discriminator sees them."""
    if changes is None:
        return real, fake
    return networks.seen(real, changes[: len(real)]), networks.seen(fake, changes[len(real) :])


def _signs(networks: Networks, real_logits: Tensor) -> list[Tensor]:
    """Returns the mean sign of the logits of real samples, if the augmentation adapts to it."""
    return [real_logits.detach().sign().mean()] if networks.chance.adapts else []


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
    changes = networks.changes(len(real) + len(z))
    work = _both_penalised_gradients if networks.chance.penalised() else _both_gradients
    d_loss, g_loss, *signs = networks.replay(work, networks, real, z, mix, changes)
    networks.chance.note(signs)
    discriminator_optimizer.step(round)
    generator_optimizer.step(round)
    return d_loss, g_loss


def _both_penalised_gradients(
    networks: Networks, real: Tensor, z: Tensor, mix: Tensor | None, changes: Tensor | None
) -> tuple[Tensor, ...]:
    return _both_gradients(networks, real, z, mix, changes, penalised=True)


def _both_gradients(
    networks: Networks, real: Tensor, z: Tensor, mix: Tensor | None, changes: Tensor | None, penalised: bool = False
) -> tuple[Tensor, ...]:
    generator, discriminator = networks.generator, networks.discriminator
    generator.gradient.zero_()
    discriminator.gradient.zero_()
    fake = networks.samples(z)
    if penalised and networks.r1:
        real = real.detach().requires_grad_()
    seen_real, seen_fake = _seen(networks, real, fake, changes)
    logits = networks.logits(seen_fake)
    real_logits = networks.logits(seen_real)
    d_loss = _discriminator_loss(networks, real_logits, logits, seen_real, seen_fake.detach(), mix)
    if penalised:
        d_loss = d_loss + _penalties(networks, real_logits, logits, real, fake)
    g_loss = _generator_loss(networks, logits, real_logits)
    d_loss.backward(inputs=_trained(discriminator), retain_graph=True)
    g_loss.backward(inputs=_trained(generator))
    return d_loss.detach(), g_loss.detach(), *_signs(networks, real_logits)


def feedback(networks: Networks, fake: Tensor, real: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns the gradient of the generator's mean loss with respect to the fakes (N, *shape), and that loss.

    `real` is as for `generator_step`.
    """
    real = real if networks.loss.relative else None
    changes = networks.changes(len(fake) if real is None else len(real) + len(fake))
    gradient, loss = networks.replay(_feedback, networks, fake, real, changes)
    return gradient, loss


def _feedback(networks: Networks, fake: Tensor, real: Tensor | None, changes: Tensor | None) -> tuple[Tensor, Tensor]:
    given = fake.detach().requires_grad_()
    loss = _loss_of_fakes(networks, given, real, changes)
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


def generator_step(
    networks: Networks, optimizer: FlatOptimizer, round: int, z: Tensor, real: Tensor | None = None
) -> Tensor:
    """One descent step of the generator against the current discriminator; `z` is (M, latent).

    `real`, (N, *shape), are samples that a relative loss compares the generated ones with, in turns if they are fewer;
    other losses do without. Returns the loss before the step.
    """
    real = real if networks.loss.relative else None
    changes = networks.changes(len(z) if real is None else len(real) + len(z))
    (loss,) = networks.replay(_generator_gradient, networks, z, real, changes)
    optimizer.step(round)
    return loss


def _generator_gradient(networks: Networks, z: Tensor, real: Tensor | None, changes: Tensor | None) -> tuple[Tensor]:
    networks.generator.gradient.zero_()
    loss = _loss_of_fakes(networks, networks.samples(z), real, changes)
    loss.backward(inputs=_trained(networks.generator))
    return (loss.detach(),)


def _loss_of_fakes(networks: Networks, fake: Tensor, real: Tensor | None, changes: Tensor | None) -> Tensor:
    if real is None:
        return networks.loss.generator(networks.logits(fake if changes is None else networks.seen(fake, changes)))
    seen_real, seen_fake = _seen(networks, real, fake, changes)
    logits = networks.logits(seen_fake)
    with torch.no_grad():
        real_logits = networks.logits(seen_real)
    return _generator_loss(networks, logits, real_logits)


def _generator_loss(networks: Networks, logits: Tensor, real_logits: Tensor) -> Tensor:
    if not networks.loss.relative:
        return networks.loss.generator(logits)
    turns = -(-len(logits) // len(real_logits))
    return networks.loss.generator(logits, real_logits.detach().repeat(turns)[: len(logits)])


def _trained(network: FlatModule) -> list[nn.Parameter]:
    """Returns the parameters that are trained: all but those that a custom network keeps frozen."""
    return [parameter for parameter in network.module.parameters() if parameter.requires_grad]

"""What the steps descend: the losses of samples as the discriminator sees and judges them, with penalties.

All of it holds for one GAN and for several side by side (`Networks.stacked`). Samples, labels and logits of several
have one more dimension, the first; a loss is then one number for each GAN.
"""

import torch
from torch import Tensor

from raygan.gan.conditions import Judged, Labelled
from raygan.gan.losses import gradient_penalty, squared_gradient
from raygan.gan.networks import Networks


def differentiable(networks: Networks, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the samples as those that a penalty is differentiated by: as they are before they are augmented."""
    if networks.r1:
        real = real.detach().requires_grad_()
    if networks.r2:
        fake = fake.detach().requires_grad_()
    return real, fake


def seen_both(networks: Networks, real: Labelled, fake: Labelled, changes: Tensor | None) -> tuple[Labelled, Labelled]:
    """Returns real and generated samples as the discriminator sees them."""
    if changes is None:
        return real, fake
    of_real, of_fake = changes.split([networks.count(real.values), networks.count(fake.values)], networks.batch_dim)
    return (
        Labelled(networks.seen(real.values, of_real), real.labels),
        Labelled(networks.seen(fake.values, of_fake), fake.labels),
    )


def judged_both(networks: Networks, real: Labelled, fake: Labelled) -> tuple[Judged, Judged]:
    """Returns what the discriminator says of both, in one pass where that is the same."""
    if not networks.one_pass:
        of_fake = networks.judged(*fake)  # first: passes may move buffers
        return networks.judged(*real), of_fake
    dim, labels = networks.batch_dim, None
    if real.labels is not None and fake.labels is not None:
        labels = torch.cat([real.labels, fake.labels], dim)
    return networks.judged(torch.cat([real.values, fake.values], dim), labels).split(networks.count(real.values))


def discriminator_loss(
    networks: Networks,
    of_real: Judged,
    of_fake: Judged,
    real: Labelled,
    fake: Tensor,
    mix: Tensor | None,
) -> Tensor:
    """Returns the discriminator's loss but for `penalties`; `real` and `fake` are as seen."""
    loss = networks.each(networks.loss.discriminator)(of_real.logits, of_fake.logits)
    if mix is not None:  # of places between the two, judged as of the real sample's class

        def logits(between: Tensor) -> Tensor:
            return networks.logits(between, real.labels)

        loss = loss + networks.penalty_weight * gradient_penalty(logits, real.values, fake, mix, networks.each)
    if networks.class_loss is not None and not networks.class_loss.of_fakes:
        return networks.with_class_losses(loss, of_real)
    return networks.with_class_losses(loss, of_real, of_fake)


def penalties(networks: Networks, real_logits: Tensor, fake_logits: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Returns R1 and R2."""
    both = real_logits.new_zeros(())
    if networks.r1:
        both = both + networks.r1 / 2 * squared_gradient(real_logits, real, networks.each)
    if networks.r2:
        both = both + networks.r2 / 2 * squared_gradient(fake_logits, fake, networks.each)
    return both


def loss_of_fakes(
    networks: Networks, fake: Labelled, real: Tensor | None, real_labels: Tensor | None, changes: Tensor | None
) -> Tensor:
    """Returns the generator's loss of fakes; `real` are given to a loss that is relative, and have no gradient."""
    if real is None:
        return generator_loss(networks, networks.judged(networks.seen(fake.values, changes), fake.labels), None)
    seen_real, seen_fake = seen_both(networks, Labelled(real, real_labels), fake, changes)
    of_fake = networks.judged(*seen_fake)
    with torch.no_grad():
        real_logits = networks.logits(*seen_real)
    return generator_loss(networks, of_fake, real_logits)


def generator_loss(networks: Networks, of_fake: Judged, real_logits: Tensor | None) -> Tensor:
    """Returns the generator's loss of fakes that are judged, with the logits of real samples if there are any."""
    logits = of_fake.logits
    if real_logits is None or not networks.loss.relative:
        loss = networks.each(networks.loss.generator)(logits)
    else:

        def relative(fake: Tensor, real: Tensor) -> Tensor:
            turns = -(-len(fake) // len(real))
            compared: Tensor = networks.loss.generator(fake, real.repeat(turns)[: len(fake)])
            return compared

        loss = networks.each(relative)(logits, real_logits.detach())
    return networks.with_class_losses(loss, of_fake)


def signs_of(networks: Networks, real_logits: Tensor) -> list[Tensor]:
    """Returns the mean sign of the logits of real samples, if the augmentation adapts to it."""
    return [networks.each(_mean_sign)(real_logits.detach())] if networks.chance.adapts else []


def _mean_sign(logits: Tensor) -> Tensor:
    return logits.sign().mean()

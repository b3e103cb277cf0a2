"""Class conditions together with penalties, a relative loss and augmentation, against closed forms."""

import pytest
import torch
import torch.nn.functional as F

from raygan.gan.augmentation import changed
from raygan.gan.class_losses import cross_entropy
from raygan.gan.losses import squared_gradient
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.steps import discriminator_gradient, feedback, generate, generator_step, simultaneous_step
from raygan.rng import Role
from tests.gan.test_conditions import CONDITIONS, batch_of, networks_of

RELATIVE = "gan.loss=relativistic"


def extra(judged):
    """What a loss adds for the classes that the discriminator names."""
    return 0.0 if judged.named is None else cross_entropy(judged.named)


@pytest.mark.parametrize("norm", ["none", "batch"])  # one pass, and two
@pytest.mark.parametrize("condition", CONDITIONS)
def test_penalties_are_of_the_logits_of_each_samples_class(condition, norm):
    words = ("dcgan", 3, "gan.r1=0.5", "gan.r2=0.25", RELATIVE, f"gan.discriminator_norm={norm}")
    config, networks = networks_of(condition, *words)
    _, again = networks_of(condition, *words)
    samples, latents = batch_of(config, "dcgan")
    made = generate(networks, latents)
    found = discriminator_gradient(networks, samples, made)
    real, fake = samples.values.requires_grad_(), made.values.clone().requires_grad_()
    of_fake, of_real = again.judged(fake, made.labels), again.judged(real, samples.labels)
    loss = F.softplus(of_fake.logits - of_real.logits).mean() + extra(of_real) + extra(of_fake)
    loss = loss + 0.25 * squared_gradient(of_real.logits, real) + 0.125 * squared_gradient(of_fake.logits, fake)
    loss.backward()
    assert torch.allclose(found, loss, atol=1e-6)
    assert torch.allclose(networks.discriminator.gradient, again.discriminator.gradient, atol=1e-5)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_relative_loss_compares_fakes_of_their_classes_with_real_samples_of_theirs(condition):
    config, networks = networks_of(condition, "dcgan", 3, RELATIVE)
    real, latents = batch_of(config, "dcgan")
    fake = generate(networks, latents)
    fake.values.requires_grad_()
    of_fake = networks.judged(*fake)
    loss = F.softplus(networks.logits(*real).detach() - of_fake.logits).mean() + extra(of_fake)
    loss.backward()
    gradient, found = feedback(networks, fake, real)
    assert torch.allclose(found, loss, atol=1e-6)
    assert torch.allclose(gradient, fake.values.grad, atol=1e-7)
    optimizer = FlatOptimizer(config.generator_optimizer, networks.generator)
    assert torch.allclose(generator_step(networks, optimizer, 1, latents, real), loss, atol=1e-5)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_step_of_both_networks_is_of_the_same_losses(condition):
    config, networks = networks_of(condition, "dcgan", 3, RELATIVE, "gan.r1=0.5")
    _, again = networks_of(condition, "dcgan", 3, RELATIVE, "gan.r1=0.5")
    real, latents = batch_of(config, "dcgan")
    optimizers = [FlatOptimizer(config.device_optimizer, one) for one in (networks.discriminator, networks.generator)]
    losses = simultaneous_step(networks, *optimizers, 1, real, latents)
    fake = generate(again, latents)
    expected = discriminator_gradient(again, real, fake), feedback(again, fake, real)[1]
    for one, other in zip(losses, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_augmentation_changes_the_image_and_not_its_class(condition):
    config, networks = networks_of(condition, "dcgan", 3, "gan.augment=diffaugment")
    _, real_draws = networks_of(condition, "dcgan", 3, "gan.augment=diffaugment")
    real, latents = batch_of(config, "dcgan")
    fake = generate(networks, latents)
    with networks.chance.of(Role.DEVICE_AUGMENT), real_draws.chance.of(Role.DEVICE_AUGMENT):
        found = discriminator_gradient(networks, real, fake)
        changes = real_draws.changes(12)
    of_real = networks.judged(changed(real.values, changes[:6]), real.labels)
    of_fake = networks.judged(changed(fake.values, changes[6:]), fake.labels)
    loss = networks.loss.discriminator(of_real.logits, of_fake.logits) + extra(of_real) + extra(of_fake)
    assert torch.allclose(found, loss, atol=1e-6)

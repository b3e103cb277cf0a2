"""Class conditions of networks and of single steps, against closed forms."""

import pytest
import torch
import torch.nn.functional as F

from raygan.gan.conditions import Labelled, one_hot, with_classes
from raygan.gan.networks import build_networks
from raygan.gan.objective import judged_both
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.steps import discriminator_gradient, discriminator_step, feedback, generate, generator_step
from tests.helpers import tiny

CPU = torch.device("cpu")
CONDITIONS = ["auxiliary", "projection", "concat"]
SHAPES = {"dcgan": (1, 16, 16), "mlp": (2,)}


def networks_of(condition, kind="dcgan", classes=3, *words):
    weights = [] if condition == "none" else [f"gan.class_weights={[1] * classes}"]
    nets = [f"gan.generator={kind}", f"gan.discriminator={kind}", "gan.discriminator_norm=none"]
    config = tiny(f"gan.condition={condition}", *weights, *nets, *words)
    return config, build_networks(config, SHAPES[kind], CPU)


def batch_of(config, kind, count=6, classes=3):
    torch.manual_seed(0)
    real, z = torch.randn(count, *SHAPES[kind]), torch.randn(count, config.gan.latent)
    labels = torch.arange(count) % classes
    return Labelled(real, labels), Labelled(z, labels.flip(0))


def test_the_class_is_one_more_channel():
    images, labels = torch.randn(2, 1, 3, 3), torch.tensor([1, 0])
    planes = with_classes(images, labels, 2)
    assert torch.equal(planes[:, :1], images)
    assert torch.equal(planes[:, 1:].mean(dim=(2, 3)), one_hot(labels, 2))
    assert with_classes(images, None, 0) is images


@pytest.mark.parametrize("kind", SHAPES)
def test_a_projection_adds_the_score_of_the_class(kind):
    config, networks = networks_of("projection", kind)
    (real, labels), _ = batch_of(config, kind)
    module = networks.discriminator.module
    given = real if kind == "dcgan" else real.flatten(1)
    features = module.layers[:-1](given).flatten(1)
    weight = module.head.layer.weight.flatten(1)
    inner = (features * weight[labels]).sum(dim=1) + (0 if kind == "dcgan" else module.head.layer.bias[labels])
    expected = module.layers(given).flatten() + inner
    assert torch.allclose(networks.logits(real, labels), expected, atol=1e-6)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("norm", ["none", "spectral"])
def test_an_auxiliary_step_descends_both_losses(kind, norm):
    config, networks = networks_of("auxiliary", kind, 3, "gan.auxiliary_weight=0.5", f"gan.discriminator_norm={norm}")
    real, latents = batch_of(config, kind)
    fake = generate(networks, latents)
    found = discriminator_gradient(networks, real, fake)
    taken = networks.discriminator.gradient.clone()
    _, again = networks_of("auxiliary", kind, 3, "gan.auxiliary_weight=0.5", f"gan.discriminator_norm={norm}")
    of_fake, fake_scores = again.discriminator.module(fake.values)
    of_real, real_scores = again.discriminator.module(real.values)
    named = F.cross_entropy(real_scores, real.labels) + F.cross_entropy(fake_scores, fake.labels)
    loss = again.loss.discriminator(of_real, of_fake) + 0.5 * named
    loss.backward()
    assert torch.allclose(found, loss)
    assert torch.allclose(taken, again.discriminator.gradient, atol=1e-6)


def steps_of(config, networks, real, latents):
    optimizers = [FlatOptimizer(config.device_optimizer, one) for one in (networks.discriminator, networks.generator)]
    for _ in range(2):
        discriminator_step(networks, optimizers[0], 1, real, generate(networks, latents))
        generator_step(networks, optimizers[1], 1, latents)
    return networks


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_swapped_labels_permute_the_classes(condition, kind):
    """Networks whose classes stand in another order take the same steps on labels in that order."""
    order = torch.tensor([2, 0, 1])
    config, networks = networks_of(condition, kind)
    _, permuted = networks_of(condition, kind)
    permute(permuted, config, order)
    real, latents = batch_of(config, kind)
    swapped_real, swapped_latents = (Labelled(values, order[labels]) for values, labels in (real, latents))
    before = generate(networks, latents).values
    assert torch.allclose(generate(permuted, swapped_latents).values, before, atol=1e-6)
    assert not torch.allclose(generate(permuted, latents).values, before, atol=1e-3)
    steps_of(config, networks, real, latents)
    steps_of(config, permuted, swapped_real, swapped_latents)
    after, swapped = generate(networks, latents).values, generate(permuted, swapped_latents).values
    assert not torch.allclose(after, before, atol=1e-3)
    assert torch.allclose(after, swapped, atol=1e-3)
    assert torch.allclose(networks.logits(*real), permuted.logits(*swapped_real), atol=1e-3)


@torch.no_grad()
def permute(networks, config, order):
    """Move what a network has for class c to where it has class order[c]."""
    latent, back = config.gan.latent, order.argsort()
    first = networks.generator.module.layers[0].weight
    if first.dim() == 4:
        first[latent:] = first[latent:][back].clone()
    else:
        first[:, latent:] = first[:, latent:][:, back].clone()
    module = networks.discriminator.module
    if module.head is not None:
        for parameter in module.head.parameters():
            parameter.copy_(parameter[back].clone())
    else:
        weight = module.layers[0].weight
        weight[:, -3:] = weight[:, -3:][:, back].clone()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_feedback_on_an_image_is_of_its_class(condition):
    config, networks = networks_of(condition)
    real, (_, others) = batch_of(config, "dcgan")
    gradient, _ = feedback(networks, real)
    given = real.values.clone().requires_grad_()
    judged = networks.judged(given, real.labels)
    named = networks.class_loss.of(judged.named) if condition == "auxiliary" else 0
    (networks.loss.generator(judged.logits) + named).backward()
    assert torch.allclose(gradient, given.grad)
    assert not torch.allclose(gradient, feedback(networks, Labelled(real.values, others))[0])


def test_one_pass_over_both_is_two_passes():
    config, networks = networks_of("auxiliary")
    real, latents = batch_of(config, "dcgan")
    fake = generate(networks, latents)
    assert networks.one_pass
    for part, samples in zip(judged_both(networks, real, fake), (real, fake), strict=True):
        alone = networks.judged(*samples)
        assert torch.allclose(part.logits, alone.logits, atol=1e-6)
        assert torch.allclose(part.named.values, alone.named.values, atol=1e-6)
        assert torch.equal(part.named.labels, samples.labels)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_networks_are_never_without_the_classes_they_need(condition):
    config, networks = networks_of(condition)
    with pytest.raises(ValueError, match="the networks need the classes"):
        generate(networks, Labelled(torch.zeros(2, config.gan.latent)))
    with pytest.raises(ValueError, match="the networks need the classes"):
        networks.logits(torch.zeros(2, 1, 16, 16))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_one_class_conditions_nothing(condition):
    _, networks = networks_of(condition, classes=1)
    _, plain = networks_of("none")
    for one, other in zip(
        (networks.generator, networks.discriminator), (plain.generator, plain.discriminator), strict=True
    ):
        assert torch.equal(one.vector, other.vector)

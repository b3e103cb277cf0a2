"""The errors in naming classes: data-to-data cross-entropy against closed forms, and its place in the steps."""

import math

import pytest
import torch
import torch.nn.functional as F

from raygan.gan.class_losses import cross_entropy, d2d_cross_entropy
from raygan.gan.conditions import Labelled, Named
from raygan.gan.networks import check_networks
from raygan.gan.steps import discriminator_gradient, feedback, generate
from tests.errors import raises
from tests.gan.test_conditions import batch_of, networks_of
from tests.helpers import tiny

D2D = "gan.auxiliary_loss=d2d_ce"


def named(embeddings, labels, proxies):
    return Named(torch.tensor(labels), torch.tensor(embeddings), torch.tensor(proxies))


def test_cross_entropy_is_of_the_class():
    scores = [[math.log(3.0), 0.0], [0.0, 0.0]]
    assert cross_entropy(named(scores, [0, 1], [[0.0]])) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_a_sample_at_its_proxy_and_across_another_has_the_loss_log_two():
    """Both terms are within their margins: exp(0) / (exp(0) + exp(0)). Lengths do not matter."""
    found = d2d_cross_entropy(named([[3.0, 0.0], [0.0, 0.5]], [0, 1], [[1.0, 0.0], [0.0, 7.0]]), 0.98, 0.5)
    assert found == pytest.approx(math.log(2), abs=1e-6)


def test_margins_and_temperature_are_where_the_equation_has_them():
    """Embeddings at 0, 60 and 90 degrees, of the classes 0, 1 and 1; proxies at 90 and 60."""
    angles = [math.radians(angle) for angle in (0, 60, 90)]
    points = [[math.cos(angle), math.sin(angle)] for angle in angles]
    one = named(points, [0, 1, 1], [points[2], points[1]])
    margin, temperature = 0.9, 0.25
    near = [0.0, 1.0, math.sqrt(3) / 2]  # cosines with the own proxies
    others = [[0.5, 0.0], [0.5], [0.0]]  # with samples of another class
    losses = []
    for mine, theirs in zip(near, others, strict=True):
        attracted = math.exp(min(0, mine - margin) / temperature)
        repelled = sum(math.exp(max(0, other - (1 - margin)) / temperature) for other in theirs)
        losses.append(-math.log(attracted / (attracted + repelled)))
    assert d2d_cross_entropy(one, margin, temperature) == pytest.approx(sum(losses) / 3, abs=1e-6)


def test_what_is_near_and_far_enough_has_no_gradient():
    easy = named([[1.0, 0.01], [0.01, -1.0]], [0, 1], [[1.0, 0.0], [0.0, -1.0]])
    given = easy.values.requires_grad_()
    d2d_cross_entropy(easy._replace(values=given), 0.98, 0.5).backward()
    assert torch.equal(given.grad, torch.zeros(2, 2))


def test_a_batch_of_one_class_teaches_nothing():
    values = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = d2d_cross_entropy(Named(torch.zeros(3, dtype=torch.int64), values, torch.ones(2, 4)), 0.98, 0.5)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert torch.allclose(values.grad, torch.zeros(3, 4), atol=1e-6)


@pytest.mark.parametrize("kind", ["dcgan", "mlp"])
@pytest.mark.parametrize("norm", ["none", "spectral"])
def test_the_discriminator_learns_the_classes_of_real_samples_and_the_generator_those_of_its_own(kind, norm):
    words = (kind, 3, D2D, "gan.auxiliary_weight=0.5", "gan.d2d_size=4", f"gan.discriminator_norm={norm}")
    config, networks = networks_of("auxiliary", *words)
    real, latents = batch_of(config, kind)
    fake = generate(networks, latents)
    found = discriminator_gradient(networks, real, fake)
    _, again = networks_of("auxiliary", *words)
    logits, embeddings, proxies = again.discriminator.module(torch.cat([real.values, fake.values]))
    of_classes = d2d_cross_entropy(Named(real.labels, embeddings[: len(real.values)], proxies), 0.98, 0.5)
    loss = again.loss.discriminator(*logits.split(len(real.values))) + 0.5 * of_classes
    loss.backward()
    assert torch.allclose(found, loss, atol=1e-6)
    assert torch.allclose(networks.discriminator.gradient, again.discriminator.gradient, atol=1e-6)
    given = fake.values.clone().requires_grad_()
    logits, embeddings, proxies = again.discriminator.module(given)
    loss = again.loss.generator(logits) + 0.5 * d2d_cross_entropy(Named(fake.labels, embeddings, proxies), 0.98, 0.5)
    loss.backward()
    _, third = networks_of("auxiliary", *words)
    discriminator_gradient(third, real, fake)  # the pass that `again` has taken, too
    assert torch.allclose(feedback(third, fake)[0], given.grad, atol=1e-6)


def test_swapped_labels_permute_the_proxies():
    config, networks = networks_of("auxiliary", "dcgan", 3, D2D)
    _, permuted = networks_of("auxiliary", "dcgan", 3, D2D)
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        permuted.discriminator.module.head.proxies[order] = networks.discriminator.module.head.proxies.clone()
    real, _ = batch_of(config, "dcgan")
    fake = Labelled(F.hardtanh(real.values.flip(0)), real.labels)
    one = discriminator_gradient(networks, real, fake)
    other = discriminator_gradient(permuted, Labelled(real.values, order[real.labels]), fake)
    assert torch.allclose(one, other, atol=1e-6)


def test_a_network_of_ones_own_answers_with_embeddings_and_proxies():
    words = ["gan.condition=auxiliary", "gan.class_weights=[1, 1, 1]", D2D]
    with raises("gan.discriminator", "result", "tuple", "embeddings (8, 64) and proxies of all classes (3, 64)"):
        check_networks(tiny(*words, "gan.discriminator=tests.run.nets:FewScores"), (1, 16, 16), 8)

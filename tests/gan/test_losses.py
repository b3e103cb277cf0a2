import math

import pytest
import torch
from torch import nn, tensor

from raygan.gan import losses

LOG2 = math.log(2)


def softplus(x):
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("loss", "discriminator", "generator"),
    [
        (losses.non_saturating, softplus(-2) + softplus(1), softplus(-1)),
        (losses.minimax, softplus(-2) + softplus(1), -softplus(1)),
        (losses.hinge, 0 + 2, -1),
        (losses.least_squares, 0.5 * 1 + 0.5 * 1, 0),
        (losses.wgan_gp, 1 - 2, -1),
    ],
)
def test_values_at_real_2_fake_1(loss, discriminator, generator):
    real, fake = tensor([2.0, 2.0]), tensor([1.0, 1.0])
    assert loss.discriminator(real, fake).item() == pytest.approx(discriminator, abs=1e-6)
    assert loss.generator(fake).item() == pytest.approx(generator, abs=1e-6)


def test_an_undecided_discriminator_costs_twice_log_2():
    assert losses.minimax.discriminator(tensor([0.0]), tensor([0.0])).item() == pytest.approx(2 * LOG2)


def test_gradient_penalty_of_a_linear_critic():
    critic = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        critic.weight.copy_(tensor([[3.0, 4.0]]))  # slope 5 everywhere
    real, fake = torch.randn(6, 2), torch.randn(6, 2)
    assert losses.gradient_penalty(critic, real, fake, torch.rand(6)).item() == pytest.approx(16, rel=1e-5)


def test_gradient_penalty_is_taken_between_fake_and_real():
    class Cube(nn.Module):
        def forward(self, x):
            return x**3 / 3  # slope x^2

    real, fake = tensor([[2.0]]), tensor([[0.0]])
    for mix, expected in ((1.0, 9.0), (0.0, 1.0), (0.5, 0.0)):
        penalty = losses.gradient_penalty(Cube(), real, fake, tensor([mix]))
        assert penalty.item() == pytest.approx(expected, abs=1e-6)

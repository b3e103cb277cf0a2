"""R1, R2, when they are added, and the relativistic loss: closed forms."""

import cmath

import numpy as np
import pytest
import torch
from torch import nn

from raygan.config.gan import Sgd
from raygan.gan.conditions import Labelled
from raygan.gan.losses import relativistic, squared_gradient
from raygan.gan.networks import build_networks
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.steps import discriminator_gradient, feedback, generator_step, simultaneous_step
from raygan.rng import Role
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import play

CPU = torch.device("cpu")
HERE = "tests.gan.test_penalties"
DIRAC = Labelled(torch.zeros(4, 1)), Labelled(torch.zeros(4, 8))


class Line(nn.Module):
    """w . x"""

    def __init__(self, shape, gan):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(1.0, 1 + np.prod(shape)))

    def forward(self, x):
        return x.flatten(1) @ self.weight


class Joint(Line):
    per_sample = True


class Point(nn.Module):
    """Dirac-GAN's generator: a point, whatever the noise."""

    def __init__(self, shape, gan):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(shape))

    def forward(self, z):
        return self.place.expand(len(z), *self.place.shape)


def networks_of(*words, shape=(2,), discriminator="Line", generator="Point"):
    own = [f"gan.discriminator={HERE}:{discriminator}", f"gan.generator={HERE}:{generator}"]
    return build_networks(tiny(*own, *words), shape, CPU)


@pytest.mark.parametrize("discriminator", ["Line", "Joint"])
@pytest.mark.parametrize(
    ("penalty", "times"), [("r1=3", 1), ("r2=3", 1), ("r1=2 r2=1", 1), ("r1=3 penalty_every=4", 4)]
)
def test_of_a_line_a_penalty_is_half_gamma_times_the_square_of_its_slope(discriminator, penalty, times):
    """So its gradient is gamma w. The half is inside, and a lazy one weighs as many times as much."""
    real, fake = Labelled(torch.randn(5, 2)), Labelled(torch.randn(5, 2))
    words = [f"gan.{word}" for word in penalty.split()]
    plain, penalised = (networks_of(*given, discriminator=discriminator) for given in ([], words))
    loss = discriminator_gradient(plain, real, fake)
    penalised.chance._steps = 0
    other = discriminator_gradient(penalised, real, fake)
    slope = penalised.discriminator.module.weight.detach()
    assert other - loss == pytest.approx(times * 1.5 * float(slope.square().sum()), rel=1e-5)
    moved = penalised.discriminator.gradient - plain.discriminator.gradient
    torch.testing.assert_close(moved, times * 3 * slope)


def test_the_squared_gradient_is_of_each_sample_on_its_own():
    x = torch.tensor([[1.0], [3.0]], requires_grad=True)
    assert squared_gradient((x**2).flatten(), x).item() == pytest.approx((2**2 + 6**2) / 2)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("loss", ["non_saturating", "minimax", "relativistic"])
def test_eigenvalues_of_dirac_gan(gamma, loss):
    """Of the vector field of both steps at the equilibrium (arXiv 1801.04406)."""
    networks = networks_of(f"gan.r1={gamma}", f"gan.loss={loss}", shape=(1,))
    optimizers = [FlatOptimizer(Sgd(), network) for network in (networks.discriminator, networks.generator)]

    def field(theta, psi):
        with torch.no_grad():
            networks.generator.parameters.fill_(theta)
            networks.discriminator.parameters.fill_(psi)
        simultaneous_step(networks, *optimizers, 1, *DIRAC)
        return [-float(networks.generator.gradient), -float(networks.discriminator.gradient)]

    step = 1e-3
    columns = [np.subtract(field(*at), field(*(-one for one in at))) / (2 * step) for at in ((step, 0), (0, step))]
    found = sorted(np.linalg.eigvals(np.stack(columns, 1)), key=lambda value: (value.real, value.imag))
    root = cmath.sqrt(gamma**2 / 4 - 1 / 4)
    expected = sorted([-gamma / 2 - root, -gamma / 2 + root], key=lambda value: (value.real, value.imag))
    assert found == pytest.approx(expected, abs=2e-3)


def walk(gamma, steps=400):
    """The distance of Dirac-GAN from its equilibrium after so many simultaneous steps from 1."""
    networks = networks_of(f"gan.r1={gamma}", "gan.loss=minimax", shape=(1,))
    optimizers = [FlatOptimizer(Sgd(lr=0.1), network) for network in (networks.discriminator, networks.generator)]
    for _ in range(steps):
        simultaneous_step(networks, *optimizers, 1, *DIRAC)
    return torch.cat([networks.discriminator.parameters, networks.generator.parameters]).norm().item()


def test_dirac_gan_circles_without_a_penalty_and_arrives_with_one():
    assert walk(0.0) > 1
    assert walk(1.0) < 1e-3


def test_a_shift_of_all_logits_changes_no_relativistic_loss():
    real, fake = torch.randn(6), torch.randn(6)
    for loss, given in ((relativistic.discriminator, (real, fake)), (relativistic.generator, (fake, real))):
        assert loss(*(logits + 7 for logits in given)) == pytest.approx(float(loss(*given)), abs=1e-6)
    assert relativistic.discriminator(real, real) == pytest.approx(np.log(2))
    assert relativistic.generator(fake, real) == pytest.approx(
        float(nn.functional.softplus(-(fake - real)).mean()), abs=1e-6
    )


def test_relativistic_steps_compare_with_real_samples_in_turns():
    """Five generated samples and two real ones: the gradient is that of the pairs (0, 0), (1, 1), (2, 0), ..."""
    networks = networks_of("gan.loss=relativistic")
    fake, real = torch.randn(5, 2), torch.randn(2, 2)
    gradient, loss = feedback(networks, Labelled(fake), Labelled(real))
    weight = networks.discriminator.module.weight.detach()
    margin = (real.repeat(3, 1)[:5] - fake) @ weight
    torch.testing.assert_close(loss, nn.functional.softplus(margin).mean())
    torch.testing.assert_close(gradient, -margin.sigmoid()[:, None] / 5 * weight)
    optimizer = FlatOptimizer(tiny().generator_optimizer, networks.generator)
    at_zero = generator_step(networks, optimizer, 1, Labelled(torch.zeros(5, 8)), Labelled(real))
    torch.testing.assert_close(at_zero, nn.functional.softplus((real @ weight).repeat(3)[:5]).mean())


def test_lazy_penalties_come_at_equal_intervals_and_their_beginning_is_drawn():
    chance = networks_of("gan.r1=1", "gan.penalty_every=4").chance
    beginnings = []
    for round in range(1, 200):
        with chance.of(Role.DEVICE_AUGMENT, 3, round):
            due = [chance.penalised() for _ in range(12)]
        assert sum(due) == 3
        assert np.diff(np.flatnonzero(due)).tolist() == [4, 4]
        beginnings.append(due.index(True))
    assert np.bincount(beginnings, minlength=4).min() > 30


@pytest.mark.parametrize("method", ["averaged", "fedgan", "mdgan", "centralized"])
def test_with_no_weight_the_penalties_change_no_bit(method):
    words = [f"method={method}", "device_steps=2", "mdgan.swap_epochs=null"]
    plain, off, on = (
        play(tiny(*words, *more), [30, 30], 2).networks.generator.dump()
        for more in ([], ["gan.r1=0.0", "gan.r2=0.0"], ["gan.r1=1.0"])
    )
    assert np.array_equal(plain, off)
    assert not np.array_equal(plain, on)


def test_a_server_without_real_samples_refuses_a_relativistic_loss():
    with raises("gan.loss", "conflict", "relativistic", "method=averaged", "method=fedgan"):
        play(tiny("gan.loss=relativistic"), [60], 1)


def test_the_penalties_are_of_the_samples_before_they_are_augmented():
    """The gradient at a pixel that is cut out is 0, and a quarter of the image is cut out at most."""
    words = ["gan.r1=2", "gan.augment=diffaugment", "gan.augment_policy=cutout"]
    networks, cut = networks_of(*words, shape=(1, 8, 8)), networks_of(*words[1:], shape=(1, 8, 8))
    real, losses = Labelled(torch.randn(400, 1, 8, 8)), []
    for each in (networks, cut):
        with each.chance.of(Role.DEVICE_AUGMENT, 0, 1):
            losses.append(discriminator_gradient(each, real, real))
    slope = float(networks.discriminator.module.weight.detach().square().sum())
    assert 0.75 < float(losses[0] - losses[1]) / slope < 0.9

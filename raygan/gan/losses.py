"""Adversarial losses, as means over a batch of logits (the larger, the more real)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """The losses of discriminator and generator.

    `discriminator` takes the logits of real and of generated samples, `generator` those of generated ones;
    both return a scalar. `gradient_penalty`: whether the discriminator's loss adds WGAN-GP's penalty. `relative`:
    whether `generator` takes as many logits of real samples besides, so that only a party with real samples can use it.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[..., Tensor]
    gradient_penalty: bool = False
    relative: bool = False


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).mean() + F.softplus(fake).mean()


non_saturating = Loss(_cross_entropy, lambda fake: F.softplus(-fake).mean())
"""Goodfellow et al., arXiv 1406.2661, section 3: the generator ascends log D(G(z))."""

minimax = Loss(_cross_entropy, lambda fake: -F.softplus(fake).mean())
"""arXiv 1406.2661, equation 1: the generator descends log(1 - D(G(z)))."""

hinge = Loss(lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(), lambda fake: -fake.mean())
"""Lim and Ye, arXiv 1705.02894."""

least_squares = Loss(
    lambda real, fake: 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean(),
    lambda fake: 0.5 * (fake - 1).square().mean(),
)
"""Mao et al., arXiv 1611.04076, equation 9 (a=0, b=c=1)."""

wgan_gp = Loss(lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean(), gradient_penalty=True)
"""Gulrajani et al., arXiv 1704.00028, algorithm 1."""


relativistic = Loss(
    lambda real, fake: F.softplus(fake - real).mean(), lambda fake, real: F.softplus(real - fake).mean(), relative=True
)
"""Jolicoeur-Martineau, arXiv 1807.00734: pair by pair; with R1 and R2 that of R3GAN (arXiv 2501.05441)."""


Each = Callable[[Callable[..., Tensor]], Callable[..., Tensor]]
"""Makes a function of one GAN's tensors one of the tensors of all GANs that are trained side by side."""


def of_one(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Returns the function as it is: there is one GAN."""
    return function


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor, each: Each = of_one
) -> Tensor:
    """Returns WGAN-GP's penalty: the mean of (|gradient| - 1)^2 at points `mix` of the way from fake to real.

    `mix` is (N,) in [0, 1]; arXiv 1704.00028, equation 3, without lambda.
    """
    between = each(_between)(real, fake, mix).requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    return each(_off_one)(slope)


def _between(real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    mix = mix.view(-1, *[1] * (real.dim() - 1))
    return mix * real + (1 - mix) * fake


def _off_one(slope: Tensor) -> Tensor:
    off: Tensor = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    return off


def squared_gradient(logits: Tensor, samples: Tensor, each: Each = of_one) -> Tensor:
    """Returns the mean over samples of the squared norm of their logit's gradient, which can be differentiated again.

    Half of it times gamma is R1 where the samples are real, R2 where they are generated (Mescheder et al.,
    arXiv 1801.04406, equations 9 and 10).
    """
    (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return each(_squared)(slope)


def _squared(slope: Tensor) -> Tensor:
    squared: Tensor = slope.flatten(1).square().sum(dim=1).mean()
    return squared

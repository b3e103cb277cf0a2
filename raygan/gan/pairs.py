"""Gradients of the discriminator, pair by pair, for record-level differential privacy (`raygan.config.privacy`).

DP-SGD (Abadi et al., arXiv 1607.00133, algorithm 1) over pairs of a real sample and a generated one, the unit that
DPGAN adds noise for (Xie et al., arXiv 1802.06739, algorithm 1; that clips weights, and here gradients are clipped):

    g_i = gradient of the loss of (x_i, fake_i);  g_i *= min(1, C / ||g_i||)
    step along (sum of g_i over the drawn samples + N(0, (z C)^2 I)) / b,  b the planned size of a batch

The loss is computed on each pair by itself, so whatever loss and network do with a batch, no sample has a part in the
gradient of another. Which fake a sample is paired with depends on its place in the shard alone. A pair whose gradient
is not finite counts as 0.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from raygan.gan.conditions import Labelled
from raygan.gan.networks import Networks
from raygan.gan.objective import discriminator_loss, judged_both, seen_both
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.steps import generate, generator_gradient
from raygan.gan.transfer import uploaded


@dataclass(frozen=True)
class Clipped:
    """How the gradients of pairs are clipped, and how much noise their sum gets."""

    clip: float
    """C, the largest norm of the gradient of a pair."""
    noise_multiplier: float
    """z, the standard deviation of the noise in units of C."""


class _OfOnePair(nn.Module):
    """The discriminator's loss of one real and one generated sample, as a function of its parameters."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.module = networks.discriminator.module
        self._networks = networks

    def forward(
        self, real: Tensor, label: Tensor | None, fake: Tensor, fake_label: Tensor | None, changes: Tensor | None
    ) -> Tensor:
        """Returns the loss; samples and labels are without a batch dimension, `changes` are (2, 8)."""
        seen_real, seen_fake = seen_both(self._networks, _alone(real, label), _alone(fake, fake_label), changes)
        of_real, of_fake = judged_both(self._networks, seen_real, seen_fake)
        return discriminator_loss(self._networks, of_real, of_fake, seen_real, seen_fake.values, None)


def _alone(sample: Tensor, label: Tensor | None) -> Labelled:
    return Labelled(sample[None], None if label is None else label[None])


def private_step(
    networks: Networks,
    optimizer: FlatOptimizer,
    round: int,
    clipped: Clipped,
    real: Labelled,
    fake: Labelled,
    paired: Tensor,
) -> Tensor:
    """One descent step of the discriminator along the noisy mean of clipped gradients.

    `paired` (N,) int64 are the places in `fake` of those that the real samples (N, *shape) are paired with; N may be 0.
    Their planned number is that of the fakes. Returns the mean loss before the step, which is not private.
    """
    loss = _noisy_gradient(networks, clipped, real, fake, paired)
    optimizer.step(round)
    return loss


def private_simultaneous_step(
    networks: Networks,
    discriminator_optimizer: FlatOptimizer,
    generator_optimizer: FlatOptimizer,
    round: int,
    clipped: Clipped,
    real: Labelled,
    latents: Labelled,
    paired: Tensor,
) -> tuple[Tensor, Tensor]:
    """One such step, and one of the generator, with both gradients taken before the step.

    The generator's is of the discriminator that was, which is private already. Returns both losses.
    """
    moving = networks.generator.moving
    before = moving.clone()
    fake = generate(networks, latents)
    moving.copy_(before)  # the pass of the generator's own gradient is the one that counts
    d_loss = _noisy_gradient(networks, clipped, real, fake, paired)
    g_loss = generator_gradient(networks, latents)
    discriminator_optimizer.step(round)
    generator_optimizer.step(round)
    return d_loss, g_loss


def _noisy_gradient(networks: Networks, clipped: Clipped, real: Labelled, fake: Labelled, paired: Tensor) -> Tensor:
    """Compute the gradient of such a step into the discriminator's `gradient`; returns the mean loss."""
    discriminator, planned, drawn = networks.discriminator, len(fake.values), len(real.values)
    trained = {
        name: parameter for name, parameter in discriminator.module.named_parameters() if parameter.requires_grad
    }
    discriminator.gradient.zero_()
    loss = discriminator.gradient.new_zeros(())
    if drawn:
        changes = networks.changes(2 * drawn)
        given = [
            *real,
            *(None if values is None else values.index_select(0, paired) for values in fake),
            None if changes is None else changes.view(drawn, 2, -1),
        ]
        of_one = _OfOnePair(networks)

        def loss_of(parameters: dict[str, Tensor], *pair: Tensor | None) -> Tensor:
            one: Tensor = functional_call(of_one, {f"module.{name}": value for name, value in parameters.items()}, pair)
            return one

        of_pairs = vmap(grad_and_value(loss_of), (None, *(None if one is None else 0 for one in given)))
        gradients, losses = of_pairs({name: parameter.detach() for name, parameter in trained.items()}, *given)
        norms = torch.stack([one.flatten(1).norm(dim=1) for one in gradients.values()]).norm(dim=0)
        lost = ~norms.isfinite()
        factors = (clipped.clip / norms).clamp(max=1).masked_fill(lost, 0)
        for name, parameter in trained.items():
            assert parameter.grad is not None  # laid out once, never released
            each = gradients[name].masked_fill(lost.view(-1, *[1] * parameter.dim()), 0)
            parameter.grad.copy_(torch.tensordot(factors, each, dims=1))
        loss = losses.masked_fill(lost, 0).mean()
    if scale := clipped.clip * clipped.noise_multiplier:
        for parameter in trained.values():
            assert parameter.grad is not None
            drawn_noise = uploaded(networks.chance.normal(parameter.numel()), parameter.device)
            parameter.grad.add_(drawn_noise.view(parameter.shape), alpha=scale)
    discriminator.gradient.div_(planned)
    return loss.detach()

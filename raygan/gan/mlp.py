"""Multilayer perceptrons for low-dimensional data such as 2-D mixtures (images work too, flattened)."""

import math

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from raygan.config.gan import Gan, Norm

_HIDDEN_LAYERS = 3


class MLPGenerator(nn.Module):
    """(N, latent) to (N, *shape); images end in tanh, points are unbounded."""

    def __init__(self, shape: tuple[int, ...], gan: Gan) -> None:
        super().__init__()
        size = math.prod(shape)
        self.shape = shape
        layers = _stack(gan.latent, gan.generator_width, gan.generator_norm, nn.ReLU())
        layers.append(nn.Linear(gan.generator_width, size))
        self.layers = nn.Sequential(*layers, nn.Tanh() if len(shape) == 3 else nn.Identity())

    def forward(self, z: Tensor) -> Tensor:
        """Returns samples for latent points `z`."""
        samples: Tensor = self.layers(z)
        return samples.view(-1, *self.shape)


class MLPDiscriminator(nn.Module):
    """(N, *shape) to (N,) logits: the larger, the more real."""

    def __init__(self, shape: tuple[int, ...], gan: Gan) -> None:
        super().__init__()
        self.per_sample = gan.discriminator_norm in ("none", "group")
        self.one_pass = gan.discriminator_norm != "batch"
        width = gan.discriminator_width
        layers = _stack(math.prod(shape), width, gan.discriminator_norm, nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers, _linear(width, 1, gan.discriminator_norm))

    def forward(self, samples: Tensor) -> Tensor:
        """Returns the logits of `samples`."""
        logits: Tensor = self.layers(samples.flatten(1))
        return logits.flatten()


def _stack(size: int, width: int, norm: Norm, activation: nn.Module) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for layer in range(_HIDDEN_LAYERS):
        layers.append(_linear(width if layer else size, width, norm))
        if norm == "batch":
            layers.append(nn.BatchNorm1d(width))
        elif norm == "group":
            layers.append(nn.GroupNorm(math.gcd(8, width), width))
        layers.append(activation)
    return layers


def _linear(size: int, width: int, norm: Norm) -> nn.Module:
    linear = nn.Linear(size, width)
    return spectral_norm(linear) if norm == "spectral" else linear

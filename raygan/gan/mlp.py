"""Multilayer perceptrons for low-dimensional data such as 2-D mixtures (images work too, flattened)."""

import math

from torch import Tensor, nn

from raygan.config.gan import Gan, Norm
from raygan.gan.conditions import class_head, class_planes, with_classes
from raygan.gan.spectral import spectral_norm

_HIDDEN_LAYERS = 3


class MLPGenerator(nn.Module):
    """(N, latent), and labels (N,) with a condition, to (N, *shape); images end in tanh, points are unbounded."""

    def __init__(self, shape: tuple[int, ...], gan: Gan) -> None:
        super().__init__()
        size = math.prod(shape)
        self.shape = shape
        self.classes = gan.num_classes
        layers = _stack(gan.latent + self.classes, gan.generator_width, gan.generator_norm, nn.ReLU())
        layers.append(nn.Linear(gan.generator_width, size))
        self.layers = nn.Sequential(*layers, nn.Tanh() if len(shape) == 3 else nn.Identity())

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Returns samples for latent points `z`."""
        samples: Tensor = self.layers(with_classes(z, labels, self.classes))
        return samples.view(-1, *self.shape)


class MLPDiscriminator(nn.Module):
    """(N, *shape) to (N,) logits: the larger, the more real. With a condition: `raygan.gan.conditions`."""

    def __init__(self, shape: tuple[int, ...], gan: Gan) -> None:
        super().__init__()
        self.per_sample = gan.discriminator_norm in ("none", "group")
        self.planes = class_planes(gan)
        self.one_pass = gan.discriminator_norm != "batch"
        width = gan.discriminator_width
        layers = _stack(math.prod(shape) + self.planes, width, gan.discriminator_norm, nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers, _linear(width, 1, gan.discriminator_norm))
        self.head = class_head(gan, lambda values: _linear(width, values, gan.discriminator_norm))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """Returns the logits of `samples`, and with `auxiliary` what it says of their classes."""
        if self.head is None:
            only: Tensor = self.layers(with_classes(samples.flatten(1), labels, self.planes))
            return only.flatten()
        hidden: Tensor = self.layers[:-1](samples.flatten(1))
        logits: Tensor = self.layers[-1](hidden).flatten()
        answer: Tensor | tuple[Tensor, ...] = self.head(logits, hidden, labels)
        return answer


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

"""DCGAN (Radford et al., arXiv 1511.06434) for square images of 16 to 256 pixels (or 28), grey or colour.

At 64 pixels and width 64, with batch normalisation and a latent of 100, the layers and parameter counts are
those of PyTorch's tutorial: generator 3,576,704, discriminator 2,765,568. Weights are channels_last in memory, in
which the convolutions are faster (docs/performance.md).
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from raygan.config.gan import Gan, Norm
from raygan.errors import InputError
from raygan.gan.conditions import class_head, class_planes, with_classes
from raygan.gan.convolutions import FromPoint, ToGrey, ToPoint
from raygan.gan.derived import Derived
from raygan.gan.spectral import spectral_norm

_SMALLEST = {16: 4, 28: 7, 32: 4, 64: 4, 128: 4, 256: 4}  # side of the innermost feature map; each layer doubles it
_WIDEST = 8
"""Width of the innermost maps over that of the outermost, at most: reached at 64 pixels, kept from there on as the maps
of larger networks are (512 for a width of 64 in Karras et al., arXiv 1710.10196, table 2)."""


class DCGANGenerator(nn.Module):
    """(N, latent), and labels (N,) with a condition, to (N, C, H, W) in [-1, 1]."""

    def __init__(self, shape: tuple[int, ...], gan: Gan) -> None:
        super().__init__()
        self.classes = gan.num_classes
        channels, side, doublings = _layout(shape)
        widths = _widths(gan.generator_width, doublings)[::-1]
        layers = _block(FromPoint(gan.latent + self.classes, widths[0], side), gan.generator_norm, nn.ReLU())
        for before, after in pairwise(widths):
            layers += _block(nn.ConvTranspose2d(before, after, 4, 2, 1), gan.generator_norm, nn.ReLU())
        to_image = ToGrey if channels == 1 else nn.ConvTranspose2d
        layers += [to_image(widths[-1], channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        _initialise(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Returns images for latent points `z`."""
        images: Tensor = self.layers(with_classes(z, labels, self.classes)[:, :, None, None])
        return images.contiguous()  # a custom network may reshape them with `view`


class DCGANDiscriminator(nn.Module):
    """(N, C, H, W) in [-1, 1] to (N,) logits: the larger, the more real. With a condition: `raygan.gan.conditions`."""

    def __init__(self, shape: tuple[int, ...], gan: Gan) -> None:
        super().__init__()
        self.per_sample = gan.discriminator_norm in ("none", "group")
        self.planes = class_planes(gan)
        self.one_pass = gan.discriminator_norm != "batch"
        channels, side, halvings = _layout(shape)
        widths = _widths(gan.discriminator_width, halvings)
        first: Norm = "spectral" if gan.discriminator_norm == "spectral" else "none"
        layers = _block(
            nn.Conv2d(channels + self.planes, widths[0], 4, 2, 1, bias=first == "spectral"), first, _leaky()
        )
        for before, after in pairwise(widths):
            layers += _block(nn.Conv2d(before, after, 4, 2, 1), gan.discriminator_norm, _leaky())
        layers.append(_to_point(widths[-1], 1, side, first))
        self.layers = nn.Sequential(*layers)
        self.head = class_head(gan, lambda values: _to_point(widths[-1], values, side, first))
        _initialise(self)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """Returns the logits of `images`, and with `auxiliary` what it says of their classes."""
        if self.head is None:
            only: Tensor = self.layers(with_classes(images, labels, self.planes))
            return only.flatten()
        maps: Tensor = self.layers[:-1](images)
        logits: Tensor = self.layers[-1](maps).flatten()
        answer: Tensor | tuple[Tensor, ...] = self.head(logits, maps, labels)
        return answer


def _layout(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Returns channels, side of the innermost feature map, and the number of doublings from there to the image."""
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] not in _SMALLEST:
        raise InputError(
            f"gan.generator: dcgan makes square images of {', '.join(map(str, _SMALLEST))} pixels, but a sample has "
            f"the shape {shape}; set data.size",
            code="conflict",
        )
    side = _SMALLEST[shape[1]]
    return shape[0], side, int(math.log2(shape[1] // side))


def _widths(outermost: int, layers: int) -> list[int]:
    """Returns the widths of the maps from the image inwards."""
    return [outermost * min(2**i, _WIDEST) for i in range(layers)]


def _to_point(width: int, values: int, side: int, norm: Norm) -> nn.Module:
    last = ToPoint(width, values, side, bias=False)
    return spectral_norm(last) if norm == "spectral" else last


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)


def _block(layer: nn.Conv2d | nn.ConvTranspose2d, norm: Norm, activation: nn.Module) -> list[nn.Module]:
    """A layer with its normalisation and activation; it has a bias only if no normalisation would cancel it."""
    if norm in ("batch", "group"):
        layer.register_parameter("bias", None)
        width = layer.out_channels
        normalise = nn.BatchNorm2d(width) if norm == "batch" else nn.GroupNorm(math.gcd(8, width), width)
        return [layer, normalise, activation]
    return [spectral_norm(layer) if norm == "spectral" else layer, activation]


def _initialise(network: nn.Module) -> None:
    """Set DCGAN's initial weights (N(0, 0.02), scales N(1, 0.02), biases 0), their layout, and the derived buffers."""
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, 0.0, 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, 1.0, 0.02)
    network.to(memory_format=torch.channels_last)
    Derived(network).refresh()

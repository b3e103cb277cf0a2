"""The networks of R3GAN (Huang et al., arXiv 2501.05441) for square images of 16 to 128 pixels, of any width and depth.

ConvNets without normalisation: residual blocks of an inverted bottleneck with grouped convolutions, whose last layer
begins at 0, and bilinear resampling in between. They are meant for `gan.loss=relativistic`, `gan.r1` and `gan.r2`. The
authors' networks for CIFAR-10 have width 768, `gan.depth=2` and a latent of 64: 20,732,160 and 20,683,776 parameters.
All maps are equally wide, as there. Samples are not squashed, so they may lie a little outside of [-1, 1].
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raygan.config.gan import Gan
from raygan.errors import InputError
from raygan.gan.conditions import class_head, class_planes, with_classes

_SIDES = (16, 32, 64, 128)
_SLOPE = 0.2
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))
_EXPANSION, _GROUP = 2, 16  # width between the layers of a block over that outside; channels of a group in it


class R3GANGenerator(nn.Module):
    """(N, latent), and labels (N,) with a condition, to (N, C, H, W)."""

    def __init__(self, shape: tuple[int, ...], gan: Gan) -> None:
        super().__init__()
        channels, stages = _checked(shape, gan.generator_width, gan.generator_norm, "generator")
        width, self.classes = gan.generator_width, gan.num_classes
        self.place = nn.Parameter(torch.randn(width, 4, 4))
        self.start = _initialised(nn.Linear(gan.latent + self.classes, width, bias=False))
        self.stages = nn.ModuleList(_stage(width, gan.depth, stages) for _ in range(stages))
        self.end = _initialised(nn.Conv2d(width, channels, 1, bias=False))
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Returns images for latent points `z`."""
        maps = self.place * self.start(with_classes(z, labels, self.classes))[:, :, None, None]
        for number, stage in enumerate(self.stages):
            maps = stage(_doubled(maps) if number else maps)
        images: Tensor = self.end(maps)
        return images.contiguous()


class R3GANDiscriminator(nn.Module):
    """(N, C, H, W) to (N,) logits: the larger, the more real. With a condition: `raygan.gan.conditions`."""

    per_sample = True

    def __init__(self, shape: tuple[int, ...], gan: Gan) -> None:
        super().__init__()
        channels, stages = _checked(shape, gan.discriminator_width, gan.discriminator_norm, "discriminator")
        width, self.planes = gan.discriminator_width, class_planes(gan)
        self.start = _initialised(nn.Conv2d(channels + self.planes, width, 1, bias=False))
        self.stages = nn.ModuleList(_stage(width, gan.depth, stages) for _ in range(stages))
        self.place = _initialised(nn.Conv2d(width, width, 4, groups=width, bias=False))
        self.end = _initialised(nn.Linear(width, 1, bias=False))
        self.head = class_head(gan, lambda values: _initialised(nn.Linear(width, values, bias=False)))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """Returns the logits of `images`, and with `auxiliary` what it says of their classes."""
        maps = self.start(with_classes(images, labels, self.planes))
        for number, stage in enumerate(self.stages):
            maps = stage(_halved(maps) if number else maps)
        features = self.place(maps).flatten(1)
        logits: Tensor = self.end(features).flatten()
        answer: Tensor | tuple[Tensor, ...] = self.head(logits, features, labels) if self.head is not None else logits
        return answer


class _Block(nn.Module):
    """1 x 1, grouped 3 x 3, 1 x 1, with biased leaky ReLUs in between, beside nothing."""

    def __init__(self, width: int, gain: float) -> None:
        super().__init__()
        wide = width * _EXPANSION
        self.first = _initialised(nn.Conv2d(width, wide, 1), gain)
        self.second = _initialised(nn.Conv2d(wide, wide, 3, 1, 1, groups=wide // _GROUP), gain)
        self.third = _initialised(nn.Conv2d(wide, width, 1, bias=False), 0)

    def forward(self, maps: Tensor) -> Tensor:
        """The sum of both ways."""
        inner = F.leaky_relu(self.second(F.leaky_relu(self.first(maps), _SLOPE)), _SLOPE)
        both: Tensor = maps + self.third(inner)
        return both


def _stage(width: int, depth: int, stages: int) -> nn.Module:
    """The blocks at one size; first weights are the smaller, the more blocks there are (Zhang et al., 1901.09321)."""
    return nn.Sequential(*(_Block(width, _GAIN * (stages * depth) ** (-1 / 4)) for _ in range(depth)))


def _kernel(like: Tensor) -> Tensor:
    line = like.new_tensor([1.0, 2.0, 1.0]) / 4
    return (line[:, None] * line)[None, None]


def _doubled(maps: Tensor) -> Tensor:
    """Twice the side, by bilinear interpolation."""
    single = maps.reshape(-1, 1, *maps.shape[2:])
    wide = F.conv_transpose2d(single, 4 * _kernel(maps), stride=2, padding=1, output_padding=1)
    return wide.view(*maps.shape[:2], *wide.shape[2:])


def _halved(maps: Tensor) -> Tensor:
    """Half the side, by the same filter."""
    single = maps.reshape(-1, 1, *maps.shape[2:])
    narrow = F.conv2d(single, _kernel(maps), stride=2, padding=1)
    return narrow.view(*maps.shape[:2], *narrow.shape[2:])


def _checked(shape: tuple[int, ...], width: int, norm: str, network: str) -> tuple[int, int]:
    """Returns the channels of a sample, and the number of sizes from 4 pixels on."""
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] not in _SIDES:
        raise InputError(
            f"gan.{network}: r3gan is for square images of {', '.join(map(str, _SIDES))} pixels, but a sample has the "
            f"shape {shape}; set data.size",
            code="conflict",
        )
    if width * _EXPANSION % _GROUP:
        raise InputError(
            f"gan.{network}_width: r3gan has groups, for which {width} is no multiple of 8", code="conflict"
        )
    if norm != "none":
        raise InputError(
            f"gan.{network}_norm: r3gan has no normalisation; set gan.{network}_norm=none", code="conflict"
        )
    return shape[0], int(math.log2(shape[1] // 4)) + 1


def _initialised(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Conv2d | nn.Linear:
    """A layer with the authors' initial weights, normal with the variance gain^2 / fan-in, and no bias at first."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer

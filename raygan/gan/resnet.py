"""The residual networks of SNGAN (Miyato et al., arXiv 1802.05957, appendix B.4) for square images of 16 to 128 pixels.

At 16 to 32 pixels all maps are equally wide, as in the paper's networks for CIFAR-10 (widths 256 and 128, latent 128:
4,276,739 and 1,053,825 parameters). From 48 pixels on, widths double from the image inwards, as in those for STL-10 and
ImageNet (width 64; those for 64 pixels are of public code, torch-mimicry). Above `gan.depth=1` there are more blocks at
each size than theirs, which keep size and width. A block's projection comes before it doubles the size, and after it
halves it: the same function at a quarter of the work.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raygan.config.gan import Gan, Norm
from raygan.errors import InputError
from raygan.gan.conditions import class_head, class_planes, with_classes
from raygan.gan.spectral import spectral_norm

_SMALLEST = {16: 4, 28: 7, 32: 4, 48: 6, 64: 4, 128: 4}  # side of the generator's innermost maps; each block doubles it
_HALVINGS = {16: 2, 28: 2, 32: 2, 48: 4, 64: 5, 128: 5}  # of the discriminator
_AFTER = {16: 2, 28: 2, 32: 2, 48: 1, 64: 0, 128: 1}  # its blocks after these
_WIDEST = 16  # width of the innermost maps over that of the outermost, at most


class ResNetGenerator(nn.Module):
    """(N, latent), and labels (N,) with a condition, to (N, C, H, W) in [-1, 1]."""

    def __init__(self, shape: tuple[int, ...], gan: Gan) -> None:
        super().__init__()
        channels, side = _checked(shape, "gan.generator")
        norm, self._inner, self.classes = gan.generator_norm, _SMALLEST[side], gan.num_classes
        widths = _widths(gan.generator_width, side, int(math.log2(side // self._inner)) + 1)[::-1]
        self.start = _layer(nn.Linear(gan.latent + self.classes, widths[0] * self._inner**2), norm)
        blocks: list[nn.Module] = []
        for before, after in pairwise(widths):
            blocks.append(_Block(before, after, after, norm, doubles=True))
            blocks += [_Block(after, after, after, norm) for _ in range(gan.depth - 1)]
        to_image = _layer(nn.Conv2d(widths[-1], channels, 3, 1, 1), norm)
        self.blocks = nn.Sequential(*blocks, _normalised(widths[-1], norm), nn.ReLU(), to_image, nn.Tanh())
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Returns images for latent points `z`."""
        start = self.start(with_classes(z, labels, self.classes))
        images: Tensor = self.blocks(start.unflatten(1, (-1, self._inner, self._inner)))
        return images.contiguous()


class ResNetDiscriminator(nn.Module):
    """(N, C, H, W) in [-1, 1] to (N,) logits: the larger, the more real. With a condition: `raygan.gan.conditions`."""

    def __init__(self, shape: tuple[int, ...], gan: Gan) -> None:
        super().__init__()
        self.per_sample = gan.discriminator_norm in ("none", "group")
        self.one_pass = gan.discriminator_norm != "batch"
        self.planes = class_planes(gan)
        channels, side = _checked(shape, "gan.discriminator")
        norm, halvings = gan.discriminator_norm, _HALVINGS[side]
        widths = _widths(gan.discriminator_width, side, halvings + _AFTER[side])
        blocks: list[nn.Module] = [_First(channels + self.planes, widths[0], norm)]
        for place, (before, after) in enumerate(pairwise(widths), 1):
            blocks += [_Block(before, before, before, norm) for _ in range(gan.depth - 1)]
            blocks.append(_Block(before, before, after, norm, halves=place < halvings))
        self.blocks = nn.Sequential(*blocks, nn.ReLU())
        self.end = _layer(nn.Linear(widths[-1], 1), norm)
        self.head = class_head(gan, lambda values: _layer(nn.Linear(widths[-1], values), norm))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """Returns the logits of `images`, and with `auxiliary` what it says of their classes."""
        features = self.blocks(with_classes(images, labels, self.planes)).sum(dim=(2, 3))
        logits: Tensor = self.end(features).flatten()
        answer: Tensor | tuple[Tensor, ...] = self.head(logits, features, labels) if self.head is not None else logits
        return answer


class _Block(nn.Module):
    """Two convolutions of 3 x 3, each after normalisation and ReLU, beside a projection of 1 x 1 or nothing."""

    def __init__(
        self, before: int, between: int, after: int, norm: Norm, doubles: bool = False, halves: bool = False
    ) -> None:
        super().__init__()
        self._doubles, self._halves = doubles, halves
        self.first = nn.Sequential(_normalised(before, norm), nn.ReLU())
        self.second = nn.Sequential(
            _layer(nn.Conv2d(before, between, 3, 1, 1), norm, math.sqrt(2)), _normalised(between, norm), nn.ReLU()
        )
        self.third = _layer(nn.Conv2d(between, after, 3, 1, 1), norm, math.sqrt(2))
        projects = doubles or halves or before != after
        self.beside = _layer(nn.Conv2d(before, after, 1), norm) if projects else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """Both ways, and their sum."""
        inner: Tensor = self.first(maps)
        inner = self.third(self.second(_doubled(inner) if self._doubles else inner))
        outer = self.beside(F.avg_pool2d(maps, 2) if self._halves else maps)
        if self._halves:
            inner = F.avg_pool2d(inner, 2)
        both: Tensor = inner + (_doubled(outer) if self._doubles else outer)
        return both


class _First(nn.Module):
    """The block that takes an image, and halves it: no ReLU comes before it."""

    def __init__(self, before: int, after: int, norm: Norm) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            _layer(nn.Conv2d(before, after, 3, 1, 1), norm, math.sqrt(2)),
            nn.ReLU(),
            _layer(nn.Conv2d(after, after, 3, 1, 1), norm, math.sqrt(2)),
        )
        self.beside = _layer(nn.Conv2d(before, after, 1), norm)

    def forward(self, images: Tensor) -> Tensor:
        """Both ways, and their sum."""
        both: Tensor = F.avg_pool2d(self.inner(images), 2) + self.beside(F.avg_pool2d(images, 2))
        return both


def _doubled(maps: Tensor) -> Tensor:
    """Every value four times. By expansion: torch's interpolation has no deterministic gradient on every GPU."""
    count, channels, height, width = maps.shape
    spread = maps[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2)
    return spread.reshape(count, channels, 2 * height, 2 * width)


def _checked(shape: tuple[int, ...], key: str) -> tuple[int, int]:
    """Returns channels and side of a sample."""
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] not in _SMALLEST:
        raise InputError(
            f"{key}: resnet is for square images of {', '.join(map(str, _SMALLEST))} pixels, but a sample has "
            f"the shape {shape}; set data.size",
            code="conflict",
        )
    return shape[0], shape[1]


def _widths(outermost: int, side: int, count: int) -> list[int]:
    """Returns the widths of the maps from the image inwards."""
    return [outermost * (min(2**place, _WIDEST) if side > 32 else 1) for place in range(count)]


def _normalised(width: int, norm: Norm) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(width)
    return nn.GroupNorm(math.gcd(8, width), width) if norm == "group" else nn.Identity()


def _layer(layer: nn.Conv2d | nn.Linear, norm: Norm, gain: float = 1.0) -> nn.Module:
    """A layer with the paper's initial weights (Glorot and Bengio, 2010)."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return spectral_norm(layer) if norm == "spectral" else layer

"""The first and last convolutions of a DCGAN as matrix products: general ones are slow where one side is tiny.

Parameters, their names and their initial values are those of the torch classes. Results differ only in rounding.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class FromPoint(nn.ConvTranspose2d):
    """A transposed convolution of a single pixel, (N, latent, 1, 1) to (N, C, side, side)."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """One matrix product; the result is channels_last, like the weights."""
        side = self.kernel_size[0]
        maps: Tensor = input.flatten(1) @ self.weight.permute(0, 2, 3, 1).flatten(1)
        maps = maps.unflatten(1, (side, side, -1))
        return (maps if self.bias is None else maps + self.bias).permute(0, 3, 1, 2)


class ToGrey(nn.ConvTranspose2d):
    """A doubling transposed convolution to one channel, (N, C, side, side) to (N, 1, 2 side, 2 side); kernel 4."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The sixteen values that each pixel spreads, and their sum."""
        spread = self.weight.flatten(1).t() @ input.flatten(2)
        doubled = (2 * input.shape[-2], 2 * input.shape[-1])
        return F.fold(spread, doubled, kernel_size=4, stride=2, padding=1)


class ToPoint(nn.Conv2d):
    """A convolution whose kernel covers its input, (N, C, side, side) to (N, values, 1, 1); no bias."""

    def forward(self, input: Tensor) -> Tensor:
        """Inner products per sample, in the order in which channels_last values lie."""
        logits = input.permute(0, 2, 3, 1).flatten(1) @ self.weight.permute(0, 2, 3, 1).flatten(1).t()
        return logits[:, :, None, None]

"""Inception's features, from the weights that define FID and KID."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""Of pt_inception-2015-12-05-6726825d.pth, as pytorch-fid and torch-fidelity publish it."""


def is_inception(weights: Path) -> bool:
    """Whether a file is the official one. Any other may run code when it is loaded, and does not give FID.

    Raises:
        OSError: the file cannot be read.
    """
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256


class Inception(nn.Module):
    """Maps images (N, 1 or 3, H, W) in [-1, 1] to (N, 2048) features on the CPU, equal to pytorch-fid's.

    About 3 images a second on a CPU core: meant for a GPU.
    """

    def __init__(self, weights: Path, device: torch.device) -> None:
        """`weights`: a file that `is_inception`."""
        from torchmetrics.image.fid import NoTrainInceptionV3

        super().__init__()
        self._device = device
        self._network = NoTrainInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights), antialias=False
        ).to(device)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the features; grey images are repeated as colour."""
        pixels = images.expand(-1, 3, -1, -1).add(1).mul(127.5).round().clamp(0, 255).byte()
        features: Tensor = self._network(pixels.to(self._device))
        return features.cpu()

"""A trained generator as a module that needs only torch and raygan."""

from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from raygan.errors import InputError
from raygan.evaluation.evaluator import sample_batches
from raygan.record.generator_file import Weights, read_generator
from raygan.record.storage import opened
from raygan.rng import Role

_FILE = "generator.safetensors"


class TrainedGenerator(nn.Module):
    """Maps latent points (N, latent) to images (N, C, H, W) in [-1, 1], or to points (N, 2), in evaluation mode."""

    def __init__(self, network: nn.Module, latent: int, shape: tuple[int, ...], round: int) -> None:
        super().__init__()
        self.network = network
        self.latent = latent
        self.shape = shape
        """The shape of one sample."""
        self.round = round
        """The round after which it was saved."""

    def forward(self, latents: Tensor) -> Tensor:
        """Returns one sample per latent point. Latent points are standard normal."""
        samples: Tensor = self.network(latents)
        return samples

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """Returns `count` samples on the CPU. The same seed gives the same latent points on every machine.

        Raises:
            InputError: `count` is below 1.
        """
        if count < 1:
            raise InputError(f"count: {count} samples were asked for; 1 is the least", code="value")
        device = next(self.parameters()).device

        def here(latents: Tensor) -> Tensor:
            samples: Tensor = self(latents.to(device))
            return samples.cpu()

        return torch.cat(list(sample_batches(here, count, self.latent, seed, Role.SAMPLES)))


def load_trained(path: str | Path, weights: Weights = "ema", generator: str | None = None) -> TrainedGenerator:
    """Returns the generator in a generator.safetensors, or in a run folder at a path or a URI.

    It is on the CPU, and its parameters have no gradients. The file alone never causes code to be imported: a custom
    network must be named again, as `generator="mypackage.nets:Generator"`.

    Raises:
        InputError: the file is missing or of another kind, or its network is neither raygan's nor `generator`.
    """
    if weights not in get_args(Weights):
        raise InputError(f"weights: {weights!r} is not known; known: {', '.join(get_args(Weights))}", code="unknown")
    with opened(path, _FILE) as place:
        if not place.exists():
            raise InputError(
                f"{place}: not there; a run folder with a {_FILE}, or such a file, is needed", code="missing"
            )
        trained = read_generator(place / _FILE if place.is_dir() else place, weights, generator)
    return TrainedGenerator(trained.network.module, trained.gan.latent, trained.shape, trained.round).eval()

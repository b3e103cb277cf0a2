"""A trained generator as a module that needs only torch and raygan."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from raygan.config.gan import Gan
from raygan.errors import InputError
from raygan.evaluation.sampling import sample_batches
from raygan.record.generator_file import Weights, read_generator
from raygan.record.storage import opened
from raygan.rng import Role

_FILE = "generator.safetensors"


class TrainedGenerator(nn.Module):
    """Maps latent points (N, latent) to images (N, C, H, W) in [-1, 1], or to points (N, 2), in evaluation mode.

    A generator with a class condition is given labels (N,) int64 as well.
    """

    def __init__(self, network: nn.Module, gan: Gan, shape: tuple[int, ...], round: int) -> None:
        super().__init__()
        self.network = network
        self._gan = gan
        self.latent = gan.latent
        self.classes = gan.num_classes
        """The number of classes that it is told apart by; 0 without a condition."""
        self.shape = shape
        """The shape of one sample."""
        self.round = round
        """The round after which it was saved."""

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Returns one sample per latent point. Latent points are standard normal."""
        samples: Tensor = self.network(latents) if labels is None else self.network(latents, labels)
        return samples

    def sample(self, count: int, seed: int = 0, labels: int | Sequence[int] | None = None) -> Tensor:
        """Returns `count` samples on the CPU. The same seed gives the same latent points on every machine.

        `labels` are the classes of the samples, one for all or one each; without them, classes are drawn as frequent as
        in training.

        Raises:
            InputError: `count` is below 1, or `labels` do not fit it or the generator.
        """
        if count < 1:
            raise InputError(f"count: {count} samples were asked for; 1 is the least", code="value")
        wanted = None if labels is None else self._checked(labels, count)
        device = next(self.parameters()).device

        def here(*given: Tensor) -> Tensor:
            samples: Tensor = self(*(one.to(device) for one in given))
            return samples.cpu()

        return torch.cat(list(sample_batches(here, count, self._gan, seed, Role.SAMPLES, wanted)))

    def _checked(self, labels: int | Sequence[int], count: int) -> Tensor:
        if not self.classes:
            raise InputError(
                "labels: this generator makes samples of no chosen class (gan.condition=none)", code="conflict"
            )
        given = torch.as_tensor(labels)
        if given.dim() == 0:
            given = given.expand(count)
        if given.shape != (count,) or given.is_floating_point():
            raise InputError(f"labels: one whole number, or {count} of them, are needed", code="value")
        if not bool(((given >= 0) & (given < self.classes)).all()):
            raise InputError(
                f"labels: they go from {given.min()} to {given.max()}; 0 to {self.classes - 1} is needed", code="value"
            )
        return given.long()


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
    return TrainedGenerator(trained.network.module, trained.gan, trained.shape, trained.round).eval()

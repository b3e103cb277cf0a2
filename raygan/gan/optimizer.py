"""An optimiser whose whole state is one flat vector, like that of its network."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from raygan.config.gan import Optimizer, Sgd
from raygan.gan.flat import FlatModule
from raygan.gan.transfer import Values, array_of, fill


class FlatOptimizer:
    """torch's Adam or SGD over the parameters of a `FlatModule`, with moments and step count in one float32 vector.

    All zeros is the state of a fresh optimiser. It uses torch's functions and not its classes, because these import
    torch's compiler, which costs every process a second and a half of CPU time and 90 MB.
    """

    def __init__(self, settings: Optimizer, network: FlatModule) -> None:
        self.settings = settings
        self.network = network
        self.corrections: list[Callable[[FlatModule], None]] = []
        """What changes the network's gradient in place before a step, in this order."""
        self.vector = torch.zeros(_state_size(settings, network.num_parameters), device=network.vector.device)

    def step(self, round: int) -> None:
        """Step the network's parameters along their gradient, at the learning rate of the round."""
        step_together([self], round)

    def correct(self) -> None:
        """Correct the gradient."""
        for correction in self.corrections:
            correction(self.network)

    def parts(self) -> tuple[Tensor, ...]:
        """Returns the moments, each like the parameters, and Adam's step count (1,)."""
        parts: tuple[Tensor, ...] = self.vector.split(self.network.num_parameters)
        return parts

    def load(self, vector: Values | None) -> None:
        """Copy in a state; None resets the optimiser."""
        if vector is None:
            self.vector.zero_()
        else:
            fill(self.vector, vector)

    def dump(self) -> np.ndarray:
        """Returns the state as a new float32 array."""
        return array_of(self.vector)


@torch.no_grad()
def step_together(optimizers: Sequence[FlatOptimizer], round: int) -> None:
    """Step each one's network, at the learning rate of the round, to the bits of one by one; settings are equal."""
    for optimizer in optimizers:
        optimizer.correct()
    settings = optimizers[0].settings
    parameters: list[Tensor] = [optimizer.network.parameters for optimizer in optimizers]
    gradients = [optimizer.network.gradient for optimizer in optimizers]
    parts = [optimizer.parts() for optimizer in optimizers]
    # On a CPU not fused: torch's fused Adam rounds the last few elements of a tensor differently from
    # the rest, so the step of a flat vector would differ from that of the layers; the plain one gives the same bits.
    # On a GPU fused: the plain one reads its step count and so waits for the GPU.
    fused = parameters[0].is_cuda
    together = len(optimizers) > 1 and not fused  # the plain one's operations, each over all vectors in turn
    if isinstance(settings, Sgd):
        sgd(
            parameters,
            gradients,
            [part[0] if settings.momentum else None for part in parts],
            foreach=together,
            fused=fused,
            weight_decay=0.0,
            momentum=settings.momentum,
            lr=settings.lr_at(round),
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
    else:
        adam(
            parameters,
            gradients,
            [part[0] for part in parts],
            [part[1] for part in parts],
            [],
            [part[2].view(()) for part in parts],
            foreach=together,
            fused=fused,
            amsgrad=False,
            beta1=settings.beta1,
            beta2=settings.beta2,
            lr=settings.lr_at(round),
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


def _state_size(settings: Optimizer, parameters: int) -> int:
    """Returns the size of the state: Adam's two moments and step count, or SGD's momentum if it has one."""
    if isinstance(settings, Sgd):
        return parameters if settings.momentum else 0
    return 2 * parameters + 1

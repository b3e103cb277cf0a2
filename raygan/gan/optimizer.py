"""An optimiser whose whole state is one flat vector, like the network it steps."""

import numpy as np
import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from raygan.config.gan import Optimizer, Sgd
from raygan.gan.flat import FlatModule, array_of, fill


class FlatOptimizer:
    """torch's Adam or SGD over a `FlatModule`'s parameters, its moments and step count in one float32 vector.

    All zeros is the state of a fresh optimiser. torch's functions, not its classes: those import its compiler, which
    takes every process a second and a half of CPU time and 90 MB.
    """

    def __init__(self, settings: Optimizer, network: FlatModule) -> None:
        self._settings = settings
        self._network = network
        self.vector = torch.zeros(_state_size(settings, network.num_parameters), device=network.vector.device)

    @torch.no_grad()
    def step(self, round: int) -> None:
        """Step the network's parameters along their gradient, at the learning rate of the round."""
        parameters, settings = self._network.parameters, self._settings
        lr = settings.lr_at(round)
        parts = self.vector.split(self._network.num_parameters)
        # Neither fused nor foreach: torch's fused Adam rounds the last few elements of a tensor otherwise than the
        # rest, so a flat vector's step would differ from the layers' own; the plain one is the same bit for bit.
        if isinstance(settings, Sgd):
            _sgd(parameters, self._network.gradient, parts[0] if settings.momentum else None, lr, settings)
        else:
            moments, squares, count = parts
            adam(
                [parameters],
                [self._network.gradient],
                [moments],
                [squares],
                [],
                [count.view(())],
                foreach=False,
                amsgrad=False,
                beta1=settings.beta1,
                beta2=settings.beta2,
                lr=lr,
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )

    def load(self, vector: np.ndarray | None) -> None:
        """Copy a state in; None is a fresh optimiser's."""
        if vector is None:
            self.vector.zero_()
        else:
            fill(self.vector, vector)

    def dump(self) -> np.ndarray:
        """The state as a new float32 array."""
        return array_of(self.vector)


def _state_size(settings: Optimizer, parameters: int) -> int:
    """Adam's two moments and its count of steps; SGD's momentum, if it has one."""
    if isinstance(settings, Sgd):
        return parameters if settings.momentum else 0
    return 2 * parameters + 1


def _sgd(parameters: Tensor, gradient: Tensor, momentum: Tensor | None, lr: float, settings: Sgd) -> None:
    sgd(
        [parameters],
        [gradient],
        [momentum],
        foreach=False,
        fused=False,
        weight_decay=0.0,
        momentum=settings.momentum,
        lr=lr,
        dampening=0.0,
        nesterov=False,
        maximize=False,
    )

"""An optimiser whose whole state is one flat vector, like the network it steps."""

import numpy as np
import torch

from raygan.config.gan import Optimizer, Sgd
from raygan.gan.flat import FlatModule, array_of, cut, fill


class FlatOptimizer:
    """A torch optimiser over a `FlatModule`'s parameters, its moments and step count in one float32 vector.

    All zeros is the state of a fresh optimiser.
    """

    def __init__(self, settings: Optimizer, network: FlatModule) -> None:
        parameters = network.parameters
        start = network.vector.clone()
        self._optimizer = _build(settings, network)
        self._optimizer.step()  # makes torch create the state; undone below
        state = self._optimizer.state[parameters]
        tensors = {name: value for name, value in sorted(state.items()) if isinstance(value, torch.Tensor)}
        self.vector = torch.zeros(sum(tensor.numel() for tensor in tensors.values()), device=parameters.device)
        state.update(zip(tensors, cut(self.vector, list(tensors.values())), strict=True))
        with torch.no_grad():
            network.vector.copy_(start)

    def step(self) -> None:
        """Step the network's parameters along their gradient."""
        self._optimizer.step()

    def load(self, vector: np.ndarray | None) -> None:
        """Copy a state in; None is a fresh optimiser's."""
        if vector is None:
            self.vector.zero_()
        else:
            fill(self.vector, vector)

    def dump(self) -> np.ndarray:
        """The state as a new float32 array."""
        return array_of(self.vector)


def _build(settings: Optimizer, network: FlatModule) -> torch.optim.Optimizer:
    # torch's fused Adam rounds the last few elements of a tensor otherwise than the rest, so a flat vector's
    # step would differ from the layers' own; the plain one is the same bit for bit.
    if isinstance(settings, Sgd):
        return torch.optim.SGD([network.parameters], lr=settings.lr, momentum=settings.momentum)
    return torch.optim.Adam([network.parameters], lr=settings.lr, betas=(settings.beta1, settings.beta2), foreach=False)

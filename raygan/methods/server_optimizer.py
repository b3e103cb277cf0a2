"""Server optimisers (FedOpt, Reddi et al., arXiv 2003.00295) around any method whose devices train networks.

The mean change of the devices' parameters, Delta = mean - what they started from, is taken as a gradient, and the
server steps along it with a memory: momentum (FedAvgM, Hsu, Qi, Brown, arXiv 1909.06335, with -Delta for its Delta),
Adam or Yogi. The aggregate takes the place of the mean, whatever the aggregation. What is no parameter, such as batch
normalisation's statistics and averaged moments, gets the aggregate itself, because a step beyond a mean of variances or
squares may be negative. A round without updates is no step.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raygan.config.drift import ServerAdam, ServerSgd, ServerYogi
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.gan.transfer import array_of, fill
from raygan.methods.around import Server, ServerAround
from raygan.methods.base import Mean, Method, Metrics, State


class _Optimizer(ABC):
    """An optimiser of `size` values on the CPU, whose memory is `memory`."""

    memory: Tensor

    @abstractmethod
    def step(self, change: Tensor) -> Tensor:
        """Returns the step along a mean change, both (size,) float32."""


class _Momentum(_Optimizer):
    """v = beta v + Delta; the step is lr v."""

    def __init__(self, settings: ServerSgd, size: int) -> None:
        self._settings = settings
        self.memory = torch.zeros(size)

    def step(self, change: Tensor) -> Tensor:
        """Returns the step."""
        self.memory.mul_(self._settings.momentum).add_(change)
        return self.memory * self._settings.lr


class _Adaptive(_Optimizer):
    """m = beta1 m + (1 - beta1) Delta; the step is lr m / (sqrt(v) + tau); both rules of v (algorithm 2).

    v begins at tau^2, the smallest value that the paper allows.
    """

    def __init__(self, settings: ServerAdam | ServerYogi, size: int) -> None:
        self._settings = settings
        self.memory = torch.cat([torch.zeros(size), torch.full((size,), settings.tau**2)])

    def step(self, change: Tensor) -> Tensor:
        """Returns the step."""
        settings = self._settings
        moments, squares = self.memory.split(len(change))
        moments.mul_(settings.beta1).add_(change * (1 - settings.beta1))
        self.renew(squares, change.square())
        step: Tensor = moments * settings.lr / (squares.sqrt() + settings.tau)
        return step

    @abstractmethod
    def renew(self, squares: Tensor, new: Tensor) -> None:
        """Move v towards Delta^2."""


class _Adam(_Adaptive):
    def renew(self, squares: Tensor, new: Tensor) -> None:
        """v = beta2 v + (1 - beta2) Delta^2."""
        squares.mul_(self._settings.beta2).add_(new * (1 - self._settings.beta2))


class _Yogi(_Adaptive):
    def renew(self, squares: Tensor, new: Tensor) -> None:
        """v = v - (1 - beta2) Delta^2 sign(v - Delta^2)."""
        squares.sub_(new * (1 - self._settings.beta2) * (squares - new).sign())


_OPTIMIZERS: Mapping[str, Any] = {"sgd": _Momentum, "adam": _Adam, "yogi": _Yogi}


class OptimizedServer(ServerAround):
    """Another method's server side, which is handed the result of a step in place of the aggregate."""

    def __init__(self, inner: Server, config: Config, shape: tuple[int, ...], computes_on: torch.device) -> None:
        super().__init__(inner, config, shape, computes_on)
        self._places = self.parameters()
        if not self._places:
            raise InputError(
                f"server_optimizer.name: {config.server_optimizer.name} steps along the mean change of trained "
                f"parameters, but the updates of method={config.method} are none; set server_optimizer.name=none, or "
                "take method=averaged or fedgan",
                code="conflict",
            )
        size = sum(place.stop - place.start for place in self._places)
        self._optimizer: _Optimizer = _OPTIMIZERS[config.server_optimizer.name](config.server_optimizer, size)

    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Step from the reference along the aggregate's difference to it, then do the other method's work.

        The result is the aggregate plus what the step differs from its change: without memory and with rate 1, nothing.
        """
        [(slot, mean)] = means.items()
        vector, reference = mean.vector.copy(), self.reference(round)
        change = np.concatenate([vector[place] - reference[place] for place in self._places])
        beyond = self._optimizer.step(torch.from_numpy(change)).numpy() - change
        for place in self._places:
            here, beyond = np.split(beyond, [place.stop - place.start])
            vector[place] += here
        return self.inner.finish(round, {slot: replace(mean, vector=vector)})

    def state(self) -> State:
        """Returns the other method's state, and the optimiser's memory."""
        return self.inner.state() | {"server_optimizer": array_of(self._optimizer.memory)}

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        others = dict(state)
        fill(self._optimizer.memory, others.pop("server_optimizer"))
        self.inner.restore(others)


def with_server_optimizer(method: Method) -> Method:
    """Returns the method with an optimiser at the server."""
    return replace(method, server=partial(OptimizedServer, method.server))

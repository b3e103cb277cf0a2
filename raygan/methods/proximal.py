"""The proximal term of FedProx (Li et al., arXiv 1812.06127) around any method whose devices train networks.

mu / 2 times the squared distance to the received parameters phi_t is added to the loss of a device. Here its gradient
mu (phi - phi_t) is added to that of each step; the paper leaves the local solver open. The first step of a round, which
starts at phi_t, is the same as without it. All networks of a device have the term.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from raygan.config.gan import Sgd
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.gan.flat import FlatModule
from raygan.gan.moves import Moves
from raygan.gan.optimizer import FlatOptimizer
from raygan.methods.around import Device, DeviceAround
from raygan.methods.base import Method, Shard, State, Update


class ProximalTerm:
    """The gradient of mu / 2 ||phi - phi_t||^2, where phi_t are the parameters before the first step of a round."""

    def __init__(self, mu: float, network: FlatModule) -> None:
        self._mu = mu
        self._start = torch.empty_like(network.gradient)
        self._begun = False

    def begin(self) -> None:
        """Begin a round of a device."""
        self._begun = False

    def __call__(self, network: FlatModule) -> None:
        """Add it to the gradient; before the first step it is 0."""
        parameters = network.parameters.detach()
        if self._begun:
            network.gradient.add_(parameters - self._start, alpha=self._mu)
        else:
            self._start.copy_(parameters)
            self._begun = True


class ProximalDevice(DeviceAround):
    """Another method's device side, held near what it receives."""

    def __init__(self, inner: Device, config: Config, shape: tuple[int, ...], computes_on: torch.device) -> None:
        super().__init__(inner, config, shape, computes_on)
        optimizers = self.trained("proximal.mu", "set proximal.mu=0")
        self._terms = [ProximalTerm(config.proximal.mu, optimizer.network) for optimizer in optimizers]
        for optimizer, term in zip(optimizers, self._terms, strict=True):
            _check_rate(config.proximal.mu, optimizer)
            optimizer.corrections.append(term)

    def moves(self, shard: Shard, round: int, down: np.ndarray, state: State) -> Moves[tuple[Update, State]]:
        """Update as the other method does."""
        for term in self._terms:
            term.begin()
        return (yield from super().moves(shard, round, down, state))


def _check_rate(mu: float, optimizer: FlatOptimizer) -> None:
    """Refuse a proximal term along whose gradient SGD moves away from what it is to stay near."""
    settings = optimizer.settings
    if not isinstance(settings, Sgd):
        return
    lr = max([settings.lr, *(step.lr for step in settings.lr_steps)])
    most = 2 * (1 + settings.momentum) / lr
    if mu >= most:
        raise InputError(
            f"proximal.mu: {mu:g} is too much for SGD with a learning rate of {lr:g}, whose steps along the term would "
            f"grow; set it below {most:g}, or lower the rate",
            code="conflict",
        )


def with_proximal(method: Method) -> Method:
    """Returns the method with a proximal term in the devices' loss."""
    return replace(method, device=partial(ProximalDevice, method.device))

"""Control variates (SCAFFOLD, Karimireddy et al., arXiv 1910.06378, algorithm 1) around any method with local training.

A device steps along g - c_k + c in place of its gradient g, in all its networks. c_k is the device's control variate,
part of its state; c is the server's, which goes down with the networks. With an update goes up how much c_k has
changed. c is the mean of all c_k, also of those of devices that do not take part, and all begin at 0.

By option I the new c_k is the gradient at the received phi_t; on which data is our reading: the batch of the first
step. By option II it is c_k - c + (phi_t - phi_k) / (n_d eta). For plain SGD that is the mean g of the round's steps,
and is computed as such, which cancels nothing. With option I any optimiser takes g - c_k + c for its gradient (ours).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from raygan.channel.traffic import Traffic
from raygan.config.aggregation import Plain
from raygan.config.gan import Sgd
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.gan.flat import FlatModule
from raygan.gan.moves import Moves
from raygan.gan.transfer import array_of, fill, pieces
from raygan.methods.around import Device, DeviceAround, Server, ServerAround
from raygan.methods.base import Mean, Method, Metrics, Shard, State, Update


class ControlVariate:
    """Corrects the gradients of one network by c - c_k, and takes down the next c_k."""

    def __init__(self, network: FlatModule, option: str) -> None:
        self._first_only = option == "I"
        self._correction = torch.empty_like(network.gradient)
        self._sum = torch.empty_like(network.gradient)
        self._steps = 0

    def begin(self, correction: np.ndarray) -> None:
        """Begin a round of a device, with its c - c_k, (parameters,) float32."""
        fill(self._correction, correction)
        self._sum.zero_()
        self._steps = 0

    def __call__(self, network: FlatModule) -> None:
        """Correct the gradient."""
        if not (self._first_only and self._steps):
            self._sum += network.gradient
            self._steps += 1
        network.gradient.add_(self._correction)

    def next(self) -> np.ndarray:
        """Returns the next c_k, (parameters,) float32."""
        return array_of(self._sum / self._steps)


class ScaffoldDevice(DeviceAround):
    """Another method's device side, with a control variate for each of its networks. A new device's are 0."""

    def __init__(self, inner: Device, config: Config, shape: tuple[int, ...], computes_on: torch.device) -> None:
        super().__init__(inner, config, shape, computes_on)
        option = config.scaffold.option
        optimizers = self.trained("scaffold.option", "set scaffold.option=none")
        self._sizes = [optimizer.network.num_parameters for optimizer in optimizers]
        self.own = sum(self._sizes)
        self._variates = [ControlVariate(optimizer.network, option) for optimizer in optimizers]
        for optimizer, variate in zip(optimizers, self._variates, strict=True):
            if option == "II" and not (isinstance(optimizer.settings, Sgd) and optimizer.settings.momentum == 0):
                raise InputError(
                    "scaffold.option: II holds for plain SGD; set the optimisers of devices to sgd without momentum "
                    "(device_optimizer.name=sgd, with method=fedgan generator_optimizer.name=sgd too), or take "
                    "scaffold.option=I",
                    code="conflict",
                )
            optimizer.corrections.append(variate)

    def moves(self, shard: Shard, round: int, down: np.ndarray, state: State) -> Moves[tuple[Update, State]]:
        """Update as the other method does, and add the change of the control variates."""
        own = state.get("control", np.zeros(self.own, np.float32))
        for variate, correction in zip(self._variates, pieces(down[-self.own :] - own, self._sizes[:-1]), strict=True):
            variate.begin(np.asarray(correction))
        update, kept = yield from super().moves(shard, round, self.inners(down), state)
        if update.weight != 1:
            raise InputError(
                "scaffold.option: the server's control variate is the plain mean of the devices', but they have other "
                "weights; set averaged.weights=uniform, or with method=fedgan fedgan.weights=uniform",
                code="conflict",
            )
        control = np.concatenate([variate.next() for variate in self._variates])
        return replace(update, vector=np.concatenate([update.vector, control - own])), kept | {"control": control}


class ScaffoldServer(ServerAround):
    """Another method's server side, and c."""

    def __init__(self, inner: Server, config: Config, shape: tuple[int, ...], computes_on: torch.device) -> None:
        super().__init__(inner, config, shape, computes_on)
        wrong = ""
        if not isinstance(config.aggregation, Plain):
            wrong = f"aggregation.name: {config.aggregation.name} of c_k is no mean; set aggregation.name=mean"
        elif self.gathers:
            wrong = f"scaffold.option: method={config.method} takes no plain mean of its devices; take method=fedgan"
        elif config.compression.feedback and config.selection.deadline_s is not None:
            wrong = (
                "scaffold.option: a device whose message is late remembers its update (compression.feedback), but the "
                "change of its control variate would be lost; set selection.deadline_s=null"
            )
        if wrong:
            raise InputError(f"{wrong}, or scaffold.option=none", code="conflict")
        self._control = np.zeros(sum(place.stop - place.start for place in self.parameters()), np.float32)

    @property
    def update_size(self) -> int:
        """The other method's, and a value for each parameter."""
        return self.inner.update_size + len(self._control)

    def traffic(self) -> Traffic:
        """The other method's, and a value for each parameter both ways."""
        traffic, more = self.inner.traffic(), len(self._control)
        return replace(traffic, down=traffic.down + more, up=traffic.up + more)

    def down(self, round: int) -> np.ndarray:
        """Returns what the other method sends, and c."""
        return np.concatenate([self.inner.down(round), self._control])

    def reference(self, round: int) -> np.ndarray:
        """Returns the other method's reference, and no change of the control variates."""
        return np.concatenate([self.inner.reference(round), np.zeros_like(self._control)])

    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Move c by the mean change times the share of the devices that took part, then do the other method's work."""
        [(slot, mean)] = means.items()
        vector, change = np.split(mean.vector, [self.inner.update_size])
        self._control += change * np.float32(mean.weight / self.config.devices)
        return self.inner.finish(round, {slot: replace(mean, vector=vector)})

    def state(self) -> State:
        """Returns the other method's state, and c."""
        return self.inner.state() | {"control": self._control.copy()}

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        self._control = np.array(state["control"])
        self.inner.restore({name: values for name, values in state.items() if name != "control"})


def with_scaffold(method: Method) -> Method:
    """Returns the method with control variates."""
    return replace(method, device=partial(ScaffoldDevice, method.device), server=partial(ScaffoldServer, method.server))

"""Adaptive augmentation (ADA, Karras et al., arXiv 2006.06676) around any method: one more value each way.

A discriminator that overfits its samples gives nearly all of them a positive logit. So devices send up the mean sign of
their logits of real samples, with their update, and the server moves the probability p of each change by a step in the
direction of mean sign - `gan.ada_target`, and sends it down. The authors' control is the same on one machine; a mean
over devices, moved once a round by the samples that a device sees in it, is our reading for several. The changes are
those of `gan.augment_policy`, not the authors' eighteen.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from raygan.config.tree import Config
from raygan.gan.moves import Moves
from raygan.methods.aggregation import weighted_sum
from raygan.methods.around import Device, DeviceAround, Server, ServerAround
from raygan.methods.base import Gathered, Mean, Method, Metrics, Shard, State, Update


class AdaptiveDevice(DeviceAround):
    """Another method's device side, with the p that came down."""

    def __init__(self, inner: Device, config: Config, shape: tuple[int, ...], computes_on: torch.device) -> None:
        super().__init__(inner, config, shape, computes_on)
        self.own = 1

    def moves(self, shard: Shard, round: int, down: np.ndarray, state: State) -> Moves[tuple[Update, State]]:
        """Update as the other method does, and add the mean sign."""
        self.networks.chance.p = float(down[-1])
        update, kept = yield from super().moves(shard, round, self.inners(down), state)
        sign = np.float32(self.networks.chance.mean_sign())
        return replace(update, vector=np.append(update.vector, sign)), kept


class AdaptiveServer(ServerAround):
    """Another method's server side, and p. Both scalars are no traffic, as none are."""

    def __init__(self, inner: Server, config: Config, shape: tuple[int, ...], computes_on: torch.device) -> None:
        super().__init__(inner, config, shape, computes_on)
        self._sign = np.zeros(1, np.float32)

    @property
    def update_size(self) -> int:
        """One more than the other method's."""
        return self.inner.update_size + 1

    def down(self, round: int) -> np.ndarray:
        """Returns what the other method sends, and p."""
        return np.append(self.inner.down(round), np.float32(self.networks.chance.p))

    def reference(self, round: int) -> np.ndarray:
        """Returns the other method's reference, and the mean sign of the last round."""
        return np.append(self.inner.reference(round), self._sign)

    def combine(self, round: int, updates: Gathered) -> Mean:
        """Combine as the other method does, and add the mean of the signs."""
        inner = self.inner.combine(round, replace(updates, vectors=[vector[:-1] for vector in updates.vectors]))
        shares = np.array(updates.weights) / updates.weight
        sign = weighted_sum([vector[-1:] for vector in updates.vectors], shares)
        return replace(inner, vector=np.append(inner.vector, sign))

    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Do the other method's work with the p of the round, then adapt it."""
        metrics = self.inner.finish(
            round, {slot: replace(mean, vector=mean.vector[:-1]) for slot, mean in means.items()}
        )
        weights = sum(mean.weight for mean in means.values())
        sign = sum(float(mean.vector[-1]) * mean.weight for mean in means.values()) / weights
        self._sign[0] = sign
        step = self.config.device_steps * self.config.batch_size / self.config.gan.ada_images
        p = self.networks.chance.p + float(np.sign(sign - self.config.gan.ada_target)) * step
        self.networks.chance.p = float(np.float32(min(max(p, 0.0), 1.0)))  # as it is sent and saved
        return metrics | {"augment_p": self.networks.chance.p, "real_sign": sign}

    def state(self) -> State:
        """Returns the other method's state, p and the mean sign."""
        return self.inner.state() | {"augment": np.append(np.float32(self.networks.chance.p), self._sign)}

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        others = dict(state)
        p, sign = others.pop("augment")
        self.inner.restore(others)
        self.networks.chance.p = float(p)
        self._sign[0] = sign


def adaptive(method: Method) -> Method:
    """Returns the method with adaptive augmentation."""
    return replace(method, device=partial(AdaptiveDevice, method.device), server=partial(AdaptiveServer, method.server))

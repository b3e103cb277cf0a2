"""Adaptive clipping (Andrew, Thakkar, McMahan, Ramaswamy, arXiv 1905.03871, algorithm 1) around a method: S that moves.

A device sends, with its update, whether that was within S, as b = 1/2 or -1/2. Of m planned devices:

    share = 1/2 + (sum of b + N(0, s^2)) / m,  s = m `privacy.quantile_noise`
    S *= exp(-`privacy.clip_rate` (share - `privacy.clip_quantile`))

b moves with one device by 1/2, and the update by S. Both together are one Gaussian release of the noise multiplier z if
the update's noise is z_d S with z_d = (z^-2 - (2 s)^-2)^(-1/2) (theorem 1). So the account is that of `privacy.user`.
S goes down with the networks; it is computed from what is private already. Who is missing counts as half within.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from raygan.config.privacy import UserLevel
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.methods.around import Device, DeviceAround, Server, ServerAround
from raygan.methods.base import Mean, Method, Metrics, Moves, Shard, State, Update
from raygan.privacy.mechanism import clipped_rows, planned_devices
from raygan.rng import Role, stream


class AdaptivelyClippedDevice(DeviceAround):
    """Another method's device side, whose updates are clipped to the S that came down."""

    def __init__(self, inner: Device, config: Config, shape: tuple[int, ...], computes_on: torch.device) -> None:
        super().__init__(inner, config, shape, computes_on)
        self.own = 1

    def moves(self, shard: Shard, round: int, down: np.ndarray, state: State) -> Moves[tuple[Update, State]]:
        """Update as the other method does; clip, and add b."""
        inners, clip = self.inners(down), float(down[-1])
        update, kept = yield from super().moves(shard, round, inners, state)
        sent, outside = clipped_rows(update.vector, self.inner.reference(inners), clip)
        return replace(update, vector=np.append(sent, np.float32(-0.5 if outside else 0.5))), kept


class AdaptivelyClippedServer(ServerAround):
    """Another method's server side, which is handed the noisy aggregate, and S. Both scalars are no traffic."""

    def __init__(
        self, privacy: UserLevel, inner: Server, config: Config, shape: tuple[int, ...], computes_on: torch.device
    ) -> None:
        super().__init__(inner, config, shape, computes_on)
        if self.slots > 1:
            raise InputError(
                f"privacy.clip_quantile: the updates of method={config.method} are of {self.slots} kinds, and no one "
                "norm would follow them; leave it out",
                code="conflict",
            )
        self._privacy = privacy
        self._planned = planned_devices(config)
        self._noise = updates_noise(privacy, self._planned)
        self.clip = np.float32(privacy.clip)

    @property
    def update_size(self) -> int:
        """One more than the other method's."""
        return self.inner.update_size + 1

    def down(self, round: int) -> np.ndarray:
        """Returns what the other method sends, and S."""
        return np.append(self.inner.down(round), self.clip)

    def reference(self, round: int) -> np.ndarray:
        """Returns the other method's reference, and neither within nor outside."""
        return np.append(self.inner.reference(round), np.float32(0))

    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Add the noise of the round, do the other method's work, then move S. `means` are over planned devices."""
        [(slot, mean)] = means.items()
        clip, share = float(self.clip), float(mean.vector[-1]) + 0.5
        vector = mean.vector[:-1]
        if self._noise:
            random = stream(self.config.seed, Role.CLIP_NOISE, round=round)
            share += random.standard_normal() * self._privacy.quantile_noise
            vector = vector + random.standard_normal(len(vector)) * (self._noise * clip / self._planned)
        metrics = self.inner.finish(round, {slot: replace(mean, vector=vector.astype(np.float32))})
        self.clip = np.float32(clip * math.exp(-self._privacy.clip_rate * (share - (self._privacy.clip_quantile or 0))))
        return metrics | {"clip": clip, "within_clip": share}

    def state(self) -> State:
        """Returns the other method's state, and S."""
        return self.inner.state() | {"clip": np.array([self.clip])}

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        others = dict(state)
        (self.clip,) = others.pop("clip")
        self.inner.restore(others)


def updates_noise(privacy: UserLevel, planned: int) -> float:
    """Returns z_d, the noise of the updates in units of S: that and the noise of the share are one release of z."""
    z = privacy.noise_multiplier
    return (z**-2 - (2 * planned * privacy.quantile_noise) ** -2) ** -0.5 if z else 0.0


def with_adaptive_clip(method: Method, privacy: UserLevel) -> Method:
    """Returns the method with adaptive clipping."""
    return replace(
        method,
        device=partial(AdaptivelyClippedDevice, method.device),
        server=partial(AdaptivelyClippedServer, privacy, method.server),
    )

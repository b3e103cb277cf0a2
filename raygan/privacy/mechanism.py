"""User-level differential privacy of a round: updates are clipped on the devices, and noise is added at the server.

The Gaussian mechanism of DP-FedAvg (arXiv 1710.06963) as DP-FedAvg-GAN has it for a discriminator (arXiv 1911.06679,
algorithm 1; its sensitivity is that of one device in a sum over a fixed denominator):

    device:  delta = update - start;  delta *= min(1, S / ||delta||)
    server:  start + (sum of delta + N(0, (z S)^2 I)) / m,  m the planned number of devices

An update goes up as start + delta, so that without clipping and noise a round is the plain mean, bit for bit. What
float32 rounds of the sum, about 1e-7 of the weights' norm, is not in the account.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from raygan.config.privacy import RecordLevel, UserLevel
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.methods.base import Mean, Method, ServerSide, Update
from raygan.methods.references import check_reference
from raygan.rng import Role, stream


class Mechanism:
    """The clip and the noise of a config. It keeps nothing from round to round."""

    def __init__(self, config: Config, privacy: UserLevel, parts: int) -> None:
        """`parts`: into so many equal parts an update is cut, each of which is clipped by itself.

        With `clip_quantile` clip and noise are those of `raygan.privacy.adaptive_clip`, and the rest is done here.
        """
        moves = privacy.clip_quantile is not None
        self._clip = None if moves else privacy.clip
        self._noise = 0.0 if moves else (privacy.clip or 0.0) * privacy.noise_multiplier
        self._seed = config.seed
        self._planned = planned_devices(config)
        self._parts = parts

    def clipped(self, update: Update, start: np.ndarray | None) -> Update:
        """Returns a device's update as it is sent: clipped around `start` (None: zeros), of weight 1, without scalars.

        A part within the clip keeps its bits.
        """
        update = replace(update, weight=1, metrics={})
        if self._clip is None:
            return update
        vector, outside = clipped_rows(update.vector, start, self._clip, self._parts)
        return replace(update, vector=vector) if outside else update

    def released(self, round: int, means: Mapping[int, Mean], start: np.ndarray, slots: int) -> dict[int, Mean]:
        """Returns what the server may use of a round: noisy means of all slots, also of those that got no update.

        A slot's result times its share of the weights is its noisy sum over the planned number of devices, so who is
        missing changes no denominator. `start` is (update_size,), the update of a device that does no training.
        """
        got = [means[slot].weight if slot in means else 0 for slot in range(slots)]
        weights = [max(1, weight) for weight in got]
        over = sum(weights) / self._planned
        results = {}
        for slot, (count, weight) in enumerate(zip(got, weights, strict=True)):
            share = over * count / weight
            vector = means[slot].vector if share == 1 else self._moved(start, means.get(slot), share)
            if self._noise:
                random = stream(self._seed, Role.PRIVACY, slot, round)
                noise = random.standard_normal(len(start)) * (self._noise * over / weight)
                vector = (vector + noise).astype(np.float32)
            results[slot] = Mean(vector, weight)
        return results

    @staticmethod
    def _moved(start: np.ndarray, mean: Mean | None, share: float) -> np.ndarray:
        """Returns a share of the way from `start` to a mean."""
        if mean is None:
            return start
        moved: np.ndarray = (start + share * (mean.vector - start.astype(np.float64))).astype(np.float32)
        return moved


def clipped_rows(vector: np.ndarray, start: np.ndarray | None, clip: float, parts: int = 1) -> tuple[np.ndarray, int]:
    """Returns a vector whose equal parts are within `clip` of `start` (None: zeros), and how many were not.

    A part within the clip keeps its bits.
    """
    rows = vector.reshape(parts, -1)
    starts = None if start is None else start.reshape(rows.shape)
    differences = rows.astype(np.float64)
    if starts is not None:
        differences -= starts
    norms = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    outside = np.flatnonzero(norms > clip)
    sent = rows.copy()
    for row in outside:
        differences[row] *= clip / norms[row]
        sent[row] = differences[row] if starts is None else starts[row] + differences[row]
    return sent.ravel(), len(outside)


def planned_devices(config: Config) -> int:
    """Returns how many devices a round plans with: the fixed denominator, whoever answers."""
    count: int | None = getattr(config.selection, "count", None)
    return count or config.devices


def mechanism_of(config: Config, method: Method) -> Mechanism | None:
    """Returns the mechanism of a config, or None if it has no privacy."""
    privacy = config.privacy
    return Mechanism(config, privacy, method.clipped_parts(config)) if isinstance(privacy, UserLevel) else None


def check_private(
    config: Config, method: Method, server: ServerSide, counts_classes: bool, shape: tuple[int, ...]
) -> None:
    """Raise InputError if a private run's method lets something past the mechanism.

    What the keys alone show, the config tree has refused. `counts_classes`: devices report their classes, to the server
    or to the selection. `shape` is that of a sample.
    """
    if isinstance(config.privacy, RecordLevel):
        _check_records(config, method, server, counts_classes)
    if not isinstance(config.privacy, UserLevel):
        return
    why = "with privacy.name=user"
    if method.pooled:
        raise InputError(f"method: {why} there must be devices, and {config.method} has none", code="conflict")
    if server.gathers or server.counts_classes:
        raise InputError(
            f"method: {why} all devices weigh the same, and report no classes, unlike those of {config.method}",
            code="conflict",
        )
    if counts_classes:
        raise InputError(
            f"selection.name: {why} no device may report its classes, as {config.selection.name} asks", code="conflict"
        )
    if method.exchange is not None and method.exchange.happens(config):
        raise InputError(
            f"method: {why} no state may go from device to device, as {config.method} exchanges them", code="conflict"
        )
    for name, without in server.sent_buffers().items():
        if getattr(server.networks, name).buffers.numel():
            raise InputError(
                f"gan.{name}_norm: {why} only parameters may go up, and this network's statistics would, too; set "
                f"group, spectral or none{f', or {without}' if without else ''}",
                code="conflict",
            )
    check_reference(config, method, server, shape, why, "clipped around")


def _check_records(config: Config, method: Method, server: ServerSide, counts_classes: bool) -> None:
    """Raise InputError if a device would use its samples outside of private steps, or these are not of one sample."""
    why, networks = "with privacy.name=record", server.networks
    if not method.private_steps:
        raise InputError(
            f"method: {why} devices may use their samples in private steps alone, which {config.method} does not say "
            "of itself (Method.private_steps); take averaged, fedgan, mdgan or centralized",
            code="conflict",
        )
    if counts_classes:
        raise InputError(f"method: {why} no device may report its classes, as this run asks", code="conflict")
    if networks.loss.relative or networks.loss.gradient_penalty:
        raise InputError(
            f"gan.loss: {why} the loss must be of logits, and its generator's of generated samples alone, which that "
            f"of {config.gan.loss} is not",
            code="conflict",
        )
    if not networks.per_sample:
        raise InputError(
            f"gan.discriminator: {why} a logit must depend on its own sample only, which {config.gan.discriminator} "
            "does not declare (per_sample = True)",
            code="conflict",
        )

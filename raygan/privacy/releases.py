"""What a private run releases: which Gaussian releases, sampled how, and how many of them in so many rounds.

User-level, a round is one release of a clipped sum. `poisson` and `uniform` draw devices at random, which amplifies;
every other selection does not. A uniform draw of a fixed number is accounted for the replacement of a device by
another, which may move the sum by 2 S, so its noise counts half; everything else for a device that is added or removed.

Record-level, a step of a device is one release, Poisson sampled at the rate batch / shard. Devices hold different
samples, so a sample is in the releases of one device only, and the device with the smallest shard is told. Which
devices take part in a round is no secret here: nothing is amplified by it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raygan.config.privacy import RecordLevel, UserLevel
from raygan.config.simulation import Poisson, RoundRobin, Uniform
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.methods.base import Method
from raygan.methods.local import planned_batch
from raygan.privacy.mechanism import planned_devices

Relation = Literal["add or remove", "replace", "one sample"]
"""What two runs that are told apart differ by: a device more or less, another in its place, or a sample of a device."""


@dataclass(frozen=True)
class Release:
    """A sum with Gaussian noise."""

    noise: float
    """Its standard deviation over what one unit, a device or a sample, can add."""
    sampling: float = 1.0
    """The probability that a unit is in it, each by itself."""
    fixed: tuple[int, int] | None = None
    """(units, of them drawn) where a fixed number is drawn without replacement."""


@dataclass(frozen=True)
class Releases:
    """The releases of a run, which are all alike."""

    relation: Relation
    one: Callable[[float], Release]
    """Returns a release at a noise multiplier."""
    count: Callable[[int], int]
    """Returns the number of releases, in so many rounds, that one unit may be in."""


def of_users(config: Config, method: Method) -> Releases:
    """Returns the releases of a run with user-level privacy."""
    planned, devices, parts = planned_devices(config), config.devices, method.clipped_parts(config)
    sampled = planned < devices
    poisson = sampled and isinstance(config.selection, Poisson)
    replaces = sampled and isinstance(config.selection, Uniform)

    def one(noise_multiplier: float) -> Release:
        noise = noise_multiplier / math.sqrt(parts)  # parts that are clipped one by one add sqrt(parts) times the clip
        if replaces:
            return Release(noise / 2, fixed=(devices, planned))
        return Release(noise, planned / devices if poisson else 1.0)

    return Releases("replace" if replaces else "add or remove", one, lambda rounds: _turns(config, rounds))


def of_records(config: Config, privacy: RecordLevel, sizes: np.ndarray) -> Releases:
    """Returns the releases of a run with record-level privacy; `sizes` are the samples of each device, (K,).

    Raises:
        InputError: delta promises nothing to a device of that size.
    """
    least, most = int(sizes.min()), int(sizes.max())
    if privacy.delta >= 1 / most:
        raise InputError(
            f"privacy.delta: {privacy.delta:g} is not below 1 / {most}, the samples of the largest device, where it "
            "promises nothing",
            code="conflict",
        )
    rate = planned_batch(config, least) / least
    return Releases(
        "one sample", lambda noise: Release(noise, rate), lambda rounds: _turns(config, rounds) * config.device_steps
    )


def releases_of(config: Config, method: Method, sizes: np.ndarray) -> Releases | None:
    """Returns the releases of a config, or None if it has no privacy."""
    if isinstance(config.privacy, RecordLevel):
        return of_records(config, config.privacy, sizes)
    return of_users(config, method) if isinstance(config.privacy, UserLevel) else None


def _turns(config: Config, rounds: int) -> int:
    """Returns the number of rounds that count: with `round_robin` those that one device is in, at most."""
    if isinstance(config.selection, RoundRobin):
        return -(-rounds * planned_devices(config) // config.devices)
    return rounds

"""Config of `schedule: asynchronous`."""

from typing import Annotated, Literal

from pydantic import Field

from raygan.config.section import Count, Positive, Section


class Asynchronous(Section):
    """Settings of `schedule: asynchronous`. The server makes a version of every `buffer` updates, whoever they are of;
    a version counts as a round everywhere."""

    running: Count | None = None
    """Devices that run at once (devices; null: all). Whoever is idle the longest starts next."""
    buffer: Count = 1
    """Updates of a version (FedBuff's K; a device has at most one in a version). 1: FedAsync."""
    mixing: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How far the server goes to the updates' mean (FedAsync's alpha; with `averaged.upload=delta` FedBuff's server
    learning rate). It is multiplied by the mean of the updates' staleness factors."""
    staleness: Literal["constant", "polynomial", "hinge"] = "polynomial"
    """Factor of an update that started tau versions ago. `constant`: 1; `polynomial`: (1 + tau)^-`exponent`; `hinge`: 1
    up to `grace`, behind it 1 / (`exponent` (tau - `grace`) + 1)."""
    exponent: Positive = 0.5
    """The a of the staleness factor (FedBuff's 1 / sqrt(1 + tau) is `polynomial` with 0.5)."""
    grace: Annotated[int, Field(ge=0)] = 0
    """Versions that `hinge` forgives (FedAsync's b)."""

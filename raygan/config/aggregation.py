"""Config of the aggregation of a round's updates."""

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, Tag

from raygan.components import AGGREGATORS, check_name
from raygan.config.section import NO_OPTIONS, Count, Options, Positive, Section, named

if TYPE_CHECKING:
    from raygan.config.tree import Config


class Unmasked(Section):
    """No secure aggregation: the server sees every update."""

    name: Literal["none"] = "none"


class SecAgg(Section):
    """Secure aggregation (Bonawitz et al., eprint 2017/281): the server learns the sum of a round's updates alone.
    Needs the `secure` extra."""

    name: Literal["secagg"] = "secagg"
    clip: Positive = 1.0
    """Largest magnitude of a value, as the difference to what the device received (`mdgan`: of its feedback); larger
    ones are sent as this."""
    bits: Annotated[int, Field(ge=2, le=32)] = 22
    """Bits of a value, sign included, between `-clip` and `clip`; the modulus has ceil(log2) of the devices in a round
    times `max_weight` more."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Share of a round's devices that must answer for their sum to be unmasked, rounded up; two at least. With fewer
    the round ends without an average."""
    max_weight: Count = 1
    """Largest weight of a device (1: uniform weights; with weights by shards, as many as the largest has samples)."""

    def modulus_bits(self, devices: int) -> int:
        """Returns k of the modulus 2^k for a round of so many devices: no sum of theirs overflows."""
        return self.bits + (devices * self.max_weight - 1).bit_length()

    def needed(self, devices: int) -> int:
        """Returns t, how many of so many devices must answer."""
        return max(2, math.ceil(Fraction(str(self.threshold)) * devices))


_Secure = Annotated[Unmasked, Tag("<none>")] | Annotated[SecAgg, Tag("<secagg>")]


class _Aggregating(Section):
    """The keys of every aggregation."""

    secure: Annotated[_Secure, Field(discriminator=named("none", _Secure))] = Unmasked()
    """Whether the server sees single updates, which all but `mean` need."""


class Plain(_Aggregating):
    """The weighted mean, which is exact in any order. A single bad update can move it arbitrarily far."""

    name: Literal["mean"] = "mean"


class Median(_Aggregating):
    """The coordinate-wise median (Yin et al., arXiv 1803.01498). Every device counts once, whatever its weight."""

    name: Literal["median"] = "median"


class TrimmedMean(_Aggregating):
    """The coordinate-wise mean without extremes (the same source). Every device counts once."""

    name: Literal["trimmed_mean"] = "trimmed_mean"
    trim: Count = 1
    """Number of devices left out at either end, for each value: as many bad ones are tolerated (fewer if few took
    part)."""


class ClippedMean(_Aggregating):
    """The weighted mean of updates that are scaled down to a maximum norm (Sun et al., arXiv 1911.07963).

    The difference to the values that the device received is scaled (`mdgan`: the feedback itself).
    """

    name: Literal["clipped_mean"] = "clipped_mean"
    max_norm: Positive | None = None
    """Maximum L2 norm (null: the median of the round's norms, which is ours)."""


class OwnAggregation(_Aggregating):
    """A custom aggregator: `name` is an import path to a `raygan.methods.aggregation.Aggregator` class."""

    name: Annotated[str, AfterValidator(lambda name: check_name(AGGREGATORS, name))]
    options: Options = NO_OPTIONS
    """Free settings for your class."""


_Aggregations = (
    Annotated[Plain, Tag("<mean>")]
    | Annotated[Median, Tag("<median>")]
    | Annotated[TrimmedMean, Tag("<trimmed_mean>")]
    | Annotated[ClippedMean, Tag("<clipped_mean>")]
    | Annotated[OwnAggregation, Tag("<own>")]
)
Aggregation = Annotated[_Aggregations, Field(discriminator=named("mean", _Aggregations))]


def secagg_of(config: "Config") -> SecAgg | None:
    """Returns the settings of secure aggregation, or None without it."""
    secure = config.aggregation.secure
    return secure if isinstance(secure, SecAgg) else None


def secure_conflict(config: "Config") -> str | None:
    """Returns which key needs what secure aggregation hides, as one line, or None."""
    settings, why = secagg_of(config), "with aggregation.secure.name=secagg"
    if settings is None:
        return None
    if config.aggregation.name != "mean":
        return f"aggregation.name: {why} the server has nothing but a sum; take mean, not {config.aggregation.name}"
    if config.schedule == "asynchronous":
        return f"schedule: {why} asynchronous is out: masks cancel in the sum of one round's devices; take serial"
    if config.compression.name != "none":
        return (
            f"compression.name: {why} updates are integers of a common grid, which {config.compression.name} is not; "
            "set none"
        )
    if config.engine.on_bad_update == "drop":
        return f"engine.on_bad_update: {why} nobody sees a bad update, to drop it; set stop"
    if config.scaffold.option != "none":
        return f"scaffold.option: {why} changes of control variates are lost where a sum cannot be unmasked; set none"
    if config.gan.augment == "ada":
        return f"gan.augment: {why} ada is out: devices do not know the sign that theirs is a difference to"
    if (getattr(config.selection, "count", None) or config.devices) == 1:
        key = "devices" if config.devices == 1 else "selection.count"
        return f"{key}: {why} the sum of a single device is never unmasked; take 2 or more"
    if settings.modulus_bits(config.devices or 1) > 64:
        return (
            f"aggregation.secure.bits: {settings.bits} and a sum of {config.devices} devices of weight "
            f"{settings.max_weight} come to {settings.modulus_bits(config.devices)} bits, more than 64; take fewer"
        )
    weights = {"averaged": config.averaged.weights, "fedgan": config.fedgan.weights}.get(config.method, "uniform")
    if weights != "uniform" and settings.max_weight == 1:
        return (
            f"aggregation.secure.max_weight: {config.method}.weights={weights} needs more than 1, the samples of the "
            f"largest shard; set it, or {config.method}.weights=uniform"
        )
    if getattr(config.privacy, "clip_quantile", None) is not None and settings.clip < 0.5:
        return (
            "aggregation.secure.clip: with privacy.clip_quantile a device also sends 1/2 or -1/2, for a norm within S "
            "or not, which a smaller clip changes; set 0.5 or more"
        )
    if config.method == "mdgan" and config.mdgan.feedback != "mean":
        return f"mdgan.feedback: {why} no device's logits are seen, by which {config.mdgan.feedback} weighs; set mean"
    return None

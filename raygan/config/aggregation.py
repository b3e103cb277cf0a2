"""Config of the aggregation of a round's updates."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Tag

from raygan.components import AGGREGATORS, check_name
from raygan.config.section import NO_OPTIONS, Count, Options, Positive, Section, named


class Plain(Section):
    """The weighted mean, which is exact in any order. A single bad update can move it arbitrarily far."""

    name: Literal["mean"] = "mean"


class Median(Section):
    """The coordinate-wise median (Yin et al., arXiv 1803.01498). Every device counts once, whatever its weight."""

    name: Literal["median"] = "median"


class TrimmedMean(Section):
    """The coordinate-wise mean without extremes (the same source). Every device counts once."""

    name: Literal["trimmed_mean"] = "trimmed_mean"
    trim: Count = 1
    """Number of devices left out at either end, for each value: as many bad ones are tolerated (fewer if few took
    part)."""


class ClippedMean(Section):
    """The weighted mean of updates that are scaled down to a maximum norm (Sun et al., arXiv 1911.07963).

    The difference to the values that the device received is scaled (`mdgan`: the feedback itself).
    """

    name: Literal["clipped_mean"] = "clipped_mean"
    max_norm: Positive | None = None
    """Maximum L2 norm (null: the median of the round's norms, which is ours)."""


class OwnAggregation(Section):
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

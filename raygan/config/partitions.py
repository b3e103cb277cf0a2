"""Config of the partition of a data set over the devices."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Tag

from raygan.components import PARTITIONS, check_name
from raygan.config.section import NO_OPTIONS, Count, Options, Positive, Section, named


class Iid(Section):
    """Equal shards of shuffled samples (sizes differ by at most one)."""

    name: Literal["iid"] = "iid"


class Dirichlet(Section):
    """Each class is split over the devices in proportions drawn from Dirichlet(alpha), so shards have unequal sizes
    (Yurochkin et al., arXiv 1905.12022, section 4)."""

    name: Literal["dirichlet"] = "dirichlet"
    alpha: Positive = 0.5
    """Concentration: 0.1 is nearly one class per device, 100 nearly iid."""
    min_samples: Count = 1
    """Minimum samples per device: all proportions are redrawn until every device has them (samples; 1: no device is
    empty; public code often uses 10)."""


class DirichletEqual(Section):
    """Shards of equal sizes, each with its own class proportions drawn from Dirichlet(alpha p), where p are the shares
    of the classes in the data (Hsu, Qi, Brown, arXiv 1909.06335, section 3)."""

    name: Literal["dirichlet_equal"] = "dirichlet_equal"
    alpha: Positive = 1.0
    """Concentration: 0.1 is nearly one class per device, 100 nearly iid. It is divided among the classes: each of C
    equal classes has alpha / C, whereas `dirichlet` gives each device alpha."""


class Classes(Section):
    """Each device holds a fixed number of classes; the devices that hold a class share its samples equally."""

    name: Literal["classes"] = "classes"
    per_device: Count = 2
    """Classes on each device."""


class Quantity(Section):
    """Shards with sizes drawn from Dirichlet(alpha), independent of class."""

    name: Literal["quantity"] = "quantity"
    alpha: Positive = 1.0
    """Concentration: small is very unequal, 100 nearly equal."""
    min_samples: Count = 1
    """Minimum samples per device: sizes are redrawn until every device has them (samples)."""


class Natural(Section):
    """Each device holds the samples of one holder: a hospital, a writer, a person. `devices` is the number of holders
    if it is not given; fewer devices take several holders each, evenly by samples."""

    name: Literal["natural"] = "natural"
    min_samples: Count = 1
    """Minimum samples per holder: holders with fewer are left out (samples)."""


class OwnPartition(Section):
    """A custom partition: `name` is an import path to `split(labels, devices, partition, random)`, which returns an
    index array per device. A function with a fifth parameter `holders` is given the holder of every sample."""

    name: Annotated[str, AfterValidator(lambda name: check_name(PARTITIONS, name))]
    options: Options = NO_OPTIONS
    """Free settings for your function."""


_Partitions = (
    Annotated[Iid, Tag("<iid>")]
    | Annotated[Dirichlet, Tag("<dirichlet>")]
    | Annotated[DirichletEqual, Tag("<dirichlet_equal>")]
    | Annotated[Classes, Tag("<classes>")]
    | Annotated[Quantity, Tag("<quantity>")]
    | Annotated[Natural, Tag("<natural>")]
    | Annotated[OwnPartition, Tag("<own>")]
)
Partition = Annotated[_Partitions, named("iid", _Partitions)]

"""Config of the data set and its partition over the devices."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, Tag, model_validator

from raygan.components import DATA_SETS, PARTITIONS, check_name
from raygan.config.section import NO_OPTIONS, Count, Options, Positive, Section, named

Side = Annotated[
    Literal[16, 28, 32, 64, 128, 256],
    Field(description="Height and width the images are cropped and resized to (pixels)."),
]
OwnSide = Annotated[
    Literal[16, 28, 32, 64, 128, 256] | None,
    Field(
        description="Height and width the images are cropped and resized to (pixels; null: the images' own size, or "
        "the largest of 16, 28, 32, 64, 128 and 256 that is not above the shorter sides of half of them)."
    ),
]


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


def _range(given: object) -> object:
    if isinstance(given, list | tuple) and len(given) == 2 and not given[0] < given[1]:
        raise ValueError(f"[{given[0]}, {given[1]}] is empty; low must be below high")
    return given


Depth = Annotated[
    Literal["type", "set", "percentiles"] | Annotated[int, Field(ge=1, le=32)] | tuple[float, float],
    AfterValidator(_range),
]
"""See `ScannedDataSet.depth`."""


Ground = Annotated[
    Literal["black", "white"],
    Field(description="The colour below transparent pixels: `black` or `white`."),
]


class DataSet(Section):
    """The keys of every data set."""

    limit: Count | None = None
    """Use only this many samples, the same share of every class (samples; null: all)."""
    partition: Partition = Iid()
    """The partition of the samples over the devices."""


class ImageDataSet(DataSet):
    """A data set of images, resized when it is loaded."""

    size: Side


class Digits(ImageDataSet):
    """1,797 handwritten digits, 8x8 grey, which ship with scikit-learn and need no download."""

    name: Literal["digits"] = "digits"
    size: Side = 16


class Gaussians(DataSet):
    """A 2-D mixture of equal Gaussians, for exact mode counts. Classes are the modes."""

    name: Literal["gaussians"] = "gaussians"
    layout: Literal["ring", "grid"] = "ring"
    """`ring`: on the unit circle; `grid`: a square grid over [-1, 1]^2 (`modes` must be a square)."""
    modes: Annotated[int, Field(ge=2)] = 8
    """Number of Gaussians."""
    std: Positive = 0.02
    """Standard deviation of each Gaussian (in units of the ring's radius)."""
    samples: Count = 10_000
    """Number of points drawn."""

    @model_validator(mode="after")
    def _grid_is_square(self) -> Self:
        if self.layout == "grid" and round(self.modes**0.5) ** 2 != self.modes:
            raise ValueError(f"modes={self.modes} is not a square; a grid needs 4, 9, 16, 25, ...")
        return self


class FileDataSet(ImageDataSet):
    """A data set read from files."""

    root: Path | None = None
    """Folder (or file) to read; null: the data set's usual places, else a download to the cache folder. It may differ
    when a run is resumed or measured, as long as the content is the same."""


class Mnist(FileDataSet):
    """MNIST: idx files (plain or .gz) under `root`, else torchvision's download."""

    name: Literal["mnist"] = "mnist"
    size: Side = 28


class FashionMnist(FileDataSet):
    """Fashion-MNIST: idx files (plain or .gz) under `root` or Debian's dataset-fashion-mnist, else a download."""

    name: Literal["fashion_mnist"] = "fashion_mnist"
    size: Side = 28


class Cifar10(FileDataSet):
    """CIFAR-10 through torchvision: `root` holds cifar-10-batches-py, or receives the download."""

    name: Literal["cifar10"] = "cifar10"
    size: Side = 32


class CelebA(FileDataSet):
    """CelebA through torchvision, centre-cropped to the face."""

    name: Literal["celeba"] = "celeba"
    size: Side = 64
    attribute: str = "Male"
    """The binary attribute used as class label (classes are needed by non-iid partitions and by FD-clf)."""


class ScannedDataSet(DataSet):
    """Images of any size and depth, as they lie on people's disks."""

    root: Path
    """Folder or file to read. It may differ when a run is resumed or measured, as long as the content is the same."""
    size: OwnSide = None
    channels: Literal[1, 3] | None = None
    """1: grey, 3: colour; images are converted (null: grey if all images are)."""
    depth: Depth = "type"
    """The values of an image that become 0 and 255; values between them are scaled linearly and rounded. `type`: the
    range of the file's type (255 or 65,535 for 8 or 16 bits; 0 to 1 for floats; the stored bits of DICOM); `set`: the
    smallest and the largest value in the data set; `percentiles`: its 0.5th and 99.5th percentile, values outside are
    clipped; a number of bits such as 12: 0 to 4,095; or `[low, high]`."""


class Folder(ScannedDataSet):
    """A tree of images, in a folder, a tar or a zip; `root` may be inside of one (`set.tar.gz/train`)."""

    name: Literal["folder"] = "folder"
    root: Path
    """Folder, tar or zip, or a folder inside of one."""
    layout: Literal["class", "holder/class", "class/holder", "holder"] = "class"
    """The meaning of the first levels of sub-folders below `root`: the class of an image, or who holds it (such as a
    hospital or a person, see `data.partition.name=natural`). `holder` alone: one class."""
    ground: Ground = "black"


class Npz(ScannedDataSet):
    """A numpy .npz file with arrays of images and, optionally, labels, names of classes, and holders."""

    name: Literal["npz"] = "npz"
    root: Path
    """The file."""


class OwnData(DataSet):
    """A custom data set: `name` is an import path to `load(data, seed) -> ImageSet`."""

    name: Annotated[str, AfterValidator(lambda name: check_name(DATA_SETS, name))]
    root: Path | None = None
    """Folder or file that your function reads."""
    options: Options = NO_OPTIONS
    """Free settings for your function."""


_DataSets = (
    Annotated[Digits, Tag("<digits>")]
    | Annotated[Gaussians, Tag("<gaussians>")]
    | Annotated[Mnist, Tag("<mnist>")]
    | Annotated[FashionMnist, Tag("<fashion_mnist>")]
    | Annotated[Cifar10, Tag("<cifar10>")]
    | Annotated[CelebA, Tag("<celeba>")]
    | Annotated[Folder, Tag("<folder>")]
    | Annotated[Npz, Tag("<npz>")]
    | Annotated[OwnData, Tag("<own>")]
)
Data = Annotated[_DataSets, named("digits", _DataSets)]

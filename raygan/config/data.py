"""Config of the data set and its partition over the devices."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, Tag, model_validator

from raygan.components import DATA_SETS, PARTITIONS, check_name
from raygan.config.section import NO_OPTIONS, Count, Options, Positive, Section, named

Side = Annotated[
    Literal[16, 28, 32, 64],
    Field(description="Height and width the images are cropped and resized to (pixels)."),
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


class OwnPartition(Section):
    """A custom partition: `name` is an import path to `split(labels, devices, partition, random)`, which returns an
    index array per device."""

    name: Annotated[str, AfterValidator(lambda name: check_name(PARTITIONS, name))]
    options: Options = NO_OPTIONS
    """Free settings for your function."""


_Partitions = (
    Annotated[Iid, Tag("<iid>")]
    | Annotated[Dirichlet, Tag("<dirichlet>")]
    | Annotated[DirichletEqual, Tag("<dirichlet_equal>")]
    | Annotated[Classes, Tag("<classes>")]
    | Annotated[Quantity, Tag("<quantity>")]
    | Annotated[OwnPartition, Tag("<own>")]
)
Partition = Annotated[_Partitions, named("iid", _Partitions)]


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


class Folder(FileDataSet):
    """A tree of images with a sub-folder per class; `root` may be inside a tar (`set.tar.gz/train`)."""

    name: Literal["folder"] = "folder"
    root: Path
    """Folder, tar, or folder inside a tar."""
    size: Side = 32
    channels: Literal[1, 3] = 3
    """1: grey, 3: colour; images are converted."""


class Npz(FileDataSet):
    """A numpy .npz file with `images` (N,H,W[,C]) uint8, `labels` (N,) integers and, optionally, names `classes`."""

    name: Literal["npz"] = "npz"
    root: Path
    """The file."""
    size: Side = 32


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

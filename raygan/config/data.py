"""Config of the data set."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from raygan.components import DATA_SETS, check_name
from raygan.config.partitions import Iid, Partition
from raygan.config.section import NO_OPTIONS, Count, Options, Positive, Section, Share, named

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


def _range(given: object) -> object:
    if isinstance(given, list | tuple) and len(given) == 2 and not given[0] < given[1]:
        raise ValueError(f"[{given[0]}, {given[1]}] is empty; low must be below high")
    return given


Depth = Annotated[
    Literal["type", "set", "percentiles"] | Annotated[int, Field(ge=1, le=32)] | tuple[float, float],
    AfterValidator(_range),
]
"""See `ScannedDataSet.depth`."""


Place = Annotated[
    Annotated[str, Tag("<uri>")] | Annotated[Path, Tag("<path>")],
    Discriminator(lambda given: "<uri>" if "://" in str(given) else "<path>"),
]
"""A path, or a URI, which is kept as it is."""


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
    held_out: Share = 0.0
    """Share of each device's samples, drawn at random, that is kept out of training and tells whether membership can be
    inferred (0: none)."""


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


class Emnist(FileDataSet):
    """EMNIST, handwritten letters and digits (Cohen et al., arXiv 1702.05373): idx files (plain or .gz) under `root`,
    else torchvision's download. Images are turned upright."""

    name: Literal["emnist"] = "emnist"
    split: Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"] = "balanced"
    """The part of EMNIST: 62 classes (`byclass`), 47 with look-alike cases merged (`bymerge`; `balanced`: the same
    number of each), 26 letters, or 10 digits (`digits`, `mnist`)."""
    size: Side = 28


class Cifar10(FileDataSet):
    """CIFAR-10 through torchvision: `root` holds cifar-10-batches-py, or receives the download."""

    name: Literal["cifar10"] = "cifar10"
    size: Side = 32


class CelebA(FileDataSet):
    """CelebA through torchvision, centre-cropped to the face. The person in an image is who holds it."""

    name: Literal["celeba"] = "celeba"
    size: Side = 64
    attribute: str = "Male"
    """The binary attribute used as class label (classes are needed by non-iid partitions and by FD-clf)."""


class ScannedDataSet(DataSet):
    """Images of any size and depth, as they lie on people's disks."""

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
    """A numpy .npz file with arrays of images and, optionally, labels, names of classes, and holders. Images are
    (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)."""

    name: Literal["npz"] = "npz"
    root: Path
    """The file."""
    split: Literal["train", "val", "test"] = "train"
    """The part of a file with several: `train_images`, `val_images` and `test_images`, or `x_train`, `x_val` and
    `x_test`."""
    images: str | None = None
    """The array of images (null: for `split=train` the first that is there of `images`, `x_train`, `train_images` and
    `x`, for other parts `x_PART` or `PART_images`)."""
    labels: str | None = None
    """The array of labels, (N,) or (N, 1) numbers or strings of any values, or (N, C) one-hot (null: the first that is
    there of `labels`, `y_train`, `train_labels` and `y`, for other parts `y_PART` or `PART_labels`; if none is, or
    with `none`, all images are one class)."""
    holders: str | None = None
    """The array of who holds each image, (N,) numbers or strings (null: none; see `data.partition.name=natural`)."""
    names: str | None = None
    """The array of the names of the classes 0, 1, ... (null: `classes`, if it is there)."""


class Parquet(ScannedDataSet):
    """Parquet files in the layout of Hugging Face: a column of encoded images (PNG, JPEG, ...) or of lists of pixels,
    and columns of labels and of holders."""

    name: Literal["parquet"] = "parquet"
    root: Place
    """A file, a folder of files, or the URI of either (`s3://`, `gs://`, `hf://` or another that pyarrow or fsspec
    knows)."""
    split: str | None = None
    """The part of a folder whose files or sub-folders are named after parts, such as `test-00000-of-00001.parquet`
    (null: `train`, if there is one so named, else all files)."""
    images: str | None = None
    """The column of images (null: `image` or `img`, else the only one that can be)."""
    labels: str | None = None
    """The column of labels, numbers or strings (null: the first that is there of `label`, `labels`, `fine_label`,
    `class` and `target`, else the only one with names of classes; if none is, or with `none`, all images are one
    class)."""
    holders: str | None = None
    """The column of who holds each image (null: none; see `data.partition.name=natural`)."""
    ground: Ground = "black"


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
    | Annotated[Emnist, Tag("<emnist>")]
    | Annotated[Cifar10, Tag("<cifar10>")]
    | Annotated[CelebA, Tag("<celeba>")]
    | Annotated[Folder, Tag("<folder>")]
    | Annotated[Npz, Tag("<npz>")]
    | Annotated[Parquet, Tag("<parquet>")]
    | Annotated[OwnData, Tag("<own>")]
)
Data = Annotated[_DataSets, named("digits", _DataSets)]

"""The one typed, frozen, strict config tree: every knob, its default and its unit.

The paper (arXiv 2107.08681) leaves most of these open, so every default here is ours.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from raygan.components import (
    DATA_SETS,
    DISCRIMINATORS,
    GENERATORS,
    LOSSES,
    METHODS,
    PARTITIONS,
    check_name,
)

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Side = Annotated[
    Literal[16, 28, 32, 64],
    Field(description="Height and width the images are cropped and resized to (pixels)."),
]
Options = dict[str, bool | int | float | str]


class Section(BaseModel):
    """A part of the tree: frozen, strictly typed, no unknown keys."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


def _named(default: str, sections: Collection[str]) -> Discriminator:
    """Choose a union's member by its `name`; an import path chooses the member tagged `own`."""

    def tag(value: Any) -> str | None:
        name = value.get("name", default) if isinstance(value, dict) else getattr(value, "name", None)
        if not isinstance(name, str):
            return None
        return f"<{name}>" if name in sections else "<own>"

    return Discriminator(tag)


# --- data -----------------------------------------------------------------------------------------


class Iid(Section):
    """Shuffle, then deal equal shards (sizes differ by one at most)."""

    name: Literal["iid"] = "iid"


class Dirichlet(Section):
    """Each class is dealt over the devices by proportions drawn from Dirichlet(alpha) (after arXiv 1909.06335)."""

    name: Literal["dirichlet"] = "dirichlet"
    alpha: Positive = 0.5
    """Concentration: 0.1 is nearly one class per device, 100 nearly iid."""


class Classes(Section):
    """Each device holds a fixed number of classes; a class's samples are shared equally by its holders."""

    name: Literal["classes"] = "classes"
    per_device: Count = 2
    """Classes on each device."""


class Quantity(Section):
    """Class-blind shards whose sizes are drawn from Dirichlet(alpha)."""

    name: Literal["quantity"] = "quantity"
    alpha: Positive = 1.0
    """Concentration: small is very unequal, 100 nearly equal."""


class OwnPartition(Section):
    """Your own: `name` is an import path to `split(labels, devices, partition, random) -> list of index arrays`."""

    name: Annotated[str, AfterValidator(lambda name: check_name(PARTITIONS, name))]
    options: Options = {}
    """Free settings your function reads."""


Partition = Annotated[
    Annotated[Iid, Tag("<iid>")]
    | Annotated[Dirichlet, Tag("<dirichlet>")]
    | Annotated[Classes, Tag("<classes>")]
    | Annotated[Quantity, Tag("<quantity>")]
    | Annotated[OwnPartition, Tag("<own>")],
    _named("iid", PARTITIONS),
]


class DataSet(Section):
    """What every data set has."""

    limit: Count | None = None
    """Use only this many samples, the same share of every class (samples; null: all)."""
    partition: Partition = Iid()
    """How the samples are dealt over the devices."""


class ImageDataSet(DataSet):
    """A data set of images, resized when it is loaded."""

    size: Side


class Digits(ImageDataSet):
    """1,797 handwritten digits, 8x8 grey, that ship with scikit-learn: needs no download."""

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
    """Folder (or file) to read; null: the data set's usual places, else a download to the cache folder."""


class Mnist(FileDataSet):
    """MNIST: idx files (plain or .gz) under `root`, else torchvision's download."""

    name: Literal["mnist"] = "mnist"
    size: Side = 28


class FashionMnist(FileDataSet):
    """Fashion-MNIST: idx files (plain or .gz) under `root` or Debian's dataset-fashion-mnist, else a download."""

    name: Literal["fashion_mnist"] = "fashion_mnist"
    size: Side = 28


class Cifar10(FileDataSet):
    """CIFAR-10 through torchvision: `root` holds cifar-10-batches-py, or is where it is downloaded to."""

    name: Literal["cifar10"] = "cifar10"
    size: Side = 32


class CelebA(FileDataSet):
    """CelebA through torchvision, centre-cropped to the face."""

    name: Literal["celeba"] = "celeba"
    size: Side = 64
    attribute: str = "Male"
    """The binary attribute used as class label (classes are needed by non-iid partitions and by FD-clf)."""


class Folder(FileDataSet):
    """Any tree of images, a class per sub-folder; `root` may lead into a tar (`set.tar.gz/train`)."""

    name: Literal["folder"] = "folder"
    root: Path
    """Folder, tar, or folder inside a tar."""
    size: Side = 32
    channels: Literal[1, 3] = 3
    """1: grey, 3: colour; images are converted."""


class Npz(FileDataSet):
    """A numpy .npz file with `images` (N,H,W[,C]) uint8 and `labels` (N,) integers."""

    name: Literal["npz"] = "npz"
    root: Path
    """The file."""
    size: Side = 32


class OwnData(DataSet):
    """Your own: `name` is an import path to `load(data, seed) -> ImageSet`."""

    name: Annotated[str, AfterValidator(lambda name: check_name(DATA_SETS, name))]
    root: Path | None = None
    """Folder or file your function reads."""
    options: Options = {}
    """Free settings your function reads."""


Data = Annotated[
    Annotated[Digits, Tag("<digits>")]
    | Annotated[Gaussians, Tag("<gaussians>")]
    | Annotated[Mnist, Tag("<mnist>")]
    | Annotated[FashionMnist, Tag("<fashion_mnist>")]
    | Annotated[Cifar10, Tag("<cifar10>")]
    | Annotated[CelebA, Tag("<celeba>")]
    | Annotated[Folder, Tag("<folder>")]
    | Annotated[Npz, Tag("<npz>")]
    | Annotated[OwnData, Tag("<own>")],
    _named("digits", DATA_SETS),
]


# --- GAN ------------------------------------------------------------------------------------------

Norm = Literal["batch", "group", "none", "spectral"]


class Gan(Section):
    """The networks and the loss."""

    generator: Annotated[str, AfterValidator(lambda name: check_name(GENERATORS, name))] = "dcgan"
    """`dcgan` (images), `mlp` (2-D points), or an import path to a class called with `(shape, gan)`."""
    discriminator: Annotated[str, AfterValidator(lambda name: check_name(DISCRIMINATORS, name))] = "dcgan"
    """As `generator`; it returns one logit per sample."""
    loss: Annotated[str, AfterValidator(lambda name: check_name(LOSSES, name))] = "non_saturating"
    """`non_saturating`, `minimax`, `hinge`, `least_squares`, `wgan_gp`, or an import path to a `Loss`."""
    gradient_penalty: Positive = 10.0
    """Weight of the gradient penalty (lambda of arXiv 1704.00028); used by losses that have one (`wgan_gp`)."""
    latent: Count = 64
    """Length of the latent vector z (numbers)."""
    generator_width: Count = 32
    """Channels of the generator's last hidden layer; each earlier layer doubles it (hidden units for `mlp`)."""
    discriminator_width: Count = 32
    """Channels of the discriminator's first layer; each later layer doubles it (hidden units for `mlp`)."""
    generator_norm: Norm = "batch"
    """Normalisation inside the generator."""
    discriminator_norm: Norm = "spectral"
    """Normalisation inside the discriminator."""
    ema: Share = 0.98
    """Decay of the generator's exponential moving average, per generator step (0: the average is the raw one)."""
    options: Options = {}
    """Free settings your own networks read."""


class Adam(Section):
    """Adam (arXiv 1412.6980)."""

    name: Literal["adam"] = "adam"
    lr: Positive = 2e-3
    """Learning rate (per step)."""
    beta1: Share = 0.0
    """Decay of the first moment (0, common with spectral normalisation)."""
    beta2: Share = 0.999
    """Decay of the second moment."""


class Sgd(Section):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"
    lr: Positive = 1e-2
    """Learning rate (per step)."""
    momentum: Share = 0.0
    """Momentum (0: none)."""


Optimizer = Annotated[
    Annotated[Adam, Tag("<adam>")] | Annotated[Sgd, Tag("<sgd>")],
    Field(discriminator=_named("adam", ("adam", "sgd"))),
]


# --- method ---------------------------------------------------------------------------------------


class Averaged(Section):
    """Switches of `method: averaged` that the paper's abstract leaves open. Every default is ours."""

    weights: Literal["uniform", "shard", "batch"] = "uniform"
    """Weight of a device in the average: 1, its number of samples, or its batch size."""
    optimizer_state: Literal["keep", "reset", "average"] = "keep"
    """A device optimiser's moments between rounds: kept on the device, fresh every round, or averaged too."""
    buffers: Literal["average", "local", "reset"] = "average"
    """Buffers of the discriminator (such as BatchNorm statistics): averaged too, kept on the device, or reset."""
    upload: Literal["weights", "delta"] = "weights"
    """What goes up: the discriminator, or its difference to the one that came down."""


# --- running --------------------------------------------------------------------------------------


class Engine(Section):
    """Where the work runs. Only the thread counts, and whether a party computes on a GPU, change a run's numbers."""

    executor: Literal["ray", "inline"] = "ray"
    """`ray`: actors; `inline`: this process, no Ray."""
    devices_per_actor: Count = 1
    """Devices that share one actor and take turns in it."""
    cpus_per_device: Annotated[float, Field(ge=0)] = 1.0
    """Logical CPUs an actor asks Ray for, per actor (cores; a Ray started by the run has as many as it needs)."""
    gpus_per_device: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a GPU each actor asks Ray for, and the most of its memory it may take (0: computes on the CPU)."""
    server_gpus: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a GPU for the server, likewise."""
    threads_per_device: Count = 1
    """Threads of one device's computation (part of the numbers: sums differ in their last bits)."""
    server_threads: Count = 1
    """Threads of the server's computation (part of the numbers)."""
    address: str | None = None
    """Ray cluster to join, `auto` or host:port (null: the process's own, $RAY_ADDRESS, or one started for the run)."""
    ready_timeout_s: Positive = 300.0
    """How long all actors together may take to start (seconds)."""


class Eval(Section):
    """Evaluation, beside the training."""

    every: Count = 100
    """Evaluate at round 0, every so many rounds, and at the last one (rounds)."""
    samples: Annotated[int, Field(ge=2)] = 2000
    """Generated samples per evaluation. Frechet distances at different counts do not compare."""
    classifier_epochs: Count = 8
    """Passes over at most 20,000 images when the data set's classifier is trained (once; cached)."""
    inception_weights: Path | None = None
    """Inception weights (pt_inception-2015-12-05-6726825d.pth): adds `fid`; needs the `fid` extra."""
    gpus: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a GPU for `fid` (the rest is measured on a CPU)."""
    grid: Annotated[int, Field(ge=1, le=32)] = 10
    """Rows and columns of the sample grids (images)."""


class Checkpoint(Section):
    """Saved states."""

    every: Count = 500
    """Save the whole state every so many rounds, at the last one and when interrupted (rounds)."""
    keep: Count = 2
    """Newest checkpoints that are kept."""


class Config(Section):
    """A whole run. The same config gives the same generator, bit for bit."""

    method: Annotated[str, AfterValidator(lambda name: check_name(METHODS, name))] = "averaged"
    """`averaged` (arXiv 2107.08681), or an import path to a `Method`."""
    schedule: Literal["serial", "parallel"] = "serial"
    """`serial`: the generator step waits for the new average; `parallel`: it runs on the old one meanwhile."""
    devices: Count = 5
    """Number of devices K."""
    rounds: Count = 800
    """Number of rounds."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of every random stream."""
    batch_size: Count = 32
    """Real images per discriminator step on a device (images; a smaller shard gives all it has)."""
    generator_batch_size: Count = 64
    """Generated images per generator step on the server (images)."""
    device_steps: Count = 1
    """Discriminator steps of a device per round (n_d)."""
    generator_steps: Count = 1
    """Generator steps of the server per round (n_g)."""
    data: Data = Digits()
    """The data set and its partition."""
    gan: Gan = Gan()
    """The networks and the loss."""
    device_optimizer: Optimizer = Adam()
    """Optimiser of the local discriminators."""
    generator_optimizer: Optimizer = Adam()
    """Optimiser of the generator."""
    averaged: Averaged = Averaged()
    """Switches of `method: averaged`."""
    engine: Engine = Engine()
    """Where the work runs."""
    eval: Eval = Eval()
    """Evaluation."""
    checkpoint: Checkpoint = Checkpoint()
    """Saved states."""

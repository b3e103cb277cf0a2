"""The content of each file of a run folder, as pages need it."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NotNegativeInt = Annotated[int, Field(ge=0)]


class Record(BaseModel):
    """The content of a file, or of a line; later versions may add fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class RoundLine(Record):
    """The part of a line of rounds.jsonl that charts draw, beside the measurements."""

    bytes_down: NotNegativeInt = 0
    bytes_up: NotNegativeInt = 0
    bytes_swap: NotNegativeInt = 0
    devices: NotNegativeInt | None = None
    unreached: NotNegativeInt = 0
    late: NotNegativeInt = 0
    staleness: float | None = None
    staleness_max: NotNegativeInt | None = None
    dropped: dict[str, str] = {}
    phases_s: dict[str, float] = {}
    spent_s: dict[str, float] = {}
    d_loss: float | None = None
    g_loss: float | None = None
    epsilon: float | None = None
    class_shares: list[float] = []


class DataFacts(Record):
    """data.json: the data of the run, and its partition."""

    name: str
    samples: NotNegativeInt
    shape: Annotated[list[NotNegativeInt], Field(min_length=1)]
    classes: list[str]
    class_counts: list[NotNegativeInt]
    devices: NotNegativeInt
    device_class_counts: list[list[NotNegativeInt]]
    """A row per device; only the first ones if there are many."""
    device_names: list[str] = []
    """The holders of each of these devices, if the partition is natural."""
    notes: list[str] = []
    """Lines on what loading did to the samples."""

    @model_validator(mode="after")
    def _a_count_per_class(self) -> Self:
        if any(len(counts) != len(self.classes) for counts in (self.class_counts, *self.device_class_counts)):
            raise ValueError(f"there are {len(self.classes)} classes, but not as many counts in each list")
        return self


class Event(Record):
    """A line of events.jsonl."""

    time: str
    round: int
    what: str


class OfDevices(Record):
    """FD-clf of the generator against each device's own shard; None where a shard is too small for one."""

    fd_clf: list[float | None]
    mean_fd_clf: float | None
    pooled_fd_clf: float | None


class Nearest(Record):
    """The distances of samples to their nearest training images, and of real images to their nearest others."""

    distances: list[float]
    real_median: float
    ratio_median: float | None
    samples: int
    neighbours: int


class Area(Record):
    """An area under the ROC curve with its 95 % interval."""

    auc: float
    low: float
    high: float


class Attack(Record):
    """How well an attack tells members from held-out samples: of all devices together, and of each; None: not tried."""

    all: Area | None
    devices: list[Area | None]


class Membership(Record):
    """Membership inference by the generator's samples, and by the discriminator where there is a global one."""

    members: int
    others: int
    samples: int
    nearest: Attack
    discriminator: Attack | None = None


class Closing(Record):
    """evaluation.json: the measurements at the end of the run."""

    round: int
    devices: OfDevices | None = None
    nearest: Nearest | None = None
    membership: Membership | None = None


class Environment(Record):
    """The part of environment.json that is shown in words."""

    versions: dict[str, str] = {}
    python: str = ""
    machine: str = ""
    git_commit: str | None = None
    command: list[str] = []
    data_digest: str | None = None
    processes: list[dict[str, Any]] = []

"""The work that every engine of benchmarks/engines.py does, as a folder that any Python with numpy can read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

State = dict[str, np.ndarray]
"""A network's values by parameter name, as a plain `nn.Sequential` names them."""


@dataclass(frozen=True)
class Work:
    """DCGAN without normalisation, serial schedule, fresh Adam on the devices each round, one generator step."""

    devices: int
    steps: int
    """Local discriminator steps a round; with none a device only sends up what came down."""
    width: int = 16
    latent: int = 100
    batch: int = 32
    server_batch: int = 64
    samples: int = 200
    """Images on each device."""
    side: int = 32
    """Of an image (pixels; 16, 32 or 64)."""
    channels: int = 1
    normalised: bool = False
    """Batch normalisation in the generator and spectral in the discriminator, as by default, or none."""
    on: str = "cpu"
    """Where everything is computed: cpu or cuda."""
    precision: str = "float32"
    """Of products, as `gan.precision` has it."""
    share: float = 0.0
    """Of a GPU for an actor that plays one device; the server's is as large. 0: nobody asks Ray for one."""
    learning_rate: float = 1e-4
    """Of Adam, on devices and server. A fresh Adam's step has this length whatever the gradient's, so where rounding
    decides on a gradient's sign, two engines that do the same differ by twice as much on one device."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Of Adam, likewise."""
    seed: int = 0


class WorkFolder:
    """Where a work lies: its sizes, each device's images, and the initial weights of both networks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = root / "images.npz"
        self._sizes = root / "work.json"
        self._shards = root / "shards.npy"

    def write(self, work: Work, shards: np.ndarray, generator: State, discriminator: State) -> None:
        """Lay down a work whose devices have the images `shards`, (devices, samples, channels, side, side) uint8."""
        self._sizes.write_text(json.dumps(asdict(work)), encoding="utf-8")
        np.save(self._shards, shards)
        write_state(self._weights("generator"), generator)
        write_state(self._weights("discriminator"), discriminator)

    def work(self) -> Work:
        """The sizes."""
        sizes = json.loads(self._sizes.read_text(encoding="utf-8"))
        return Work(**sizes | {"betas": tuple(sizes["betas"])})

    def shards(self) -> np.ndarray:
        """Every device's images, left on the disk until they are looked at."""
        shards: np.ndarray = np.load(self._shards, mmap_mode="r")
        return shards

    def initial(self, network: str) -> State:
        """The initial weights of `generator` or `discriminator`."""
        return read_state(self._weights(network))

    def _weights(self, network: str) -> Path:
        return self.root / f"{network}.npz"


def write_state(path: Path, state: State) -> None:
    """Write a network's values to an .npz file."""
    with path.open("wb") as file:
        np.savez(file, **state)  # type: ignore[arg-type]


def read_state(path: Path) -> State:
    """What `write_state` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def largest_difference(one: State, other: State) -> float:
    """The largest absolute difference of any value of two networks."""
    if one.keys() != other.keys():
        raise ValueError(f"these are not the same network: {sorted(one)}, {sorted(other)}")
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)

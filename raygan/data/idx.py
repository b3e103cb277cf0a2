"""MNIST, Fashion-MNIST and EMNIST from idx files, plain or gzipped, which are read in place."""

import gzip
import string
import struct
from pathlib import Path

import numpy as np

from raygan.config.data import Emnist, FashionMnist, Mnist
from raygan.data.downloads import one_at_a_time
from raygan.data.images import ImageSet
from raygan.data.sizes import resize_all
from raygan.errors import InputError
from raygan.files import cache_folder

_IMAGES, _LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # the package dataset-fashion-mnist

FASHION_CLASSES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_MERGED = (*string.digits, *string.ascii_uppercase, *"abdefghnqrt")
EMNIST_CLASSES = {
    "byclass": (*string.digits, *string.ascii_uppercase, *string.ascii_lowercase),
    "bymerge": _MERGED,
    "balanced": _MERGED,
    "letters": tuple(string.ascii_uppercase),
    "digits": tuple(string.digits),
    "mnist": tuple(string.digits),
}
"""Names of the classes of each split, in the order of their labels."""


def load_mnist(data: Mnist, seed: int) -> ImageSet:
    """The 60,000 training images of MNIST, 28x28 grey."""
    folder = _folder(data.root, [], "MNIST")
    images, labels = _read_pair(folder, len(string.digits))
    return ImageSet(resize_all(images, data.size), labels, tuple(string.digits))


def load_fashion_mnist(data: FashionMnist, seed: int) -> ImageSet:
    """The 60,000 training images of Fashion-MNIST, 28x28 grey."""
    folder = _folder(data.root, [DEBIAN_FASHION_MNIST], "FashionMNIST")
    images, labels = _read_pair(folder, len(FASHION_CLASSES))
    return ImageSet(resize_all(images, data.size), labels, FASHION_CLASSES)


def load_emnist(data: Emnist, seed: int) -> ImageSet:
    """The training images of a split of EMNIST, 28x28 grey, upright: the files have them mirrored at the diagonal."""
    classes = EMNIST_CLASSES[data.split]
    first = int(data.split == "letters")  # whose labels are 1 to 26
    prefix = f"emnist-{data.split}-"
    folder = _folder(data.root, [], "EMNIST", prefix, split=data.split)
    images, labels = _read_pair(folder, len(classes), prefix, first)
    return ImageSet(resize_all(np.ascontiguousarray(images.transpose(0, 2, 1)), data.size), labels, classes)


def read_idx(path: Path) -> np.ndarray:
    """Returns an idx file of bytes, plain or gzipped, as a uint8 array.

    Raises:
        InputError: the file is not a complete idx file.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if magic[:3] != b"\0\0\x08" or len(magic) < 4:
                raise ValueError("does not start as an idx file of bytes")
            shape = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
            return np.frombuffer(file.read(), np.uint8).reshape(shape).copy()
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise InputError(f"{path}: not a readable idx file: {error}", code="damaged") from error


def _folder(root: Path | None, usual: list[Path], torchvision_name: str, prefix: str = "", **options: str) -> Path:
    """Returns the first folder that holds the training images; downloads them if no root is given."""
    images = f"{prefix}{_IMAGES}"
    candidates = usual if root is None else [root, root / torchvision_name / "raw", root / "gzip"]
    for folder in candidates:
        if _find(folder, images):
            return folder
    if root is not None:
        raise InputError(f"data.root: {root} holds no {images} (or .gz)", code="missing")
    from torchvision import datasets

    cache = cache_folder("torchvision")
    try:
        with one_at_a_time(cache, torchvision_name):
            getattr(datasets, torchvision_name)(cache, download=True, **options)
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"data.root: {torchvision_name} is not on this machine and its download failed; "
            f"set data.root to a folder with {images}(.gz)",
            code="missing",
        ) from error
    return cache / torchvision_name / "raw"


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read_pair(folder: Path, classes: int, prefix: str = "", first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns images (N, H, W) and labels from 0, which are from `first` on in the file."""
    images_path, labels_path = _find(folder, f"{prefix}{_IMAGES}"), _find(folder, f"{prefix}{_LABELS}")
    if labels_path is None or images_path is None:
        raise InputError(f"data.root: {folder} holds no {prefix}{_LABELS} (or .gz)", code="missing")
    images, labels = read_idx(images_path), read_idx(labels_path).astype(np.int64) - first
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise InputError(
            f"{folder}: images {images.shape} and labels {labels.shape} do not belong together", code="mismatch"
        )
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        low, high = int(labels.min()) + first, int(labels.max()) + first
        raise InputError(
            f"{labels_path}: holds labels {low} to {high}; {first} to {classes - 1 + first} are needed", code="range"
        )
    return images, labels

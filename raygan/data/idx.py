"""MNIST and Fashion-MNIST from idx files, plain or gzipped, which are read in place."""

import gzip
import struct
from pathlib import Path

import numpy as np

from raygan.config.data import FashionMnist, Mnist
from raygan.data.downloads import one_at_a_time
from raygan.data.images import ImageSet
from raygan.data.sizes import resize_all
from raygan.errors import InputError
from raygan.files import cache_folder

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


def load_mnist(data: Mnist, seed: int) -> ImageSet:
    """The 60,000 training images of MNIST, 28x28 grey."""
    folder = _folder(data.root, [], "MNIST")
    return _read_pair(folder, data.size, tuple("0123456789"))


def load_fashion_mnist(data: FashionMnist, seed: int) -> ImageSet:
    """The 60,000 training images of Fashion-MNIST, 28x28 grey."""
    folder = _folder(data.root, [DEBIAN_FASHION_MNIST], "FashionMNIST")
    return _read_pair(folder, data.size, FASHION_CLASSES)


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
        raise InputError(f"{path}: not a readable idx file: {error}") from error


def _folder(root: Path | None, usual: list[Path], torchvision_name: str) -> Path:
    """Returns the first folder that holds the training images; downloads them if no root is given."""
    candidates = usual if root is None else [root, root / torchvision_name / "raw"]
    for folder in candidates:
        if _find(folder, "train-images-idx3-ubyte"):
            return folder
    if root is not None:
        raise InputError(f"data.root: {root} holds no train-images-idx3-ubyte (or .gz)")
    from torchvision import datasets

    cache = cache_folder("torchvision")
    try:
        with one_at_a_time(cache, torchvision_name):
            getattr(datasets, torchvision_name)(cache, download=True)
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"data.root: {torchvision_name} is not on this machine and its download failed; "
            f"set data.root to a folder with train-images-idx3-ubyte(.gz)"
        ) from error
    return cache / torchvision_name / "raw"


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read_pair(folder: Path, size: int, classes: tuple[str, ...]) -> ImageSet:
    labels_path = _find(folder, "train-labels-idx1-ubyte")
    images_path = _find(folder, "train-images-idx3-ubyte")
    if labels_path is None or images_path is None:
        raise InputError(f"data.root: {folder} holds no train-labels-idx1-ubyte (or .gz)")
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or labels.shape != images.shape[:1] or labels.max(initial=0) >= len(classes):
        raise InputError(f"{folder}: images {images.shape} and labels {labels.shape} do not belong together")
    return ImageSet(resize_all(images, size), labels.astype(np.int64), classes)

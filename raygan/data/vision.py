"""CIFAR-10 and CelebA, read by torchvision."""

import hashlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
from torchvision import datasets

from raygan.config.data import CelebA, Cifar10
from raygan.data.downloads import one_at_a_time
from raygan.data.images import ImageSet
from raygan.data.labels import classes_of
from raygan.data.sizes import resize, resize_all
from raygan.errors import InputError
from raygan.files import cache_folder, cached_array


def load_cifar10(data: Cifar10, seed: int) -> ImageSet:
    """The 50,000 training images of CIFAR-10 (Krizhevsky 2009), 32x32 colour."""
    root = data.root or cache_folder("torchvision")
    try:
        with _alone(data.root, root, "CIFAR10"):
            cifar = datasets.CIFAR10(root, train=True, download=data.root is None)
    except (RuntimeError, OSError) as error:
        raise InputError(_absent("CIFAR-10", root, "cifar-10-batches-py"), code="missing") from error
    labels = np.asarray(cifar.targets, np.int64)
    return ImageSet(resize_all(cifar.data, data.size), labels, tuple(cifar.classes))


def load_celeba(data: CelebA, seed: int) -> ImageSet:
    """The 162,770 training images of CelebA, centre-cropped; the label is one binary attribute, the holder the person.

    The names of holders are the numbers of the persons, in `identity_CelebA.txt`.
    """
    root = data.root or cache_folder("torchvision")
    try:
        with _alone(data.root, root, "CelebA"):
            celeba = datasets.CelebA(str(root), split="train", target_type="identity", download=data.root is None)
    except (RuntimeError, OSError, ImportError) as error:
        raise InputError(_absent("CelebA", root, "celeba"), code="missing") from error
    names = [name for name in celeba.attr_names if name]
    if data.attribute not in names:
        raise InputError(
            f"data.attribute: CelebA has no attribute {data.attribute!r}; it has {', '.join(names)}", code="unknown"
        )
    labels = celeba.attr[:, names.index(data.attribute)].numpy().astype(np.int64)
    names_hash = hashlib.blake2b("\n".join([str(root.resolve()), *celeba.filename]).encode(), digest_size=8).hexdigest()
    images = cached_array(
        "images",
        f"celeba-{names_hash}-{data.size}.npy",
        lambda: np.stack([np.asarray(resize(celeba[i][0], data.size)) for i in range(len(celeba))]),
    )
    holders, persons = classes_of(celeba.identity[:, 0].numpy(), f"{root}/celeba/identity_CelebA.txt")
    classes = (f"not {data.attribute}", data.attribute)
    return ImageSet(resize_all(images, data.size), labels, classes, holders, persons)


def _alone(given: Path | None, root: Path, name: str) -> AbstractContextManager[None]:
    """Lock for a download; a folder of the user's is only read."""
    return one_at_a_time(root, name) if given is None else nullcontext()


def _absent(name: str, root: Path, folder: str) -> str:
    return f"data.root: {name} is not in {root} (looked for {folder}) or could not be downloaded; set data.root"

"""Image folders: a tree or a tar of images with a sub-folder per class, decoded once and then cached."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from raygan.config.data import Folder
from raygan.data.images import ImageSet
from raygan.data.sizes import resize
from raygan.errors import InputError
from raygan.files import cached_array

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_VERSION = 1  # increase it when decoding changes, so that older caches are not used


def load(data: Folder, seed: int) -> ImageSet:
    """Returns the images below `data.root`. The class is the name of the first sub-folder, numbered alphabetically.

    Every byte is read at each load, to identify the content. Each content is decoded once.

    Raises:
        InputError: no images, an empty class, or an image that does not decode; names the file.
    """
    files = sorted(_read_tree(data.root))
    classes = tuple(sorted({_class_of(path, data.root) for path, _ in files}))
    labels = np.array([classes.index(_class_of(path, data.root)) for path, _ in files], np.int64)
    images = cached_array(
        "images",
        f"{_digest(files, data)}.npy",
        lambda: np.stack([_decode(content, data, path) for path, content in files]),
    )
    return ImageSet(images, labels, classes)


def _read_tree(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yields the relative path and the content of every image below `root`."""
    for place in (root, *root.parents):
        if place.is_file() and tarfile.is_tarfile(place):
            return _read_tar(place, PurePosixPath(root.relative_to(place).as_posix()))
    if not root.is_dir():
        raise InputError(f"data.root: {root} is neither a folder nor a path into a tar")
    return _read_folder(root)


def _read_folder(root: Path) -> Iterator[tuple[str, bytes]]:
    paths = [path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not paths:
        raise InputError(f"data.root: {root} holds no images ({', '.join(sorted(SUFFIXES))})")
    used = {path.relative_to(root).parts[0] for path in paths}
    for folder in sorted(root.iterdir()):
        if folder.is_dir() and folder.name not in used and not folder.name.startswith("."):
            raise InputError(f"data.root: class folder {folder} holds no images; remove it or fill it")
    return ((path.relative_to(root).as_posix(), path.read_bytes()) for path in paths)


def _read_tar(archive: Path, inside: PurePosixPath) -> Iterator[tuple[str, bytes]]:
    found = False
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if member.isfile() and path.is_relative_to(inside) and path.suffix.lower() in SUFFIXES:
                    file = tar.extractfile(member)
                    assert file is not None  # a regular file always opens
                    found = True
                    yield path.relative_to(inside).as_posix(), file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"data.root: {archive} is not a whole tar: {error}") from error
    if not found:
        raise InputError(f"data.root: {archive} holds no images below {inside}")


def _class_of(path: str, root: Path) -> str:
    first, *rest = PurePosixPath(path).parts
    return first if rest else root.name  # images straight in the root are one class


def _digest(files: list[tuple[str, bytes]], data: Folder) -> str:
    hasher = hashlib.blake2b(repr((_VERSION, data.size, data.channels)).encode(), digest_size=16)
    for path, content in files:
        hasher.update(f"{path}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()


def _decode(content: bytes, data: Folder, path: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(resize(image.convert("L" if data.channels == 1 else "RGB"), data.size or 32))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{data.root / path}: not a readable image; remove or repair it") from error
    return pixels[None] if data.channels == 1 else pixels.transpose(2, 0, 1)

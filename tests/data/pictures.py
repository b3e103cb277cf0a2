"""Small files of images."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from raygan import load_config
from raygan.data import ImageSet, load_data


def load(root: Path, *words: str) -> ImageSet:
    return load_data(load_config(None, ["data.name=folder", f"data.root={root}", *words]).data, seed=0)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def noise(seed: int, side: int = 16, channels: int = 3) -> Image.Image:
    shape = (side, side, 3) if channels == 3 else (side, side)
    return Image.fromarray(np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8))


def put(root: Path, *names: str, side: int = 16, channels: int = 3) -> None:
    """Write a PNG at each of these paths, each another."""
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(seed, side, channels)))

"""Images as files hold them: encoded bytes to arrays of the file's own depth."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from raygan.errors import InputError

_DTYPES = {"I": "int32", "F": "float32"}
_GREY = {"1", "L", "LA", "La", "I", "F"}
_ORIENTATION = 0x0112  # of EXIF


@dataclass(frozen=True)
class Header:
    """What an image is, known before it is decoded."""

    size: tuple[int, int]
    """Height and width (pixels), before it is turned as its EXIF says."""
    grey: bool
    dtype: str


def header(content: bytes, named: str) -> Header:
    """Returns the header of an encoded image.

    Raises:
        InputError: it is not a readable image; begins with `named`.
    """
    with _opened(content, named) as image:
        wide = _is_16_bit(image)
        dtype = "uint16" if wide else _DTYPES.get(image.mode, "uint8")
        return Header((image.height, image.width), wide or image.mode in _GREY, dtype)


def pixels(content: bytes, named: str) -> np.ndarray:
    """Returns an encoded image as (H, W) if it is grey, else (H, W, 3), turned as its EXIF says; raises as `header`."""
    with _opened(content, named) as image:
        wide, grey = _is_16_bit(image), image.mode in _GREY
        turned = ImageOps.exif_transpose(image) if image.getexif().get(_ORIENTATION, 1) != 1 else image
        if wide:
            return np.asarray(turned).astype(np.uint16)
        if turned.mode in ("L", "RGB", *_DTYPES):
            return np.asarray(turned)
        return np.asarray(turned.convert("L" if grey else "RGB"))


def _is_16_bit(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


@contextmanager
def _opened(content: bytes, named: str) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            yield image
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{named}: not a readable image; remove or repair it") from error

"""Encoded images in a table, before they are decoded."""

import io
import warnings
from typing import Literal

from PIL import Image

from raygan.data.decode import Picture, UnreadableError, is_dicom, read_picture
from raygan.data.depth import Range

_KINDS = {"I": "int32", "F": "float32"}
_GREY = {"1", "L", "LA", "La", "I", "F"}


def header(content: bytes, ground: Literal["black", "white"], name: str) -> Picture:
    """Returns what is known of an encoded image without decoding it: its size, type and whether it is grey.

    The size is that before the image is turned as its EXIF says.

    Raises:
        InputError: it is not a readable image; begins with `name`.
    """
    if is_dicom(content):
        return read_picture(content, ground, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(content))
        except Exception as error:  # damaged bytes make decoders raise anything
            raise UnreadableError(name) from error
    wide = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    kind = "uint16" if wide else _KINDS.get(image.mode, "uint8")
    return Picture(Range(0, 255), kind, wide or image.mode in _GREY, image=image)

"""One picture: the bytes of a file to 8-bit pixels. docs/data.md lists what is done to which format."""

import io
import os
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from raygan.data.depth import Range, range_of_type
from raygan.data.finish import layout_of
from raygan.data.sizes import resize
from raygan.errors import InputError

DICOM_SUFFIX = ".dcm"
DICOM_HEAD = 132
"""Bytes that tell a DICOM file: 128 of anything and the mark."""
EIGHT = Range(0, 255)
_COMMON = ("PNG", "JPEG", "BMP", "GIF", "PPM")  # known to Pillow without loading all its plugins
_NOT_READ = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Pillow tells these but decodes them with other programs, or not at all."""
_SIGNED = 2  # TIFF's SampleFormat
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
_EXIF = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}


class UnreadableError(InputError):
    """The bytes are no image, or a damaged one."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: not a readable image; remove or repair it", code="damaged")


@dataclass(frozen=True)
class Picture:
    """A decoded file, upright and opaque, of its own size and depth. Either `image` or `deep` is set."""

    full: Range
    """The range of the file's type."""
    kind: str
    """The type of a value, such as `uint16`."""
    grey: bool
    image: Image.Image | None = None
    """8 bits, any mode."""
    deep: np.ndarray | None = None
    """(H, W) or (H, W, 3)."""
    more: bool = False
    """Further frames follow in the file."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width (pixels)."""
        if self.image is not None:
            return self.image.height, self.image.width
        assert self.deep is not None
        return self.deep.shape[0], self.deep.shape[1]

    @property
    def values(self) -> np.ndarray:
        """The values as stored, (H, W) or (H, W, 3)."""
        if self.deep is not None:
            return self.deep
        assert self.image is not None
        return np.asarray(self.image.convert("L" if self.grey else "RGB"))

    def pixels(self, side: int, channels: int, found: Range | None, name: str) -> np.ndarray:
        """Returns (channels, side, side) uint8. `found`: the values that become 0 and 255 (None: `full`).

        Raises:
            InputError: a value is outside the range; names the file.
        """
        if self.image is not None and found is None:
            image = self.image
        elif found is not None and self.kind == "uint16" and self.deep is None:
            raise InputError(
                f"{name}: colour of 16 bits is read as 8 bits, with its own range; set data.depth=type", code="layout"
            )
        else:
            image = Image.fromarray((found or self.full).scaled(self.values, name))
        mode = "L" if channels == 1 else "RGB"
        pixels = np.asarray(resize(image if image.mode == mode else image.convert(mode), side))
        return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


@cache
def suffixes() -> frozenset[str]:
    """Returns the suffixes, in small letters, of files that the installed Pillow reads, and DICOM's."""
    extensions = Image.registered_extensions()  # loads the plugins
    return frozenset({suffix for suffix, format in extensions.items() if format in _formats()} | {DICOM_SUFFIX})


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(format for format in Image.OPEN if format not in _NOT_READ)


def is_dicom(content: bytes) -> bool:
    """Whether a file begins as DICOM files do; `DICOM_HEAD` bytes are enough."""
    return content[128:DICOM_HEAD] == b"DICM"


def suffix_of(name: str) -> str:
    """Returns the suffix of a file, with its dot, in small letters."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (pathlib takes seconds for many files)


def read_picture(content: bytes, ground: Literal["black", "white"], name: str) -> Picture:
    """Decode a file, whatever its suffix is. `ground` is the colour below transparent pixels.

    Raises:
        UnreadableError: the bytes are no image, or a damaged one; names the file.
        InputError: the image cannot be used; names the file and what would help.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders warn of what they tolerate
        try:
            if is_dicom(content):
                from raygan.data.dicom import read_dicom

                return read_dicom(content, name)
            return _read(content, ground)
        except InputError:
            raise
        except Exception as error:  # damaged bytes make decoders raise anything
            raise UnreadableError(name) from error


def picture_of(array: np.ndarray, name: str) -> Picture:
    """Returns an array of pixels as a picture.

    Raises:
        InputError: it has another layout than those of `layout_of`; names the picture.
    """
    layout = layout_of(array.shape, array.dtype, name)
    deep = layout.applied(array[None])[0]
    return Picture(range_of_type(array.dtype), str(array.dtype), layout.channels == 1, deep=deep)


def _read(content: bytes, ground: str) -> Picture:
    try:
        opened: Image.Image = Image.open(io.BytesIO(content), formats=_COMMON)
    except UnidentifiedImageError:
        opened = Image.open(io.BytesIO(content), formats=_formats())
    with opened as image:
        how = _raw_mode(image)
        more = bool(getattr(image, "is_animated", False)) if image.format not in ("MPO", "PSD") else False
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            values, full = _deep(image)
            return Picture(full, values.dtype.name, grey=True, deep=values, more=more)
        image.load()
        grey = image.mode in ("1", "L", "LA", "La") or how.startswith("LA") or _palette_is_grey(image)
        # Pillow keeps the upper 8 bits of colour of 16 bits.
        kind = "uint16" if ";16" in how or how.endswith("deep") else "uint8"
        return Picture(EIGHT, kind, grey, image=_opaque(_upright(image), ground), more=more)


def _raw_mode(image: Image.Image) -> str:
    """Returns how a file holds its values, by Pillow's name; `deep` behind it if they are of more than 8 bits."""
    tiles = getattr(image, "tile", [])
    if not tiles:
        return ""
    args = tiles[0][3]
    mode = args if isinstance(args, str) else next((part for part in args or () if isinstance(part, str)), "")
    return f"{mode} deep" if image.format == "PPM" and image.mode == "RGB" and _top_of_ppm(image) > 255 else mode


def _top_of_ppm(image: Image.Image) -> int:
    """Returns the number that a PPM or PGM file says is white."""
    decoder, args = image.tile[0][0], image.tile[0][3]  # type: ignore[attr-defined]
    if decoder == "raw":
        return 65535 if image.mode == "I" else 255
    return int(args[1])


def _deep(image: Image.Image) -> tuple[np.ndarray, Range]:
    """Returns the values of a grey image of more than 8 bits as stored, upright, and the range of its type."""
    top = _top_of_ppm(image) if image.format == "PPM" and image.mode == "I" else None
    tags = dict(getattr(image, "tag_v2", {})) if image.format == "TIFF" else {}
    image.load()
    values = np.asarray(_upright(image))
    if image.mode == "F":
        return values, range_of_type(values.dtype)
    if top is not None:  # Pillow has stretched them to 65,535
        return np.rint(values * (top / 65535)).astype(np.uint16), Range(0, top)
    if image.format == "PNG" or image.mode.startswith("I;16"):
        values = values.astype(np.uint16)
    bits = _first(tags.get(_BITS_PER_SAMPLE))
    kind = _first(tags.get(_SAMPLE_FORMAT)) or 1
    if values.dtype == np.int32 and tags and kind != _SIGNED:
        values = values.view(np.uint32)
    elif values.dtype == np.int32 and tags and bits == 16:
        values = values.astype(np.int16)
    full = range_of_type(values.dtype, bits if values.dtype.kind == "u" else None)
    if tags.get(_PHOTOMETRIC) == 0 and values.dtype.kind == "u":  # white is zero; Pillow turns only 8 bits
        values = (full.high - values).astype(values.dtype)
    return values, full


def _first(value: object) -> int | None:
    if isinstance(value, tuple | list):
        value = value[0] if value else None
    return int(value) if isinstance(value, int) else None


def _upright(image: Image.Image) -> Image.Image:
    if image.format == "TIFF" or not _EXIF.isdisjoint(image.info):
        try:
            return ImageOps.exif_transpose(image)
        except Exception:  # damaged metadata: nothing is known of the orientation
            return image
    return image


def _palette_is_grey(image: Image.Image) -> bool:
    if image.mode not in ("P", "PA"):
        return False
    colours = np.asarray(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _opaque(image: Image.Image, ground: str) -> Image.Image:
    """Returns the image, laid over a ground if it is transparent anywhere."""
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, ground), over).convert("RGB")
    return image

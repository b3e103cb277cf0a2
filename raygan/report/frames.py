"""Pictures of a run by round, small enough to embed in a page."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from raygan.errors import InputError
from raygan.record.folder import RunFolder

MOST_FRAMES = 60
"""Pictures in a page of one run."""
_WIDEST = 520  # CSS pixels
_FILLED = 0.75  # at least; below, integer factors would leave too much space empty
_SHADES = 32  # of a plot

TableRows = list[list[str]]


@dataclass(frozen=True)
class FramePicture:
    """A picture inside a page."""

    source: str
    """The source: a PNG as a data URL."""
    width: int
    """The width to draw it at, if there is space (CSS pixels)."""
    pixelated: bool
    """Whether its pixels are drawn as squares."""


@dataclass(frozen=True)
class Frame:
    """One position of the slider: a round."""

    round: int
    source: str
    cells: TableRows
    """Rows of the table beside the picture."""


@dataclass(frozen=True)
class RunFrames:
    """The pictures and values of one run that the slider shows."""

    name: str
    heads: list[str]
    """Headers of the table beside the picture."""
    frames: list[Frame]
    width: int
    pixelated: bool


def run_frames(
    folder: RunFolder, evaluated: list[int], most: int, name: str, heads: list[str], cells: Callable[[int], TableRows]
) -> RunFrames | None:
    """Returns at most `most` pictures of evaluated rounds, each with the `cells` of its round; None without pictures.

    Raises:
        InputError: a picture is damaged.
    """
    rounds = _drawn_rounds(folder, evaluated, most)
    if not rounds:
        return None
    pictures = [load_frame(folder.picture(round)) for round in rounds]
    frames = [Frame(round, one.source, cells(round)) for round, one in zip(rounds, pictures, strict=True)]
    return RunFrames(name, heads, frames, pictures[-1].width, pictures[-1].pixelated)


def slider(runs: list[RunFrames], shares: Mapping[int, list[float]]) -> dict[str, Any] | None:
    """Returns the data of the template's slider, which stops at every round with a picture; None without pictures.

    `shares` are the class shares of a round for the class chart (%).
    """
    rounds = sorted({frame.round for run in runs for frame in run.frames})
    return {"rounds": rounds, "runs": [asdict(run) for run in runs], "shares": shares} if rounds else None


def _drawn_rounds(folder: RunFolder, evaluated: list[int], most: int) -> list[int]:
    """Returns the evaluated rounds with a picture; of many, the first, the last and `most` - 2 evenly in between."""
    rounds = [round for round in evaluated if folder.picture(round).is_file()]
    if len(rounds) <= most:
        return rounds
    return [rounds[place] for place in np.linspace(0, len(rounds) - 1, most).round().astype(int)]


def load_frame(path: Path) -> FramePicture:
    """Returns a picture for a page. Enlarged grids are reduced to their original size, plots to fewer colours.

    Raises:
        InputError: the picture is damaged.
    """
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a picture that can be read: {error}", code="damaged") from error
    plot = image.mode == "RGBA"  # a plot of points; grids of images have no transparency
    small = image.convert("RGB").quantize(_SHADES) if plot else _as_drawn(image)
    buffer = io.BytesIO()
    small.save(buffer, format="PNG", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    factor = _WIDEST // small.width
    if factor * small.width < _FILLED * _WIDEST:  # grids of many samples fill the same space as those of few
        return FramePicture(source, max(_WIDEST, small.width), factor > 1)
    return FramePicture(source, small.width * factor, small.width < image.width)


def _as_drawn(image: Image.Image) -> Image.Image:
    """Returns a grid without its enlargement by an integer factor."""
    pixels = np.asarray(image)
    largest = gcd(image.width, image.height)
    factor = next(factor for factor in range(largest, 0, -1) if largest % factor == 0 and _is_enlarged(pixels, factor))
    return Image.fromarray(np.ascontiguousarray(pixels[::factor, ::factor]))


def _is_enlarged(pixels: np.ndarray, factor: int) -> bool:
    """Returns whether each square of `factor` by `factor` pixels has one colour."""
    return np.array_equal(pixels[::factor, ::factor].repeat(factor, 0).repeat(factor, 1), pixels)

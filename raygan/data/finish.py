"""Arrays of images, of any kind of numbers and order of axes, to uint8 images of one size."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from raygan.data.depth import Range, Rule, given_range, range_of_set, range_of_type
from raygan.data.sizes import resize_all
from raygan.errors import InputError


@dataclass(frozen=True)
class ArrayLayout:
    """The axes of one image."""

    height: int
    width: int
    channels: int
    axis: int | None
    """The axis of channels, 0 or -1; None: there is none."""

    def applied(self, block: np.ndarray) -> np.ndarray:
        """Returns images (n, ...) as a view of (n, H, W) if they are grey, else of (n, H, W, 3)."""
        if self.axis == 0:
            block = block.transpose(0, 2, 3, 1)
        return block[..., 0] if self.axis is not None and self.channels == 1 else block


def layout_of(shape: tuple[int, ...], dtype: np.dtype, named: str) -> ArrayLayout:
    """Returns the layout of images of this shape each: (H, W), (H, W, C) or (C, H, W), where C is 1 or 3.

    Raises:
        InputError: these are no images, or the layout is ambiguous; begins with `named`.
    """
    first, last = (len(shape) == 3 and shape[axis] in (1, 3) for axis in (0, -1))
    if first and last:
        raise InputError(
            f"{named}: images of {shape} may be (H, W, C) or (C, H, W); leave out an axis of length 1", code="layout"
        )
    if dtype.kind not in "biuf" or 0 in shape or not (len(shape) == 2 or first or last):
        raise InputError(
            f"{named}: its images are {dtype} {shape}; numbers as (H, W), (H, W, 1 or 3) or (1 or 3, H, W) are needed",
            code="layout",
        )
    if first:
        return ArrayLayout(shape[1], shape[2], shape[0], 0)
    return ArrayLayout(shape[0], shape[1], shape[2] if last else 1, -1 if last else None)


def range_for(rule: Rule, dtype: np.dtype, images: Callable[[], Iterable[np.ndarray]], named: str) -> Range:
    """Returns the range of images of one type by `data.depth`; goes through them once only if the rule needs it.

    Raises:
        InputError: all values are equal; begins with `named`.
    """
    if rule == "type":
        return range_of_type(dtype)
    if (found := given_range(rule)) is not None:
        return found
    try:
        return range_of_set(rule, images())
    except InputError as error:
        raise InputError(f"{named}: {error}", code=error.code) from error


def finished(block: np.ndarray, found: Range, channels: int, side: int, named: str) -> np.ndarray:
    """(n, H, W) or (n, H, W, 3) numbers to (n, channels, side, side) uint8.

    Raises:
        InputError: a value is outside of the range; begins with `named`.
    """
    values = found.scaled(block, named)
    if values.ndim == 4 and channels == 1:
        values = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in values])
    images = resize_all(values, side)
    return images if images.shape[1] == channels else np.repeat(images, channels, axis=1)


def refuse_black(images: np.ndarray, rule: Rule, dtypes: Iterable[np.dtype], named: str) -> None:
    """Raise if wide integers by the range of their type have become black: they use few of its bits.

    Raises:
        InputError: begins with `named`.
    """
    wide = [str(dtype) for dtype in dtypes if dtype.kind in "iu" and dtype.itemsize > 1]
    if rule == "type" and wide and images.max(initial=0) <= 1:
        raise InputError(
            f"{named}: holds {' and '.join(sorted(set(wide)))} values that are black on the range of their type; set "
            "data.depth to the number of bits that are used (such as 8), [low, high] or set",
            code="range",
        )

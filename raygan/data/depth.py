"""The depth of images: any numbers to 8 bits, by one rule for a whole data set."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from raygan.errors import InputError

Rule = str | int | tuple[float, float]
"""As the key `data.depth`."""
_LOW, _HIGH = 0.5, 99.5
_SAMPLED = 4096
"""Values of an image that its percentiles are taken of, evenly spread."""
_KEPT = 1 << 24
"""Values of all images, beyond which half as many are taken of each."""


@dataclass(frozen=True)
class Range:
    """The values that become 0 and 255. `clips`: values outside become the nearer of both, else they are an error."""

    low: float
    high: float
    clips: bool = False

    def scaled(self, values: np.ndarray, name: str) -> np.ndarray:
        """Returns values as uint8, 255 (v - low) / (high - low) rounded half up, of the same shape.

        Raises:
            InputError: a value is outside the range or not finite; names the file.
        """
        if not values.size or (values.dtype == np.uint8 and (self.low, self.high) == (0, 255)):
            return values.astype(np.uint8, copy=False)
        least, most = values.min().item(), values.max().item()  # the range may be beyond the type
        if not (np.isfinite(least) and np.isfinite(most)):
            raise InputError(f"{name}: holds values that are not finite; leave the image out", code="not_finite")
        if not self.clips and (least < self.low or most > self.high):
            raise InputError(
                f"{name}: holds values from {least:g} to {most:g}, but data.depth says {self.low:g} to "
                f"{self.high:g}; set data.depth to [low, high], a number of bits, set or percentiles",
                code="range",
            )
        whole = (values.astype(np.float64) - self.low) * 255 / (self.high - self.low)  # exact at halves
        return np.floor(np.clip(whole, 0, 255) + 0.5).astype(np.uint8)


def range_of_type(dtype: np.dtype, bits: int | None = None) -> Range:
    """Returns the range of a type: 0 to 2^bits - 1 for integers (without the sign's bit), 0 to 1 for floats.

    `bits`: those that the file says are used.
    """
    if dtype.kind == "b":
        return Range(0, 1)
    if dtype.kind == "f":
        return Range(0.0, 1.0)
    return Range(0, 2 ** (bits or 8 * dtype.itemsize - (dtype.kind == "i")) - 1)


def given_range(rule: Rule) -> Range | None:
    """Returns the range that a rule names by itself, or None if it depends on the files or the data set."""
    if isinstance(rule, int):
        return Range(0, 2**rule - 1)
    return Range(*rule) if isinstance(rule, tuple) else None


def range_of_set(rule: Rule, images: Iterable[np.ndarray]) -> Range:
    """Returns the range of a data set under `set` or `percentiles`, in one pass over its images.

    `percentiles` takes at most 4,096 values of each image, evenly spread, and 17 million of all.

    Raises:
        InputError: all values are equal.
    """
    samples = (sampled(rule, image) for image in images)
    values = np.concatenate(list(samples) if rule == "set" else _thinned(samples))
    if rule == "set":
        low, high = float(values.min()), float(values.max())
    else:
        low, high = (float(value) for value in np.percentile(values, [_LOW, _HIGH]))
    if not low < high:
        raise InputError(
            f"data.depth: {rule}, but all values of the data set are {low:g}; set [low, high]", code="empty"
        )
    return Range(low, high, clips=rule == "percentiles")


def sampled(rule: Rule, image: np.ndarray) -> np.ndarray:
    """Returns the values of an image that its data set's range depends on. Sampling them again gives the same."""
    flat = image.reshape(-1)
    return np.stack([flat.min(), flat.max()]) if rule == "set" else flat[:: -(-len(flat) // _SAMPLED)].copy()


def _thinned(samples: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Returns the samples; of too many, the same share of each."""
    held, count, step = list[np.ndarray](), 0, 1
    for values in samples:
        held.append(values if step == 1 else values[::step].copy())
        count += len(held[-1])
        if count > _KEPT:
            held, step = [one[::2].copy() for one in held], 2 * step
            count = sum(map(len, held))
    return held


def depth_note(rule: Rule, kinds: Iterable[str], found: Range | None) -> tuple[str, ...]:
    """Returns a line for the user on how images became 8 bits, none if all were. `kinds`: such as `uint16`."""
    kinds = sorted(set(kinds))
    if kinds == ["uint8"] and rule == "type":
        return ()
    span = "the range of each file's type" if found is None else f"{found.low:g} to {found.high:g}"
    return (f"{', '.join(kinds)} values are scaled to 8 bits: {span} becomes 0 to 255 (data.depth={_said(rule)})",)


def _said(rule: Rule) -> str:
    return f"[{rule[0]:g},{rule[1]:g}]" if isinstance(rule, tuple) else str(rule)

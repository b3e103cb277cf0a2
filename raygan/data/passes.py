"""All pictures of a source, decoded: in one pass, if the first ones show the size and colour of all."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from raygan.config.data import Folder, Parquet
from raygan.data.decoding import Pass, PixelPlan, Scan, Task, tasks, work
from raygan.data.depth import depth_note, given_range, range_of_set
from raygan.data.sizes import own_side, resized_note
from raygan.data.sources import Content
from raygan.errors import counted

Reader = Callable[[], Iterator[tuple[str, Content]]]
"""Yields every picture once, at every call."""


@dataclass(frozen=True)
class Decoded:
    """Pictures, and what was seen of them."""

    seen: Scan
    plan: PixelPlan
    order: np.ndarray
    """The places in `seen`, in the order of `images`."""
    images: np.ndarray


def decode_all(
    read: Reader,
    data: Folder | Parquet,
    root: Path | None,
    expected: int | None,
    order_of: Callable[[Scan], np.ndarray],
    key: str,
) -> Decoded:
    """Returns all pictures, of which there is one at least, by `data.size`, `.channels`, `.depth` and `.ground`.

    `root`: see `Task`; `expected`: the number of pictures, if it is known; `order_of`: the order that is wanted.

    Raises:
        InputError: a picture cannot be read or used; one that is not readable among others begins with `key`.
    """
    rule = data.depth if data.depth in ("set", "percentiles") else None
    groups: Iterator[list[tuple[str, Content]]] = tasks(read())
    plan, each_s = None, 0.0
    if rule is None:
        first, began = next(groups, []), time.monotonic()
        plan = _plan(data, work(Task(root, data.ground, None, None, first)))
        each_s = (time.monotonic() - began) / max(1, len(first))
        groups = chain([first], groups)
    only_grey = data.channels is None and plan is not None and plan.channels == 1
    one = Pass(Task(root, data.ground, rule, plan, []), expected, only_grey, each_s)
    one.run(groups)
    one.seen.check(root, key)
    seen, plan = one.seen, _plan(data, one.seen)
    assert plan is not None  # there are pictures
    order = order_of(seen)
    images = one.pixels(order, plan)
    if images is None:
        two = Pass(Task(root, data.ground, None, plan, []), len(seen.names) if expected else None)
        two.run(tasks(read()))
        two.seen.check(root, key)
        order, seen.names, seen.hashes = order_of(two.seen), two.seen.names, two.seen.hashes
        images = two.pixels(order, plan)
        assert images is not None  # by this plan
    return Decoded(seen, plan, order, images)


def notes_on(found: Decoded, data: Folder | Parquet) -> tuple[str, ...]:
    """Returns lines for the user on what decoding did to the pictures."""
    seen = found.seen
    more = f"{counted(seen.more, 'file')} with several frames or pages: the first one is taken"
    mixed = (
        f"{seen.coloured:,} of {len(seen.sizes):,} images have colour, such as {seen.first_coloured}, so all are taken "
        "in colour; data.channels=1 takes all in grey"
    )
    return (
        *depth_note(data.depth, seen.kinds, found.plan.range),
        *resized_note(seen.sizes, found.plan.side),
        *([more] if seen.more else []),
        *([mixed] if data.channels is None and 0 < seen.coloured <= len(seen.sizes) // 2 else []),
    )


def _plan(data: Folder | Parquet, seen: Scan) -> PixelPlan | None:
    """Returns the pixels to make of pictures such as these; None without any."""
    if not seen.sizes:
        return None
    found = range_of_set(data.depth, seen.samples) if seen.samples else given_range(data.depth)
    return PixelPlan(data.size or own_side(seen.sizes), data.channels or (3 if seen.coloured else 1), found)

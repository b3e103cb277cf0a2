"""A pass over many pictures: decoded in this process and, if it takes long, on the other cores."""

import hashlib
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from raygan.data.decode import UnreadableError, picture_of, read_picture
from raygan.data.depth import Range, sampled
from raygan.data.pool import Pool, cores
from raygan.data.sources import Content
from raygan.errors import InputError

_COUNT, _BYTES = 64, 1 << 18
"""A task has at most so many pictures, and no more once it has so many bytes (of those whose bytes are known)."""
_ALONE_S, _MANY, _LONG_S = 0.3, 4000, 1.0
"""Other processes are started once decoding has taken so long (s), because their start takes as long; at once, if so
many pictures are known to come or, where it is known how long the first ones took, all are to take so long (s)."""
_SLAB = 1 << 26
"""Rows are collected in arrays of so many bytes: large ones are given back to the system one by one."""


@dataclass(frozen=True)
class PixelPlan:
    """The pixels that are made of each picture."""

    side: int
    channels: int
    range: Range | None
    """The values that become 0 and 255; None: the range of each file's type."""


@dataclass(frozen=True)
class Task:
    """Pictures that one process decodes at a time."""

    root: Path | None
    """What the names of the pictures are below; None: names are whole."""
    ground: Literal["black", "white"]
    rule: Literal["set", "percentiles"] | None
    """Whether values are sampled for a range of the whole set."""
    plan: PixelPlan | None
    """None: no pixels are made."""
    items: list[tuple[str, Content]]


@dataclass
class Scan:
    """What a pass saw, of all pictures in the order of `names`."""

    names: list[str] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    coloured: int = 0
    """Pictures with colour."""
    first_coloured: str = ""
    """The name of one of them."""
    more: int = 0
    """Pictures with further frames."""
    samples: list[np.ndarray] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unusable: dict[str, InputError] = field(default_factory=dict)
    """The reason, by name."""
    pixels: np.ndarray | None = None
    """Of a task's pictures, (n, channels, side, side)."""

    def add(self, other: "Scan") -> None:
        """Append what was seen of further pictures, without pixels."""
        for key in ("names", "hashes", "sizes", "samples", "unreadable"):
            getattr(self, key).extend(getattr(other, key))
        self.kinds |= other.kinds
        self.coloured += other.coloured
        self.first_coloured = self.first_coloured or other.first_coloured
        self.more += other.more
        self.unusable |= other.unusable

    def check(self, root: Path | None, key: str) -> None:
        """Raises:
        InputError: there are pictures that cannot be read or used; names the first ones, and `key` if several cannot
            be read.
        """
        if len(self.unreadable) == 1:
            raise UnreadableError(_whole(root, self.unreadable[0]))
        if self.unreadable:
            first = ", ".join(_whole(root, name).removeprefix(f"{key}: ") for name in sorted(self.unreadable)[:5])
            raise InputError(
                f"{key}: {len(self.unreadable):,} files are not readable images; remove or repair them: {first}"
                f"{', ...' if len(self.unreadable) > 5 else ''}",
                code="damaged",
            )
        if self.unusable:
            others = len(self.unusable) - 1
            more = f" (and {others:,} more {'file' if others == 1 else 'files'} like it)" if others else ""
            first_reason = self.unusable[min(self.unusable)]
            raise InputError(f"{first_reason}{more}", code=first_reason.code)


def _whole(root: Path | None, name: str) -> str:
    return name if root is None else f"{root}/{name}"


def work(task: Task) -> Scan:
    """Decode the pictures of a task."""
    seen, plan, ground = Scan(), task.plan, task.ground
    if plan is not None:
        seen.pixels = np.zeros((len(task.items), plan.channels, plan.side, plan.side), np.uint8)
    for row, (name, content) in enumerate(task.items):
        seen.names.append(name)
        full_name = _whole(task.root, name)
        try:
            content = _read(content, full_name)
            if isinstance(content, np.ndarray):
                stored, picture = content.tobytes(), picture_of(content, full_name)
            else:
                stored, picture = content, read_picture(content, ground, full_name)
            seen.hashes.append(hashlib.blake2b(stored, digest_size=16).digest())
            seen.sizes.append(picture.size)
            seen.kinds.add(picture.kind)
            if not picture.grey:
                seen.coloured, seen.first_coloured = seen.coloured + 1, seen.first_coloured or name
            seen.more += picture.more
            if task.rule is not None:
                seen.samples.append(sampled(task.rule, picture.values))
            if plan is not None and seen.pixels is not None:
                seen.pixels[row] = picture.pixels(plan.side, plan.channels, plan.range, full_name)
        except UnreadableError:
            seen.unreadable.append(name)
        except InputError as error:
            seen.unusable[name] = error.with_traceback(None)
    return seen


def _read(content: Content, name: str) -> bytes | np.ndarray:
    if not isinstance(content, str):
        return content
    try:
        with open(content, "rb", buffering=0) as file:  # noqa: PTH123
            return file.read()
    except OSError as error:
        raise UnreadableError(name) from error


class PixelRows:
    """Pixels of pictures, in the order in which they are decoded; at no time twice as many as there are."""

    def __init__(self, plan: PixelPlan, expected: int | None) -> None:
        self._shape = (plan.channels, plan.side, plan.side)
        self._slab = expected or max(1, _SLAB // int(np.prod(self._shape)))
        self._whole = expected is not None
        self._slabs: list[np.ndarray] = []

    def put(self, start: int, rows: np.ndarray) -> None:
        """Store rows from a place on."""
        while rows.size:
            number, at = divmod(start, self._slab)
            while number >= len(self._slabs):
                self._slabs.append(np.empty((self._slab, *self._shape), np.uint8))
            fits = min(len(rows), self._slab - at)
            self._slabs[number][at : at + fits] = rows[:fits]
            rows, start = rows[fits:], start + fits

    def take(self, order: np.ndarray) -> np.ndarray:
        """Returns the rows in another order, each once, and forgets them."""
        if self._whole and np.array_equal(order, np.arange(self._slab)):
            return self._slabs.pop()
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        taken = np.empty((len(order), *self._shape), np.uint8)
        for number, _ in enumerate(self._slabs):
            here = places[number * self._slab : (number + 1) * self._slab]
            taken[here] = self._slabs[number][: len(here)]
            self._slabs[number] = np.empty(0)
        return taken


def tasks(items: Iterator[tuple[str, Content]]) -> Iterator[list[tuple[str, Content]]]:
    """Yields the pictures in groups that one process decodes at a time."""
    group: list[tuple[str, Content]] = []
    size = 0
    for item in items:
        group.append(item)
        size += _size(item[1])
        if len(group) == _COUNT or size >= _BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _size(content: Content) -> int:
    if isinstance(content, np.ndarray):
        return content.nbytes
    return len(content) if isinstance(content, bytes) else 0


class Pass:
    """One pass: give it groups of pictures, then take what was seen and the pixels."""

    def __init__(self, like: Task, expected: int | None, only_grey: bool = False, each_s: float = 0.0) -> None:
        """Prepare it. `like`: a task without pictures; `expected`: the number of pictures, if it is known;
        `only_grey`: no more pixels are made once a picture has colour; `each_s`: how long the first ones took each."""
        self.seen = Scan()
        self._like, self._plan, self._only_grey = like, like.plan, only_grey
        self._rows = PixelRows(like.plan, expected) if like.plan is not None else None
        self._groups: dict[int, Scan] = {}
        self._given = 0
        at_once = expected is not None and (expected * each_s >= _LONG_S if each_s else expected >= _MANY)
        self._alone_s = 0.0 if at_once else _ALONE_S
        """The time of decoding (s) that is left before other processes are started."""

    def run(self, groups: Iterator[list[tuple[str, Content]]]) -> None:
        """Decode all groups."""
        with ExitStack() as ending:
            pool: Pool | None = None
            for group in groups:
                if pool is None and cores() > 1 and self._alone_s <= 0:
                    self._alone_s = math.inf
                    with suppress(OSError):  # no processes or no memory left for them: this one does it all
                        pool = ending.enter_context(Pool(cores() - 1))
                task = Task(self._like.root, self._like.ground, self._like.rule, self._plan, group)
                start, self._given = self._given, self._given + len(group)
                if pool is None or not pool.give(start, task):
                    began = time.monotonic()
                    self._accept(start, work(task))
                    self._alone_s -= time.monotonic() - began
                for done in pool.ready() if pool is not None else ():
                    self._accept(*done)
            for done in pool.rest() if pool is not None else ():
                self._accept(*done)
        for start in sorted(self._groups):
            self.seen.add(self._groups.pop(start))

    def pixels(self, order: np.ndarray, plan: PixelPlan) -> np.ndarray | None:
        """Returns the pixels in an order of pictures, once; None if they were made by another plan."""
        rows, self._rows = self._rows, None
        return rows.take(order) if rows is not None and self._plan == plan else None

    def _accept(self, start: int, seen: Scan) -> None:
        pixels, seen.pixels = seen.pixels, None
        self._groups[start] = seen
        if self._only_grey and seen.coloured:
            self._plan = self._rows = None
        if pixels is not None and self._rows is not None:
            self._rows.put(start, pixels)

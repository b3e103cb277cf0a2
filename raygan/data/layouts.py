"""Classes and holders of pictures, from the folders that they are in or from a file of labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from raygan.data.labels import classes_of
from raygan.data.sources import LABELS_FILE, Extras
from raygan.errors import InputError
from raygan.files import load_json

FolderLayout = Literal["class", "holder/class", "class/holder", "holder"]
SPLITS = ("train", "training", "val", "valid", "validation", "dev", "eval", "evaluation", "test", "testing")
"""Names of folders that divide a data set, the best to train with first; none is a class where two of them are."""


@dataclass(frozen=True)
class Assigned:
    """The class and perhaps the holder of each picture, as in `raygan.data.ImageSet`."""

    labels: np.ndarray
    classes: tuple[str, ...]
    holders: np.ndarray | None = None
    holder_names: tuple[str, ...] = ()


def assigned(names: Sequence[str], found: Extras, layout: FolderLayout, root: Path) -> Assigned:
    """Returns the class and the holder of pictures with these paths below the root.

    Raises:
        InputError: the folders do not have that layout, a folder is empty, or they are splits; names the folder or
            file and what would be right.
    """
    given = _labels_of(found, root) if layout in ("class", "holder") else None
    parts = [name.split("/") for name in names]
    if given is None or layout == "holder":
        _check_folders({part[0] for part in parts if len(part) > 1}, found, root)
    if layout == "class":
        if given is not None:
            return Assigned(*_given(names, given, root))
        return Assigned(*_numbered(_classes(parts, root)))
    levels = layout.split("/")
    for name, part in zip(names, parts, strict=True):
        if len(part) <= len(levels):
            shown = "/".join(level.upper() for level in levels)
            raise InputError(
                f"data.layout: {layout} needs images in {root}/{shown}/..., but there is {root / name}; move it, or "
                "set another layout",
                code="layout",
            )
    holders, holder_names = _numbered([part[levels.index("holder")] for part in parts])
    if given is not None:
        return Assigned(*_given(names, given, root), holders, holder_names)
    labels, classes = _numbered([part[levels.index("class")] if "class" in levels else root.name for part in parts])
    return Assigned(labels, classes, holders, holder_names)


def _classes(parts: list[list[str]], root: Path) -> list[str]:
    """Returns the first folders, or the root's name if there are none."""
    loose = [part[0] for part in parts if len(part) == 1]
    if loose and len(loose) < len(parts):
        raise InputError(
            f"data.root: {root / loose[0]} is an image beside the class folders; move it into one of them, or away",
            code="layout",
        )
    return [root.name] * len(parts) if loose else [part[0] for part in parts]


def _check_folders(used: set[str], found: Extras, root: Path) -> None:
    for name in sorted(found.folders - used):
        raise InputError(f"data.root: class folder {root / name} holds no images; remove it or fill it", code="empty")
    splits = sorted((name for name in used if name.lower() in SPLITS), key=lambda name: SPLITS.index(name.lower()))
    if len(splits) > 1 or (splits and len(used) == 1):
        are = "are parts of a data set, not classes" if len(splits) > 1 else "is a part of a data set, not a class"
        raise InputError(
            f"data.root: in {root}, {' and '.join(splits)} {are}; set data.root={root / splits[0]}", code="conflict"
        )


def nested_note(names: Sequence[str], classes: Sequence[str], layout: FolderLayout, root: Path) -> tuple[str, ...]:
    """Returns a line for the user if all pictures are in one folder's sub-folders, which may be meant as classes."""
    if layout != "class" or len(classes) > 1 or not all(name.count("/") > 1 for name in names):
        return ()
    top = root / names[0].split("/")[0]
    return (f"all images are of one class, {classes[0]}; data.root={top} makes its sub-folders classes",)


def _numbered(values: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    names = sorted(set(values))
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[value] for value in values], np.int64), tuple(names)


def _labels_of(found: Extras, root: Path) -> dict[str, object] | None:
    """Returns the labels of a StyleGAN data set by path, all 0 without labels; None: there is no such file."""
    if found.labels is None:
        return None
    wrong = f"data.root: {root / LABELS_FILE} "
    try:
        content = load_json(found.labels)
    except ValueError as error:
        raise InputError(
            f"{wrong}is not JSON: {error}; repair it, or remove it to take folders as classes", code="damaged"
        ) from error
    if not isinstance(content, dict) or "labels" not in content:
        return None
    pairs = content["labels"]
    if pairs is None:
        return {}
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and type(pair[1]) is int
        for pair in pairs
    ):
        raise InputError(f'{wrong}must have "labels": [[path, whole number], ...] or null', code="layout")
    return dict(pairs)


def _given(names: Sequence[str], labels: dict[str, object], root: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    if not labels:
        return np.zeros(len(names), np.int64), (root.name,)
    if missing := [name for name in names if name not in labels]:
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise InputError(f"data.root: {root / LABELS_FILE} has no label of {missing[0]}{more}; add it", code="missing")
    return classes_of(np.array([labels[name] for name in names]), f"data.root: the labels in {root / LABELS_FILE}")

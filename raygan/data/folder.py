"""Image folders: a tree, a tar or a zip of images, decoded once and then cached."""

import hashlib
import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from raygan.config.data import Folder
from raygan.data.archives import archive_of
from raygan.data.decoding import Scan
from raygan.data.images import ImageSet
from raygan.data.layouts import assigned, nested_note
from raygan.data.passes import decode_all, notes_on
from raygan.data.sources import Extras, FolderTree, Source
from raygan.errors import InputError, counted
from raygan.files import cache_folder, keep_array, keep_in_cache, kept_array, load_json

_VERSION = 2  # increase it when decoding changes, so that older caches are not used


@dataclass(frozen=True)
class _Known:
    """What is kept of a reading, beside the pixels."""

    digest: str
    """Of the content of all files, and of the keys that change their pixels; names the array in the cache."""
    names: list[str]
    found: Extras
    notes: tuple[str, ...]


def load(data: Folder, seed: int) -> ImageSet:
    """Returns the images below `data.root`, in the order of their paths.

    Files are read if one of their paths, sizes or times has changed since the last load, and decoded at the same time.

    Raises:
        InputError: no images, images that do not decode, a damaged archive, or folders that do not have the layout;
            names the file or folder.
    """
    source: Source | None = FolderTree(data.root) if data.root.is_dir() else archive_of(data.root)
    if source is None:
        raise InputError(
            f"data.root: {data.root} is neither a folder nor a path to or into a tar or zip", code="missing"
        )
    if source.names is not None:
        assigned(source.names, source.found, data.layout, data.root)  # before the time that decoding takes
    place = source.key()
    name = None if place is None else f"{_hashed(_settings(data), place)}.json"
    known, images = _kept(name)
    if known is None or images is None:
        known, images = _read(source, data)
        keep_array("images", f"{known.digest}.npy", images)
        if name is not None:
            _keep(name, known)
    who = assigned(known.names, known.found, data.layout, data.root)
    notes = (*known.notes, *nested_note(known.names, who.classes, data.layout, data.root))
    return ImageSet(images, who.labels, who.classes, who.holders, who.holder_names, notes)


def _settings(data: Folder) -> str:
    """Returns the keys that pixels depend on."""
    return repr((_VERSION, data.size, data.channels, data.depth, data.ground))


def _read(source: Source, data: Folder) -> tuple[_Known, np.ndarray]:
    """Read and decode everything."""
    expected = None if source.names is None else len(source.names)
    found = decode_all(source.read, data, data.root, expected, _order, "data.root")
    seen = found.seen
    names = [seen.names[index] for index in found.order]
    content = (f"{seen.names[index]}\0{seen.hashes[index].hex()}" for index in found.order)
    digest = _hashed(_settings(data), *content)
    notes = (*_passed_note(source.found.passed), *notes_on(found, data))
    return _Known(digest, names, source.found, notes), found.images


def _order(seen: Scan) -> np.ndarray:
    return np.array(sorted(range(len(seen.names)), key=seen.names.__getitem__), np.int64)


def _passed_note(passed: Counter[str]) -> tuple[str, ...]:
    if not passed:
        return ()
    kinds = ", ".join(f"{suffix} {count:,}" for suffix, count in sorted(passed.items(), key=lambda one: (-one[1], one)))
    return (f"{counted(passed.total(), 'file')} passed over, no images: {kinds}",)


def _hashed(*texts: str) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for text in texts:
        hasher.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return hasher.hexdigest()


def _kept(name: str | None) -> tuple[_Known | None, np.ndarray | None]:
    """Returns what an earlier load has kept, if it is whole."""
    if name is None:
        return None, None
    with suppress(InputError, OSError, ValueError, KeyError, TypeError, AttributeError):
        kept = load_json((cache_folder("images") / name).read_bytes())
        labels = kept["labels"]
        found = Extras(set(kept["folders"]), Counter(kept["passed"]), None if labels is None else labels.encode())
        known = _Known(kept["digest"], kept["names"], found, tuple(kept["notes"]))
        images = kept_array("images", f"{known.digest}.npy")
        if images is not None and images.ndim == 4 and images.dtype == np.uint8 and len(images) == len(known.names):
            return known, images
    return None, None


def _keep(name: str, known: _Known) -> None:
    found = known.found
    labels = None if found.labels is None else found.labels.decode("utf-8", "replace")
    kept = {
        "digest": known.digest,
        "names": known.names,
        "folders": sorted(found.folders),
        "passed": found.passed,
        "labels": labels,
        "notes": known.notes,
    }
    keep_in_cache("images", name, lambda aside: aside.write_text(json.dumps(kept), encoding="utf-8"))

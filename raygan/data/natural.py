"""The natural partition: each device holds the samples of one holder, or of several."""

from dataclasses import replace
from heapq import heapify, heapreplace

import numpy as np

from raygan.config.load import check_config
from raygan.config.partitions import Natural
from raygan.config.tree import Config
from raygan.data.images import ImageSet
from raygan.data.shards import Shards
from raygan.errors import InputError, counted

_NAMED = 3


def with_enough(images: ImageSet, partition: Natural) -> ImageSet:
    """Returns the samples of the holders with at least `partition.min_samples`, and a line on the others.

    Raises:
        InputError: the data does not say who holds a sample, or no holder has enough.
    """
    if images.holders is None:
        raise InputError(
            "data.partition.name: natural needs data that says who holds each sample: data.name=folder with "
            "data.layout=holder/class, class/holder or holder; npz or parquet with data.holders=NAME; celeba",
            code="missing",
        )
    sizes = np.bincount(images.holders, minlength=len(images.holder_names))
    enough = sizes >= partition.min_samples
    if not enough.any():
        raise InputError(
            f"data.partition.min_samples: {partition.min_samples}, but the largest of {len(sizes)} holders has "
            f"{counted(int(sizes.max()), 'sample')}",
            code="few",
        )
    if enough.all():
        return images
    names = tuple(name for name, kept in zip(images.holder_names, enough, strict=True) if kept)
    left_out = [name for name, kept, size in zip(images.holder_names, enough, sizes, strict=True) if size and not kept]
    taken = images.take(np.flatnonzero(enough[images.holders]))
    renumbered = (np.cumsum(enough) - 1)[taken.holders]
    more = f" and {len(left_out) - _NAMED:,} more" if len(left_out) > _NAMED else ""
    note = (
        f"{counted(len(left_out), 'holder')} with fewer than data.partition.min_samples={partition.min_samples} "
        f"samples left out, with {counted(len(images) - len(taken), 'sample')}: {', '.join(left_out[:_NAMED])}{more}"
    )
    notes = (*images.notes, note) if left_out else images.notes
    return replace(taken, holders=renumbered, holder_names=names, notes=notes)


def settled(config: Config, images: ImageSet) -> Config:
    """Returns the config with as many devices as its data has holders, if the number is left open (`devices=0`).

    Raises:
        InputError: a key does not fit that number of devices.
    """
    if config.devices:
        return config
    return check_config(config.model_dump(mode="json") | {"devices": len(images.holder_names)})


def natural(
    labels: np.ndarray, devices: int, partition: Natural, random: np.random.Generator, holders: np.ndarray
) -> Shards:
    """Give each device the samples of one holder, in the holders' order; fewer devices take several, evenly.

    Holders go to devices from the largest on, each to the device that has the fewest samples so far.

    Raises:
        InputError: there are more devices than holders.
    """
    sizes = np.bincount(holders)
    if devices > len(sizes):
        raise InputError(
            f"devices: {devices}, but the data has {counted(len(sizes), 'holder')}; at most that many fit", code="few"
        )
    return Shards.of_holders(devices_of(sizes, devices)[holders], devices)


def devices_of(sizes: np.ndarray, devices: int) -> np.ndarray:
    """Returns the device of each holder, (holders,) int64, for holders with so many samples."""
    if devices == len(sizes):
        return np.arange(devices)
    of_holder = np.empty(len(sizes), np.int64)
    filled = [(0, device) for device in range(devices)]
    heapify(filled)
    for holder in np.argsort(-sizes, kind="stable"):
        samples, device = filled[0]
        of_holder[holder] = device
        heapreplace(filled, (samples + int(sizes[holder]), device))
    return of_holder


def device_names(images: ImageSet, shards: Shards, listed: int) -> list[str]:
    """Returns the names of the holders of the first `listed` devices."""
    names = []
    assert images.holders is not None  # with a natural partition
    for device in range(min(len(shards), listed)):
        held = [images.holder_names[holder] for holder in np.unique(images.holders[shards[device]])]
        more = f" and {len(held) - _NAMED:,} more" if len(held) > _NAMED else ""
        names.append(", ".join(held[:_NAMED]) + more)
    return names

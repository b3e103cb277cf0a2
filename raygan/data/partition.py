"""How samples are dealt over devices: every sample on exactly one device, no device empty.

A partition is a function of (labels, devices, its config section, random stream) to one index array per
device. `split` checks what comes back, so a user's own partition is held to the same rules.
"""

from collections.abc import Callable

import numpy as np

from raygan.components import PARTITIONS, resolve
from raygan.config.data import Classes, Dirichlet, Iid, Partition, Quantity
from raygan.errors import InputError
from raygan.rng import Role, stream

Shards = list[np.ndarray]
_DRAWS = 100  # Dirichlet draws before giving up on a split without an empty device


def split(labels: np.ndarray, devices: int, partition: Partition, seed: int) -> Shards:
    """Deal len(labels) samples over `devices`; sorted index arrays, one per device.

    Raises:
        InputError: the samples or classes do not go round; says how many devices fit.
    """
    if devices > len(labels):
        raise InputError(f"devices: {devices} devices for {len(labels)} samples; at most {len(labels)} fit")
    deal = resolve(PARTITIONS, partition.name, "data.partition.name")
    shards = [np.sort(shard) for shard in deal(labels, devices, partition, stream(seed, Role.PARTITION))]
    dealt = np.concatenate(shards)
    if len(shards) != devices or not np.array_equal(np.sort(dealt), np.arange(len(labels))):
        raise InputError(f"data.partition.name: {partition.name} did not put every sample on exactly one device")
    if empty := [device for device, shard in enumerate(shards) if len(shard) == 0]:
        raise InputError(
            f"data.partition: {partition.name} leaves {len(empty)} of {devices} devices empty; "
            f"at most {devices - len(empty)} devices fit"
        )
    return shards


def iid(labels: np.ndarray, devices: int, partition: Iid, random: np.random.Generator) -> Shards:
    """Shuffle and deal."""
    return np.array_split(random.permutation(len(labels)), devices)


def dirichlet(labels: np.ndarray, devices: int, partition: Dirichlet, random: np.random.Generator) -> Shards:
    """Per class, proportions over devices from Dirichlet(alpha) (after Hsu et al. 2019, arXiv 1909.06335).

    Drawn again until no device is empty, as is usual in public implementations.
    """
    members = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]

    def draw() -> Shards:
        pieces = [_cut(member, random.dirichlet(np.full(devices, partition.alpha))) for member in members]
        return [np.concatenate(piece) for piece in zip(*pieces, strict=True)]

    return _until_none_empty(draw, devices)


def quantity(labels: np.ndarray, devices: int, partition: Quantity, random: np.random.Generator) -> Shards:
    """Shards of sizes drawn from Dirichlet(alpha), blind to class; drawn again until no device is empty."""
    order = random.permutation(len(labels))
    return _until_none_empty(lambda: _cut(order, random.dirichlet(np.full(devices, partition.alpha))), devices)


def classes(labels: np.ndarray, devices: int, partition: Classes, random: np.random.Generator) -> Shards:
    """`per_device` classes on each device, dealt round robin; holders of a class share it equally.

    FedGAN's split for (5 devices, 2 of 10 classes): device i holds classes 2i and 2i+1.
    """
    present = np.unique(labels)
    places = devices * partition.per_device
    if partition.per_device > len(present):
        raise InputError(f"data.partition.per_device: {partition.per_device}, but the data has {len(present)} classes")
    if places < len(present):
        raise InputError(
            f"devices: {devices} devices x {partition.per_device} classes cannot hold {len(present)} classes; "
            f"at least {-(-len(present) // partition.per_device)} devices fit"
        )
    holders: list[list[int]] = [[] for _ in present]
    for place in range(places):
        holders[place % len(present)].append(place // partition.per_device)
    pieces: list[list[np.ndarray]] = [[] for _ in range(devices)]
    for label, held_by in zip(present, holders, strict=True):
        members = random.permutation(np.flatnonzero(labels == label))
        if len(members) < len(held_by):
            raise InputError(
                f"devices: class {label} has {len(members)} samples for {len(held_by)} devices; "
                f"at most {len(members) * len(present) // partition.per_device} devices fit"
            )
        for device, piece in zip(held_by, np.array_split(members, len(held_by)), strict=True):
            pieces[device].append(piece)
    return [np.concatenate(piece) for piece in pieces]


def _cut(order: np.ndarray, proportions: np.ndarray) -> Shards:
    ends = np.rint(np.cumsum(proportions) * len(order)).astype(np.int64)
    return np.split(order, ends[:-1])


def _until_none_empty(draw: Callable[[], Shards], devices: int) -> Shards:
    most = 0
    for _ in range(_DRAWS):
        shards = draw()
        filled = sum(len(shard) > 0 for shard in shards)
        if filled == devices:
            return shards
        most = max(most, filled)
    raise InputError(
        f"devices: each of {_DRAWS} draws left some of {devices} devices empty; "
        f"at most {most} devices fit this data.partition.alpha and data, or use a larger alpha"
    )

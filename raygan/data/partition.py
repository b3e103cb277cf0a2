"""Partitions of samples over devices: every sample is on exactly one device, and no device is empty.

A partition is a function of (labels, devices, its config section, random stream) that returns one index array per
device: a list, or `Shards`. If it has a fifth parameter `holders`, it is given who holds each sample. `split` checks
the result, so the same rules hold for custom partitions.
"""

from inspect import signature

import numpy as np

from raygan.components import PARTITIONS, resolve
from raygan.config.partitions import Classes, Dirichlet, DirichletEqual, Iid, Partition, Quantity
from raygan.config.tree import Config
from raygan.data.images import ImageSet
from raygan.data.shards import Shards
from raygan.errors import InputError, counted, naming
from raygan.rng import Role, stream

_DRAWS = 100  # Dirichlet draws before giving up on a split without an empty device


def dealt(images: ImageSet, config: Config) -> Shards:
    """Returns the samples that each device trains on; raises as `split`."""
    return parted(images, config)[0]


def parted(images: ImageSet, config: Config) -> tuple[Shards, Shards]:
    """Partition the samples over the devices of a config; returns what each trains on, and what it holds out.

    Raises:
        InputError: as `split`.
    """
    shards = split(images.labels, config.devices, config.data.partition, config.seed, images.holders)
    holders = np.repeat(np.arange(len(shards)), shards.sizes)
    if not config.data.held_out:
        return shards, shards.chosen(np.zeros(len(holders), bool))
    drawn = stream(config.seed, Role.HELD_OUT).random(len(holders))
    rank = np.empty(len(holders), np.int64)
    rank[np.lexsort((drawn, holders))] = np.arange(len(holders))
    held = rank - shards.offsets[holders] < np.floor(config.data.held_out * shards.sizes)[holders]
    return shards.chosen(~held), shards.chosen(held)


def split(
    labels: np.ndarray, devices: int, partition: Partition, seed: int, holders: np.ndarray | None = None
) -> Shards:
    """Partition len(labels) samples over `devices`. `holders` is who holds each sample, if the data says so.

    Raises:
        InputError: there are too few samples or classes; says how many devices fit.
    """
    if devices > len(labels):
        raise InputError(
            f"devices: {counted(devices, 'device')} for {counted(len(labels), 'sample')}; at most {len(labels)} fit",
            code="few",
        )
    deal = resolve(PARTITIONS, partition.name, "data.partition.name")
    with naming("data.partition.name", partition.name):
        seen = {"holders": holders} if "holders" in signature(deal).parameters else {}
        parts = deal(labels, devices, partition, stream(seed, Role.PARTITION), **seen)
    shards = parts if isinstance(parts, Shards) else _of_arrays(parts, devices, partition.name)
    if len(shards) != devices or not np.array_equal(np.sort(shards.indices), np.arange(len(labels))):
        raise InputError(
            f"data.partition.name: {partition.name} did not put every sample on exactly one device", code="result"
        )
    if empty := int(np.count_nonzero(shards.sizes == 0)):
        raise InputError(
            f"data.partition: {partition.name} leaves {empty} of {devices} devices empty; "
            f"at most {devices - empty} devices fit",
            code="few",
        )
    return shards


def _of_arrays(parts: object, devices: int, name: str) -> Shards:
    """Returns the checked result of a custom partition."""
    arrays = list(parts) if isinstance(parts, list | tuple) else []
    if len(arrays) == devices and all(
        isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind in "iu" for array in arrays
    ):
        return Shards.of_arrays(arrays)
    got = [f"{one.dtype} {one.shape}" if isinstance(one, np.ndarray) else type(one).__name__ for one in arrays[:3]]
    raise InputError(
        f"data.partition.name: {name} returned a {type(parts).__name__} of {len(arrays)} ({', '.join(got)}, ...); a "
        f"list of {devices} arrays of integers, one for each device, is needed",
        code="result",
    )


def iid(labels: np.ndarray, devices: int, partition: Iid, random: np.random.Generator) -> Shards:
    """Shuffle the samples and deal them out equally."""
    holders = np.empty(len(labels), np.int64)
    holders[random.permutation(len(labels))] = _in_equal_shares(np.arange(devices), len(labels))
    return Shards.of_holders(holders, devices)


def dirichlet(labels: np.ndarray, devices: int, partition: Dirichlet, random: np.random.Generator) -> Shards:
    """Per class, proportions over devices from Dirichlet(alpha) (Yurochkin et al., arXiv 1905.12022, section 4).

    Proportions are redrawn until every device has `min_samples`, as is usual in public implementations.
    """
    members = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    return _until_all_have_enough(members, devices, partition, random)


def dirichlet_equal(labels: np.ndarray, devices: int, partition: DirichletEqual, random: np.random.Generator) -> Shards:
    """Per device, proportions over classes from Dirichlet(alpha p) (Hsu, Qi, Brown, arXiv 1909.06335, section 3).

    p are the shares of the classes. Devices are filled one after another, to sizes that differ by at most one. The
    class of each sample is drawn by the device's proportions, and the sample without replacement. A class that has run
    out is left out and the rest renormalised. A device whose classes have all run out is filled from what is left of
    all classes (ours).
    """
    members = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    left = np.array([len(of_class) for of_class in members])
    prior = left / len(labels)
    holders = np.empty(len(labels), np.int64)
    for device, size in enumerate(np.bincount(_in_equal_shares(np.arange(devices), len(labels)))):
        wanted = random.dirichlet(partition.alpha * prior)
        missing = size
        while missing:
            weights = np.where(left > 0, wanted, 0.0)
            weights = weights if weights.sum() > 0 else left.astype(float)
            # Draw all missing samples at once; if a class runs out, redraw the rest, as drawing one by one would do.
            taken = np.minimum(random.multinomial(missing, weights / weights.sum()), left)
            for of_class, start, count in zip(members, left, taken, strict=True):
                holders[of_class[start - count : start]] = device
            left = left - taken
            missing -= int(taken.sum())
    return Shards.of_holders(holders, devices)


def quantity(labels: np.ndarray, devices: int, partition: Quantity, random: np.random.Generator) -> Shards:
    """Shards with sizes drawn from Dirichlet(alpha), independent of class; redrawn until all have `min_samples`."""
    return _until_all_have_enough([random.permutation(len(labels))], devices, partition, random)


def classes(labels: np.ndarray, devices: int, partition: Classes, random: np.random.Generator) -> Shards:
    """`per_device` classes on each device, dealt round robin; holders of a class share it equally.

    FedGAN's split for (5 devices, 2 of 10 classes): device i holds classes 2i and 2i+1.
    """
    present = np.unique(labels)
    places = devices * partition.per_device
    if partition.per_device > len(present):
        raise InputError(
            f"data.partition.per_device: {partition.per_device}, but the data has {len(present)} classes", code="value"
        )
    if places < len(present):
        raise InputError(
            f"devices: {devices} devices x {partition.per_device} classes cannot hold {len(present)} classes; "
            f"at least {-(-len(present) // partition.per_device)} devices fit",
            code="few",
        )
    holders = np.empty(len(labels), np.int64)
    for turn, label in enumerate(present):
        held_by = np.arange(turn, places, len(present)) // partition.per_device
        members = random.permutation(np.flatnonzero(labels == label))
        if len(members) < len(held_by):
            raise InputError(
                f"devices: class number {label} has {counted(len(members), 'sample')} for {len(held_by)} devices; "
                f"at most {len(members) * len(present) // partition.per_device} devices fit",
                code="few",
            )
        holders[members] = _in_equal_shares(held_by, len(members))
    return Shards.of_holders(holders, devices)


def _in_equal_shares(devices: np.ndarray, samples: int) -> np.ndarray:
    """Returns (samples,) devices in equal numbers; the first ones once more if the division leaves a remainder."""
    each, rest = divmod(samples, len(devices))
    return np.repeat(devices, each + (np.arange(len(devices)) < rest))


def _until_all_have_enough(
    groups: list[np.ndarray], devices: int, partition: Dirichlet | Quantity, random: np.random.Generator
) -> Shards:
    """Cut each group of samples over the devices by its own proportions; redraw all until every device has enough."""
    least, most = partition.min_samples, 0
    for _ in range(_DRAWS):
        shares = [_cut(len(group), random.dirichlet(np.full(devices, partition.alpha))) for group in groups]
        enough = int(np.count_nonzero(np.sum(shares, axis=0) >= least))
        if enough == devices:
            holders = np.empty(sum(map(len, groups)), np.int64)
            for group, sizes in zip(groups, shares, strict=True):
                holders[group] = np.repeat(np.arange(devices), sizes)
            return Shards.of_holders(holders, devices)
        most = max(most, enough)
    short = "empty" if least == 1 else f"with fewer than data.partition.min_samples={least} samples"
    raise InputError(
        f"devices: each of {_DRAWS} draws left some of {devices} devices {short}; "
        f"at most {most} devices fit this data.partition.alpha and data, or use a larger alpha",
        code="few",
    )


def _cut(samples: int, proportions: np.ndarray) -> np.ndarray:
    """Returns integer sizes in these proportions that add up to `samples`."""
    ends = np.rint(np.cumsum(proportions) * samples).astype(np.int64)
    ends[-1] = samples
    return np.diff(ends, prepend=0)

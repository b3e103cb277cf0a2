"""The capacity of a node: how often a request fits beside others, GPU by GPU. Independent of Ray."""

import math
from collections.abc import Sequence

from raygan.cluster.resources import Resources

_MANY = 10**9
"""The count of a request for nothing, which always fits."""


def fits(room: Resources, request: Resources, beside: Sequence[Resources] = ()) -> int:
    """Returns how often a request fits on a node with the requests `beside` it; 0 if those do not fit."""
    cpus = round(room.get("CPU", 0.0) - sum(other.get("CPU", 0.0) for other in beside), 6)
    gpus = _gpus_left(room.get("GPU", 0.0), [other.get("GPU", 0.0) for other in beside])
    if cpus < 0 or gpus is None:
        return 0
    cpu, gpu = request.get("CPU", 0.0), request.get("GPU", 0.0)
    times = _MANY
    if cpu:
        times = math.floor(round(cpus / cpu, 6))
    if gpu > 1:
        times = min(times, gpus.count(1.0) // math.ceil(gpu))
    elif gpu:
        times = min(times, sum(math.floor(round(part / gpu, 6)) for part in gpus))
    return times


def _gpus_left(gpus: float, shares: Sequence[float]) -> list[float] | None:
    """Returns the rest of each GPU after each share went to the fullest GPU that has room, as in Ray.

    None: a share does not fit. Only the sum of a node's free GPUs is known; it is taken as whole GPUs and a fraction.
    """
    whole, rest = divmod(round(gpus, 6), 1.0)
    left = [1.0] * int(whole) + [rest]
    for share in shares:
        able = [index for index, part in enumerate(left) if part >= share > 0]
        if able:
            index = min(able, key=left.__getitem__)
            left[index] = round(left[index] - share, 6)
        elif share > 1 and math.ceil(share) <= left.count(1.0):
            left.sort()
            del left[-math.ceil(share) :]
        elif share:
            return None
    return left

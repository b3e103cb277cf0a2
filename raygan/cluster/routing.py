"""Routing of updates: the device actors that send one combined message. Independent of Ray."""

from collections.abc import Iterable, Mapping, Sequence

from raygan.config.tree import Config

FEW = 3
"""From so many updates on, their sum takes fewer bytes (8 to 10 a parameter, measured) than the updates (4 each)."""


def adds_up_on_nodes(config: Config) -> bool:
    """Returns whether a node adds up its workers' updates.

    Where no device waits for another, no worker should. Nor should one whose loss takes with it what other devices
    have counted as sent, if that is not replayed.
    """
    counts = config.compression.feedback or config.scaffold.option != "none"
    dropped = config.engine.on_device_failure == "drop" and counts
    return config.engine.pre_average and config.schedule != "asynchronous" and not dropped


def by_worker(devices: Iterable[int], together: int) -> dict[int, list[int]]:
    """Returns device numbers in order by the index of their actor, with `together` devices in each actor."""
    workers: dict[int, list[int]] = {}
    for number in sorted(devices):
        workers.setdefault(number // together, []).append(number)
    return workers


def senders(
    chosen: Mapping[int, Sequence[int]],
    nodes: Sequence[object],
    server: object,
    adds_up: bool,
    slots: int,
    share: float = 1.0,
) -> list[list[int]]:
    """Returns the groups of workers (of these devices) that send one message: those of a node other than the server's.

    They are not combined if that may cost more bytes. `nodes` has the node of each worker; `adds_up` says whether one
    sum may replace many updates, in each of the server's `slots`. What a worker sends takes a `share` of an update's
    bytes, if it is compressed; a sum is not.
    """
    together: dict[object, list[int]] = {}
    for worker in chosen:
        sums = adds_up and nodes[worker] != server
        together.setdefault(nodes[worker] if sums else worker, []).append(worker)
    groups: list[list[int]] = []
    for workers in together.values():
        few = share * sum(len(chosen[worker]) for worker in workers) < FEW * slots
        groups += [[worker] for worker in workers] if few else [workers]
    return groups

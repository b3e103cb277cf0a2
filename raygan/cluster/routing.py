"""Which device actors send what they have in one message. No Ray here."""

from collections.abc import Iterable, Mapping, Sequence

FEW = 3
"""From so many updates on, their sum takes fewer bytes (8 to 10 a parameter, seen) than they do (4 each)."""


def by_worker(devices: Iterable[int], together: int) -> dict[int, list[int]]:
    """Device numbers in order, by the index of the actor that plays them, `together` of them in each."""
    workers: dict[int, list[int]] = {}
    for number in sorted(devices):
        workers.setdefault(number // together, []).append(number)
    return workers


def senders(
    chosen: Mapping[int, Sequence[int]], nodes: Sequence[object], server: object, adds_up: bool, slots: int
) -> list[list[int]]:
    """Which of the workers (of these devices) send one message together: those of a node that is not the server's.

    But not where that may be more bytes. `nodes` is where each worker is, `adds_up` whether one sum may be sent for
    many updates, one in each of the server's `slots`.
    """
    together: dict[object, list[int]] = {}
    for worker in chosen:
        sums = adds_up and nodes[worker] != server
        together.setdefault(nodes[worker] if sums else worker, []).append(worker)
    groups: list[list[int]] = []
    for workers in together.values():
        few = sum(len(chosen[worker]) for worker in workers) < FEW * slots
        groups += [[worker] for worker in workers] if few else [workers]
    return groups

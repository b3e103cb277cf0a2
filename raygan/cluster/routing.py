"""Which device actors send what they have in one message. No Ray here."""

from collections.abc import Iterable, Mapping, Sequence

FEW = 3
"""From so many updates on, their sum takes fewer bytes (8 to 10 a parameter, seen) than they do (4 each)."""


def by_host(devices: Iterable[int], together: int) -> dict[int, list[int]]:
    """Device numbers in order, by the index of the actor that plays them, `together` of them in each."""
    hosts: dict[int, list[int]] = {}
    for number in sorted(devices):
        hosts.setdefault(number // together, []).append(number)
    return hosts


def senders(
    chosen: Mapping[int, Sequence[int]], nodes: Sequence[object], server: object, adds_up: bool, slots: int
) -> list[list[int]]:
    """Which of the hosts (of these devices) send one message together: those of a node that is not the server's.

    But not where that may be more bytes. `nodes` is where each host is, `adds_up` whether one sum may be sent for many
    updates, one in each of the server's `slots`.
    """
    together: dict[object, list[int]] = {}
    for host in chosen:
        sums = adds_up and nodes[host] != server
        together.setdefault(nodes[host] if sums else host, []).append(host)
    groups: list[list[int]] = []
    for hosts in together.values():
        few = sum(len(chosen[host]) for host in hosts) < FEW * slots
        groups += [[host] for host in hosts] if few else [hosts]
    return groups

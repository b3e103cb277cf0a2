"""Which actor goes to which node, or why they do not fit: arithmetic on nodes, real or described. No Ray here.

Ray's own strategies are not enough: asked to spread 30 equal bundles over three nodes it was seen to put 22, 5 and 4
there, and to find no place for 12 shares of 0.4 GPU on eight GPUs (Ray 2.60).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from raygan.engine.needs import Needs, Resources

Placement = Literal["spread", "pack"]


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    id: str
    """Ray's."""
    name: str
    """For people: its address."""
    room: Resources
    """What it has to give."""


@dataclass(frozen=True)
class Layout:
    """Who goes where: the server, and each host in the order of its devices."""

    server: Node
    hosts: list[Node]


def lay_out(needs: Needs, nodes: Sequence[Node], placement: Placement, home: str | None) -> Layout | None:
    """Put the server and each host on a node, or None if they do not fit.

    The server goes to `home`, the driver's node (by id), where that has room; the recorder must. Spread hosts fill all
    nodes to the same part of what each can hold; packed ones fill one node after the other, the server's first.
    """
    there = _with_recorder(needs, nodes, home)
    for server in _candidates(needs, there, home):
        rooms = [without(node.room, needs.server) if node is server else node.room for node in there]
        capacities = [fits(room, needs.per_host) for room in rooms]
        if sum(capacities) >= needs.hosts:
            first = there.index(server)
            indices = (
                _spread(needs.hosts, capacities) if placement == "spread" else _pack(needs.hosts, capacities, first)
            )
            return Layout(nodes[first], [nodes[index] for index in indices])
    return None


def can_hold(needs: Needs, nodes: Sequence[Node], layout: Layout, home: str | None) -> bool:
    """Whether these nodes, by id, have the room that a layout of others takes."""
    rooms = {node.id: node.room for node in _with_recorder(needs, nodes, home)}
    if not fits(rooms.get(layout.server.id, {}), needs.server):
        return False
    rooms[layout.server.id] = without(rooms[layout.server.id], needs.server)
    per_node = Counter(node.id for node in layout.hosts)
    return all(fits(rooms.get(node, {}), needs.per_host) >= count for node, count in per_node.items())


def _with_recorder(needs: Needs, nodes: Sequence[Node], home: str | None) -> Sequence[Node]:
    """The nodes without what the recorder takes of `home`; none at all if it has no room there."""
    if not any(needs.recorder.values()):
        return nodes
    if not any(node.id == home and fits(node.room, needs.recorder) for node in nodes):
        return []
    return [replace(node, room=without(node.room, needs.recorder)) if node.id == home else node for node in nodes]


def _candidates(needs: Needs, nodes: Sequence[Node], home: str | None) -> Iterator[Node]:
    """Nodes with room for the server: home first, then those that hold most hosts."""
    able = [node for node in nodes if fits(node.room, needs.server)]
    yield from sorted(able, key=lambda node: (node.id != home, -fits(node.room, needs.per_host)))


def _spread(hosts: int, capacities: list[int]) -> list[int]:
    """The index of a node for each host: the one that would be least full with it."""
    taken = [0] * len(capacities)
    chosen = []
    for _ in range(hosts):
        free = [index for index, capacity in enumerate(capacities) if taken[index] < capacity]
        index = min(free, key=lambda index: (taken[index] + 1) / capacities[index])
        taken[index] += 1
        chosen.append(index)
    return chosen


def _pack(hosts: int, capacities: list[int], first: int) -> list[int]:
    """Likewise: `first` while it has room, then the largest that is left."""
    order = sorted(range(len(capacities)), key=lambda index: (index != first, -capacities[index]))
    places = (index for index in order for _ in range(min(capacities[index], hosts)))
    return [index for index, _ in zip(places, range(hosts), strict=False)]


def shortage(needs: Needs, nodes: Sequence[Node], home: str | None) -> str | None:
    """Why the nodes cannot hold the actors, so that `lay_out` finds no layout, or None.

    Counted node by node: a share of a GPU cannot be put together from two nodes.
    """
    if problem := _too_little(needs, nodes):
        return problem
    if not _with_recorder(needs, nodes, home):
        (node,) = [node for node in nodes if node.id == home]
        return (
            f"eval.gpus={needs.recorder['GPU']:g}: what is measured is measured on the driver's node, but {node.name} "
            f"has {node.room.get('GPU', 0):g} GPU; start the run on a node with a GPU, or leave eval.gpus out"
        )
    return None if lay_out(needs, nodes, "pack", home) else _no_centre(needs, nodes, needs.server)


def shortage_in_group(needs: Needs, nodes: Sequence[Node]) -> str | None:
    """Why the nodes cannot hold the placement group `needs.bundles`, or None: server and recorder are on one node."""
    if problem := _too_little(needs, nodes):
        return problem
    if needs.centre["GPU"] > 1 > max(needs.server.get("GPU", 0), needs.recorder.get("GPU", 0)):
        return (
            f"engine.server_gpus={needs.server['GPU']:g} and eval.gpus={needs.recorder['GPU']:g}: Ray keeps them "
            f"together in a trial, and {needs.centre['GPU']:g} GPU would be one and a part of another, where one of "
            "them has no room; let both have room on one GPU, or give one of them a whole"
        )
    together = replace(needs, server=needs.centre, recorder={})
    return None if lay_out(together, nodes, "pack", None) else _no_centre(needs, nodes, needs.centre)


def _no_centre(needs: Needs, nodes: Sequence[Node], centre: Resources) -> str:
    return (
        f"engine: no node of {describe(nodes)} has room for the server ({dict(centre)}) that leaves room "
        f"for {needs.hosts} device actors ({dict(needs.per_host)} each)"
    )


def _too_little(needs: Needs, nodes: Sequence[Node]) -> str | None:
    """What there is too little of, counted node by node."""
    fit = sum(fits(node.room, needs.per_host) for node in nodes)
    if fit < needs.hosts:
        gpus = f" and {needs.per_host['GPU']:g} GPU" if "GPU" in needs.per_host else ""
        return (
            f"engine: {needs.hosts} device actors of {needs.per_host['CPU']:g} CPU{gpus} each were asked for, but "
            f"{describe(nodes)} hold{'s' if len(nodes) == 1 else ''} {fit}; lower devices or the share per device "
            f"(engine.gpus_per_device, engine.cpus_per_device), or raise engine.devices_per_actor"
        )
    for name, asked in needs.total.items():
        available = sum(node.room.get(name, 0.0) for node in nodes)
        if round(asked - available, 6) > 0:
            return (
                f"engine: {asked:g} {name} were asked for ({needs.hosts} device actors, server and evaluation), but "
                f"{describe(nodes)} {'has' if len(nodes) == 1 else 'have'} {available:g}; lower devices or the "
                f"share per device, or raise engine.devices_per_actor"
            )
    return None


def without(room: Resources, taken: Resources) -> dict[str, float]:
    """What is left."""
    return {name: amount - taken.get(name, 0.0) for name, amount in room.items()}


def fits(room: Resources, request: Resources) -> int:
    """How often a request fits."""
    asked = {name: amount for name, amount in request.items() if amount > 0}
    if not asked:
        return 10**9
    return min(_times(name, room.get(name, 0.0), amount) for name, amount in asked.items())


def _times(name: str, available: float, amount: float) -> int:
    """How often an amount is there; a share of a GPU is a share of one."""
    whole, rest = divmod(round(available, 6), 1.0)
    parts = [1.0] * int(whole) + [rest] if name == "GPU" and amount < 1 else [available]
    return sum(math.floor(round(part / amount, 6)) for part in parts)


def spread_of(layout: Layout) -> str:
    """How many device actors there are on how many nodes, in a few words."""
    each = sorted(Counter(node.id for node in layout.hosts).values())
    count = f"{len(layout.hosts)} device actor{'s' if len(layout.hosts) > 1 else ''}"
    if len(each) == 1:
        return f"{count} on one node"
    return f"{count} on {len(each)} nodes ({each[0] if each[0] == each[-1] else f'{each[0]} to {each[-1]}'} on each)"


def describe(nodes: Sequence[Node]) -> str:
    """The nodes in a few words; equal ones are counted."""
    each = [f"{node.room.get('CPU', 0):g} CPU + {node.room.get('GPU', 0):g} GPU" for node in nodes]
    if len(nodes) <= 4:
        counted = ", ".join(each)
    else:
        counted = ", ".join(f"{each.count(one)} of {one}" for one in dict.fromkeys(each))
    return f"{'this Ray node' if len(nodes) == 1 else f'these {len(nodes)} Ray nodes'} ({counted})"

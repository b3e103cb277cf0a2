"""Layouts: the node of each actor, computed from real or described nodes without Ray.

Ray's own strategies are not enough: when asked to spread 30 equal bundles over three nodes, Ray 2.60 put 22, 5 and 4
there, and it found no place for 12 shares of 0.4 GPU on eight GPUs.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Literal

from raygan.cluster.capacity import fits
from raygan.cluster.resources import Needs, Resources

Placement = Literal["spread", "pack"]
GIVEN_BACK_S = 3.0
"""Time after which ended actors have released their resources (seconds)."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    id: str
    """Ray's id of the node."""
    name: str
    """The address, for messages."""
    room: Resources
    """The resources of the node."""


@dataclass(frozen=True)
class Layout:
    """The node of the server, and of each worker in the order of its devices."""

    server: Node
    workers: list[Node]


def lay_out(needs: Needs, nodes: Sequence[Node], placement: Placement, home: str | None) -> Layout | None:
    """Returns a node for the server and for each worker, or None if they do not fit.

    The server goes to `home`, the driver's node (by id), if that has room; the recorder must. With `spread`, workers
    fill all nodes to the same share of their capacity. With `pack`, they fill one node after another, the server's
    first.
    """
    if home_problem(needs, nodes, home):
        return None
    alone = [fits(node.room, needs.per_worker, _at_home(needs, node, home)) for node in nodes]
    for index in _candidates(needs, nodes, alone, home):
        node = nodes[index]
        beside = [needs.server, *_at_home(needs, node, home)]
        capacities = [*alone[:index], fits(node.room, needs.per_worker, beside), *alone[index + 1 :]]
        if sum(capacities) >= needs.workers:
            chosen = (
                _spread(needs.workers, capacities) if placement == "spread" else _pack(needs.workers, capacities, index)
            )
            return Layout(node, [nodes[worker] for worker in chosen])
    return None


def choose(
    needs: Needs, nodes: Sequence[Node], free: Sequence[Node], placement: Placement, home: str, waited: float
) -> Layout | None:
    """Returns the layout of a run on nodes with these free resources.

    It is the layout for empty nodes if that is possible, because that is even and as planned. Resources of a run that
    restarts are returned within moments, so another layout is used only after the run has `waited` (seconds).
    """
    planned = lay_out(needs, nodes, placement, home)
    if planned is not None and can_hold(needs, free, planned, home):
        return planned
    return lay_out(needs, free, placement, home) if waited > GIVEN_BACK_S else None


def can_hold(needs: Needs, nodes: Sequence[Node], layout: Layout, home: str | None) -> bool:
    """Returns whether these nodes, by id, have room for a layout that was made for others."""
    there = {node.id: node for node in nodes}
    workers = Counter(node.id for node in layout.workers)
    for name in {layout.server.id, *workers}:
        if name not in there:
            return False
        beside = [needs.server] * (name == layout.server.id) + _at_home(needs, there[name], home)
        if fits(there[name].room, needs.per_worker, beside) < workers[name]:
            return False
        if not workers[name] and not fits(there[name].room, {}, beside):
            return False
    return True


def home_problem(needs: Needs, nodes: Sequence[Node], home: str | None) -> str | None:
    """Returns why the recorder does not fit on the driver's node, independent of other nodes, or None."""
    if not any(needs.recorder.values()) or any(node.id == home and fits(node.room, needs.recorder) for node in nodes):
        return None
    (node,) = [node for node in nodes if node.id == home]
    return (
        f"eval.gpus={needs.recorder['GPU']:g}: what is measured is measured on the driver's node, but {node.name} "
        f"has {node.room.get('GPU', 0):g} GPU; start the run on a node with a GPU, or leave eval.gpus out"
    )


def _at_home(needs: Needs, node: Node, home: str | None) -> list[Resources]:
    """Returns the recorder's request, if it is on this node."""
    return [needs.recorder] if node.id == home and any(needs.recorder.values()) else []


def _candidates(needs: Needs, nodes: Sequence[Node], alone: list[int], home: str | None) -> list[int]:
    """Returns nodes with room for the server, by index: home, then those that hold most workers; equal ones once."""
    able: dict[tuple[object, ...], int] = {}
    for index, node in enumerate(nodes):
        at_home = node.id == home
        if fits(node.room, needs.server, _at_home(needs, node, home)):
            able.setdefault((at_home, node.room.get("CPU", 0), node.room.get("GPU", 0)), index)
    return sorted(able.values(), key=lambda index: (nodes[index].id != home, -alone[index]))


def _spread(workers: int, capacities: list[int]) -> list[int]:
    """Returns a node's index for each worker: the node that would be least full with it; of equals, the smaller."""
    least_full = [(1 / capacity, capacity, index, 1) for index, capacity in enumerate(capacities) if capacity]
    heapify(least_full)
    chosen = []
    for _ in range(workers):
        _, _, index, taken = heappop(least_full)
        chosen.append(index)
        if taken < capacities[index]:
            heappush(least_full, ((taken + 1) / capacities[index], capacities[index], index, taken + 1))
    return chosen


def _pack(workers: int, capacities: list[int], first: int) -> list[int]:
    """Returns a node's index for each worker: `first` while it has room, then the largest of the others."""
    order = sorted(range(len(capacities)), key=lambda index: (index != first, -capacities[index]))
    places = (index for index in order for _ in range(min(capacities[index], workers)))
    return [index for index, _ in zip(places, range(workers), strict=False)]


def spread_of(layout: Layout) -> str:
    """Returns in a few words how many device actors are on how many nodes."""
    each = sorted(Counter(node.id for node in layout.workers).values())
    count = f"{len(layout.workers)} device actor{'s' if len(layout.workers) > 1 else ''}"
    if len(each) == 1:
        return f"{count} on one node"
    return f"{count} on {len(each)} nodes ({each[0] if each[0] == each[-1] else f'{each[0]} to {each[-1]}'} on each)"

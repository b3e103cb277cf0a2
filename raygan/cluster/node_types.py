"""The types of nodes that an autoscaler may start, read from its cluster file. Independent of Ray."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raygan.cluster.capacity import fits
from raygan.cluster.layout import Node
from raygan.cluster.resources import Needs, Resources

_STORE = re.compile(r"--object-store-memory[= ](\d+)")
_FOR_PROCESSES = 0.7
"""Share of a machine's memory that Ray's providers write into a node type's `memory` (2.60); the rest is the store."""
_USABLE = 0.95
_MOST_STORE = 200e9


@dataclass(frozen=True)
class NodeType:
    """A type of node."""

    name: str
    room: Resources
    """The resources of each."""
    most: int
    """The most that the autoscaler starts."""


@dataclass(frozen=True)
class NodeTypes:
    """All types of workers, and the most of all together."""

    types: tuple[NodeType, ...]
    most: int

    def that_may_come(self, present: Mapping[str, int], needs: Needs) -> list[Node]:
        """Returns the nodes that may be added to those `present` (by type): as many as hold most device actors."""
        left = max(0, self.most - sum(present.get(one.name, 0) for one in self.types))
        types = sorted(self.types, key=lambda one: -fits(one.room, needs.per_worker))
        names = [(one, number) for one in types for number in range(one.most - present.get(one.name, 0))]
        return [Node(f"{one.name} {number}", f"a new {one.name} node", one.room) for one, number in names[:left]]

    def helpful(self, present: Mapping[str, int], needs: Needs) -> frozenset[str]:
        """Returns the types of which more may come, and that hold a device actor."""
        more = [one for one in self.types if present.get(one.name, 0) < one.most]
        return frozenset(one.name for one in more if fits(one.room, needs.per_worker))

    def __str__(self) -> str:
        each = [
            f"{one.name}: up to {one.most} of {one.room.get('CPU', 0):g} CPU + {one.room.get('GPU', 0):g} GPU"
            for one in self.types
        ]
        below = sum(one.most for one in self.types) > self.most
        return "; ".join([*each, *([f"{self.most} in all"] if below else [])]) or "no type of worker"


def node_types_of(file: Mapping[str, Any]) -> NodeTypes | None:
    """Returns the types of workers in the cluster file that an autoscaler was started with.

    None if that does not say what each holds, as before `ray up` has completed it.
    """
    head, most = file.get("head_node_type"), int(file.get("max_workers", 0))
    types = []
    for name, one in (file.get("available_node_types") or {}).items():
        if name == head:
            continue
        count = min(most, int(one.get("max_workers", most)))
        if count and not one.get("resources"):
            return None
        if count:
            types.append(NodeType(name, _room(one["resources"], file.get("worker_start_ray_commands") or ()), count))
    return NodeTypes(tuple(types), most)


def _room(resources: Mapping[str, Any], start: Sequence[str]) -> dict[str, float]:
    """Returns a node's resources, with its memory as Ray reports it of a node that runs."""
    room = {name: float(amount) for name, amount in resources.items()}
    if "memory" in room:
        machine = room["memory"] / _FOR_PROCESSES
        said = _STORE.search(" ".join(start))
        store = float(said[1]) if said else min(machine - room["memory"], _MOST_STORE)
        room |= {"object_store_memory": store, "memory": _USABLE * machine - store}
    return room

"""The machines of a plan, independent of Ray."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raygan.cluster.layout import Node

STORE_SHARE, LARGEST_STORE = 0.3, 200e9
"""Share of a node's memory that Ray uses for its object store by default, and its maximum (bytes); Ray 2.60."""
USABLE_SHARE = 0.95
"""Share of a machine's memory beyond which Ray kills processes (its `memory_usage_threshold`)."""


@dataclass(frozen=True)
class Machine:
    """A node, with resources that Ray does not schedule but that can run out."""

    node: Node
    memory: float
    """Memory for processes and the object store together (bytes); infinite if it is unknown."""
    store: float
    """Memory for the object store (bytes); likewise."""
    gpu: str | None
    """The kind of its GPUs, by Ray's name; None if there are none, or the kind is unknown."""
    gpu_memory: float | None
    """Memory of each GPU (bytes), or None."""


@dataclass(frozen=True)
class Site:
    """The machines that a run would use."""

    name: str
    """A short description, for people."""
    machines: Sequence[Machine]
    home: str
    """The node of the driver (its id)."""
    may_grow: bool
    """Whether more nodes may come."""
    free: Sequence[Node]
    """The nodes with their free resources."""
    coming: Sequence[Machine] = ()
    """The nodes that an autoscaler may add, those first that hold most device actors."""
    types: str = ""
    """Their types, for people."""
    added: int = 0
    """How many of the machines are not there yet, and would be added."""

    @property
    def nodes(self) -> list[Node]:
        """The nodes with their total resources."""
        return [machine.node for machine in self.machines]

    def with_added(self, count: int) -> "Site":
        """Returns the site after an autoscaler has added so many nodes."""
        new = self.coming[:count]
        machines, free = [*self.machines, *new], [*self.free, *(one.node for one in new)]
        return replace(self, machines=machines, free=free, added=count)

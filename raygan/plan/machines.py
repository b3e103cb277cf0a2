"""The machines of a plan, independent of Ray."""

from collections.abc import Sequence
from dataclasses import dataclass

from raygan.cluster.layout import Node

STORE_SHARE, LARGEST_STORE = 0.3, 200e9
"""Of a node's memory that Ray takes for its object store by default, and the most (bytes); Ray 2.60."""
USABLE_SHARE = 0.95
"""Of a machine's memory, from which on Ray ends processes (its `memory_usage_threshold`)."""


@dataclass(frozen=True)
class Machine:
    """A node, with resources that Ray does not schedule but that can run out."""

    node: Node
    memory: float
    """What processes and the object store may take together (bytes)."""
    store: float
    """What the object store may take (bytes)."""
    gpu: str | None
    """The kind of its GPUs, by Ray's name; None where there are none, or it is not known."""
    gpu_memory: float | None
    """Of each of them (bytes); None likewise."""


@dataclass(frozen=True)
class Site:
    """The machines that a run would use."""

    name: str
    """In a few words, for people."""
    machines: Sequence[Machine]
    home: str
    """The node of the driver (its id)."""
    may_grow: bool
    """Whether more nodes may come."""
    free: Sequence[Node]
    """The nodes with what nobody holds now."""

    @property
    def nodes(self) -> list[Node]:
        """The nodes with their total resources."""
        return [machine.node for machine in self.machines]

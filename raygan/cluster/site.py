"""The site of a run: the nodes of a running cluster, or this machine, as Ray sees them."""

import math
import os
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import ray
import torch

from raygan.cluster.autoscaler import ask_monitor, ask_scaling
from raygan.cluster.connection import Connection, cpus_to_start
from raygan.cluster.layout import Node
from raygan.cluster.nodes import all_nodes, free_nodes
from raygan.cluster.ray_private import ResourceAndLabelSpec
from raygan.cluster.resources import needs_of
from raygan.config.tree import Config


@dataclass(frozen=True)
class FoundNodes:
    """The nodes that a run of this process would use."""

    name: str
    """A short description, for messages."""
    nodes: list[Node]
    """The nodes with their total resources."""
    free: list[Node]
    """The nodes with their free resources."""
    home: str
    """The node of the driver (its id)."""
    may_grow: bool
    """Whether more nodes may come."""
    gpu_memory: float | None
    """Memory of each GPU (bytes), if it was queried."""
    coming: list[Node] = field(default_factory=list)
    """The nodes that an autoscaler may add, if it says so; those first that hold most device actors."""
    types: str = ""
    """Their types, for messages."""


def find(config: Config) -> FoundNodes:
    """Find the cluster that a run would join, by joining and leaving it, or else this machine. Starts no Ray.

    Raises:
        InputError: there is no cluster at `engine.address` (or $RAY_ADDRESS).
    """
    address = config.engine.address
    if ray.is_initialized() or address or os.environ.get("RAY_ADDRESS"):
        with closing(Connection(address, cpus_to_start(config))) as connection:
            found = _running(connection.may_grow, *_nodes_of_cluster())
            return _with_coming(found, config) if found.may_grow else found
    return this_machine(cpus_to_start(config))


def _nodes_of_cluster() -> tuple[str, str, list[Node], list[Node]]:
    """Returns the cluster's address, this process's node (by id), all nodes, and their free resources."""
    context: Any = ray.get_runtime_context()
    return context.gcs_address, str(context.get_node_id()), all_nodes(), free_nodes()


def _running(may_grow: bool, address: str, home: str, nodes: list[Node], free: list[Node]) -> FoundNodes:
    count = f"{len(nodes)} node{'s' if len(nodes) > 1 else ''}"
    return FoundNodes(f"{count} of the Ray at {address}", nodes, free, home, may_grow, None)


def _with_coming(found: FoundNodes, config: Config) -> FoundNodes:
    """Add what the autoscaler may add, if its cluster file can be read."""
    scaling, types = ask_scaling(), ask_monitor().types
    if scaling is None or types is None:
        return found
    return replace(found, coming=types.that_may_come(scaling.present, needs_of(config)), types=str(types))


def this_machine(cpus: float) -> FoundNodes:
    """Returns this machine as the node of a Ray that is started for the run."""
    spec = ResourceAndLabelSpec(num_cpus=math.ceil(cpus))
    spec.resolve(is_head=True, node_ip_address="127.0.0.1")
    nodes = [Node("here", "this machine", spec.to_resource_dict())]
    known = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None
    return FoundNodes("this machine, with a Ray started for the run", nodes, nodes, "here", False, known)

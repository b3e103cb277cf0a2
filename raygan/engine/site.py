"""The machines that are there: those of a running cluster, or this one, as Ray sees them."""

import math
import os
from contextlib import closing
from typing import Any

import ray
import torch
from ray._private.resource_and_label_spec import ResourceAndLabelSpec  # what `ray.init` itself works a node out with

from raygan.config.tree import Config
from raygan.engine.client import connected, is_afar, there
from raygan.engine.cluster import Connection, all_nodes, cpus_to_start, free_nodes
from raygan.engine.gpus import GPUS
from raygan.engine.layout import Node
from raygan.engine.machines import Machine, Site

_KIND = "accelerator_type:"


def site_here(config: Config) -> Site:
    """The cluster that a run would join, which is joined and left again; or else this machine. Starts no Ray.

    Raises:
        InputError: there is no cluster at `engine.address` (or $RAY_ADDRESS).
    """
    address = config.engine.address
    if is_afar(address):
        with connected(address):
            ask = there(ray.remote(_nodes_of_cluster))
            return _running(True, *ray.get(ask.remote()))
    if ray.is_initialized() or address or os.environ.get("RAY_ADDRESS"):
        with closing(Connection(address, cpus_to_start(config))) as connection:
            return _running(connection.may_grow, *_nodes_of_cluster())
    return this_machine(cpus_to_start(config))


def _nodes_of_cluster() -> tuple[str, str, list[Node], list[Node]]:
    """The cluster's address, the node that this process is on (by id), all nodes, and what is free of them."""
    context: Any = ray.get_runtime_context()
    return context.gcs_address, str(context.get_node_id()), all_nodes(), free_nodes()


def _running(may_grow: bool, address: str, home: str, nodes: list[Node], free: list[Node]) -> Site:
    count = f"{len(nodes)} node{'s' if len(nodes) > 1 else ''}"
    return Site(f"{count} of the Ray at {address}", [machine_of(node, None) for node in nodes], home, may_grow, free)


def this_machine(cpus: float) -> Site:
    """As the node of a Ray that is started for the run."""
    spec = ResourceAndLabelSpec(num_cpus=math.ceil(cpus))
    spec.resolve(is_head=True, node_ip_address="127.0.0.1")
    node = Node("here", "this machine", spec.to_resource_dict())
    known = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None
    return Site("this machine, with a Ray started for the run", [machine_of(node, known)], node.id, False, [node])


def machine_of(node: Node, gpu_memory: float | None) -> Machine:
    """What Ray says of a node: its memory is what was free when Ray started there.

    The memory of its GPUs, where it was not asked for, is that of their kind.
    """
    store = node.room.get("object_store_memory", 0.0)
    kinds = [name.removeprefix(_KIND) for name in node.room if name.startswith(_KIND)]
    kind = kinds[0] if kinds and node.room.get("GPU") else None
    if gpu_memory is None and kind in GPUS:
        gpu_memory = GPUS[kind].memory_gb * 1e9
    return Machine(node, node.room.get("memory", 0.0) + store, store, kind, gpu_memory)

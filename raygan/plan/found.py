"""The nodes of a real cluster, as machines to plan for."""

import math

from raygan.cluster.layout import Node
from raygan.cluster.site import FoundNodes
from raygan.plan.gpus import GPUS, SEVERAL_SIZES
from raygan.plan.machines import Machine, Site

_KIND = "accelerator_type:"


def site_of(found: FoundNodes) -> Site:
    """Returns the site of existing nodes."""
    machines = [machine_of(node, found.gpu_memory) for node in found.nodes]
    coming = [machine_of(node, None) for node in found.coming]
    return Site(found.name, machines, found.home, found.may_grow, found.free, coming, found.types)


def machine_of(node: Node, gpu_memory: float | None) -> Machine:
    """Returns a node as Ray reports it; its memory is what was free when Ray started there.

    The memory of its GPUs, if it was not queried, is that of their kind. It is unknown if the kind comes in several
    sizes and no exact kind has been declared (`accelerator_type:A100-80G` beside Ray's own `A100`).
    """
    store = node.room.get("object_store_memory", 0.0)
    kinds = [name.removeprefix(_KIND) for name in node.room if name.startswith(_KIND)]
    kind = min(kinds, key=SEVERAL_SIZES.__contains__, default=None) if node.room.get("GPU") else None
    if gpu_memory is None and kind in GPUS and kind not in SEVERAL_SIZES:
        gpu_memory = GPUS[kind].memory_gb * 1e9
    memory = node.room.get("memory", math.inf)  # of nodes that may come, a cluster file need not say it
    return Machine(node, memory + store, store if "memory" in node.room else math.inf, kind, gpu_memory)

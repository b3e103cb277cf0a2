"""The nodes of the cluster that this process is connected to, as Ray sees them."""

import ray

from raygan.cluster.layout import Node
from raygan.cluster.ray_private import available_resources_per_node


def all_nodes() -> list[Node]:
    """Returns the nodes of the cluster with their total resources."""
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], node["Resources"]) for node in ray.nodes() if node["Alive"]
    ]


def free_nodes() -> list[Node]:
    """Returns the nodes of the cluster with their free resources."""
    free = available_resources_per_node()
    return [Node(node.id, node.name, free.get(node.id, {})) for node in all_nodes()]

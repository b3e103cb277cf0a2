"""The private names of Ray that raygan needs, all of them: Ray's public calls have nothing like it."""

from typing import Any

import ray
from ray._private.node import Node as RayNode
from ray._private.parameter import RayParams
from ray._private.resource_and_label_spec import ResourceAndLabelSpec  # what `ray.init` itself works a node out with
from ray._private.state import available_resources_per_node  # Ray's public calls have only the cluster's sums
from ray._private.worker import shutdown as at_exit  # what Ray itself does when the interpreter ends

__all__ = ["RayNode", "RayParams", "ResourceAndLabelSpec", "at_exit", "available_resources_per_node"]


def own_node() -> Any:
    """The node that this process started or joined as a driver, with its processes; None: there is none."""
    return ray._private.worker._global_node


def id_of(actor: Any) -> str:
    """An actor's id, as Ray's errors name it."""
    return str(actor._actor_id.hex())

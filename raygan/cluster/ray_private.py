"""Private names of Ray that raygan needs because Ray's public API has no equivalent."""

import json
import os
from typing import Any

import ray
from ray._private.node import Node as RayNode
from ray._private.parameter import RayParams
from ray._private.resource_and_label_spec import ResourceAndLabelSpec  # `ray.init` uses it, too
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray._private.state import available_resources_per_node  # Ray's public API has only the totals of the cluster
from ray._private.worker import shutdown as at_exit  # Ray itself calls it when the interpreter ends

__all__ = [
    "RayNode",
    "RayParams",
    "ResourceAndLabelSpec",
    "at_exit",
    "available_resources_per_node",
]


def own_node() -> Any:
    """Returns the node that this process started or joined as a driver, with its processes, or None."""
    return ray._private.worker._global_node


def id_of(actor: Any) -> str:
    """Returns an actor's id as it appears in Ray's errors."""
    return str(actor._actor_id.hex())


def env_of_job() -> dict[str, Any]:
    """Returns the runtime environment that `ray job submit` hands to a driver, before it connects to Ray."""
    job: dict[str, dict[str, Any]] = json.loads(os.environ.get(RAY_JOB_CONFIG_JSON_ENV_VAR, "{}"))
    return job.get("runtime_env") or {}

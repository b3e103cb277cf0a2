"""Private names of Ray that raygan needs because Ray's public API has no equivalent."""

import json
import os
from typing import Any

import ray
from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled
from ray._private.node import Node as RayNode
from ray._private.parameter import RayParams
from ray._private.resource_and_label_spec import ResourceAndLabelSpec  # `ray.init` uses it, too
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray._private.services import canonicalize_bootstrap_address
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


def autoscaler_reply() -> dict[str, Any]:
    """Returns the answer of Ray's head about nodes and autoscaler (version 2), as JSON.

    Ray's own `ray.autoscaler.v2.sdk.get_cluster_status` leaves out what is infeasible.
    """
    from google.protobuf import json_format  # type: ignore[import-untyped]  # Ray brings it along
    from ray.core.generated import autoscaler_pb2

    messages: Any = autoscaler_pb2
    reply = messages.GetClusterStatusReply()
    reply.ParseFromString(_gcs().get_cluster_status(timeout_s=_ANSWER_S))
    answer: dict[str, Any] = json_format.MessageToDict(reply, preserving_proto_field_name=True)
    return answer


def autoscaler_status() -> bytes | None:
    """Returns what an autoscaler of version 1 keeps in Ray's key-value store: JSON, or None."""
    kept: bytes | None = _gcs().internal_kv_get(_STATUS_KEY, None, timeout=_ANSWER_S)
    return kept


def _gcs() -> Any:
    """Returns the client of Ray's head that this process has."""
    worker: Any = ray._private.worker.global_worker
    return worker.gcs_client


def is_head(node: dict[str, Any]) -> bool:
    """Returns whether a node, as `ray.nodes()` lists it, is the head."""
    return "node:__internal_head__" in node["Resources"]


def found_address() -> str | None:
    """Returns the address of the cluster that Ray finds on this machine, or $RAY_ADDRESS names, for "auto", or None."""
    found: str | None = canonicalize_bootstrap_address("auto")
    return found


def refuses_token(address: str) -> bool:
    """Returns whether the head at host:port refuses this process for its token, or for having none.

    Ray itself would try for 23 seconds, with a line a second.

    Raises:
        ray.exceptions.AuthenticationError: RAY_AUTH_MODE=token, and this process has no token.
    """
    headers = {name.lower(): value for name, value in get_auth_headers_if_auth_enabled({}).items()}
    try:
        import grpc  # type: ignore[import-untyped]
    except ModuleNotFoundError:  # it comes with ray[default] only
        return False
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary(_ALIVE)  # an empty message is the same in any version
        try:
            call(b"", timeout=_ANSWER_S, metadata=list(headers.items()))
        except grpc.RpcError as error:
            return bool(error.code() is grpc.StatusCode.UNAUTHENTICATED)
    return False


_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
_STATUS_KEY = b"__autoscaling_status"
_ANSWER_S = 5

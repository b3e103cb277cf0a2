"""What goes through Ray's object store, asked of the nodes themselves."""

from importlib.util import find_spec
from typing import Any

import ray


def created_bytes() -> int | None:
    """Bytes of all objects created so far in the stores of the cluster this process is connected to.

    None without grpc, by which the nodes are asked, and which comes with ray[default] only.
    """
    return int(_stats().cumulative_created_bytes) if find_spec("grpc") else None


def created_since(before: int | None) -> int | None:
    """Bytes of what was created since `created_bytes` was this."""
    now = created_bytes()
    return None if before is None or now is None else now - before


def held_bytes() -> int:
    """Bytes of the objects that the same stores hold now."""
    return int(_stats().object_store_bytes_used)


def _stats() -> Any:
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    state = get_state_from_address(ray.get_runtime_context().gcs_address)
    return get_memory_info_reply(state).store_stats

"""What goes through Ray's object store, asked of the nodes themselves."""

from typing import Any

import ray
from ray._private.internal_api import get_memory_info_reply, get_state_from_address


def created_bytes() -> int:
    """Bytes of all objects created so far in the stores of the cluster this process is connected to."""
    return int(_stats().cumulative_created_bytes)


def held_bytes() -> int:
    """Bytes of the objects that the same stores hold now."""
    return int(_stats().object_store_bytes_used)


def _stats() -> Any:
    state = get_state_from_address(ray.get_runtime_context().gcs_address)
    return get_memory_info_reply(state).store_stats

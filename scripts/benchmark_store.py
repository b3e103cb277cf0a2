"""What goes through Ray's object store, asked of the nodes themselves."""

import ray
from ray._private.internal_api import get_memory_info_reply, get_state_from_address


def created_bytes() -> int:
    """Bytes of all objects created so far in the stores of the cluster this process is connected to."""
    state = get_state_from_address(ray.get_runtime_context().gcs_address)
    return int(get_memory_info_reply(state).store_stats.cumulative_created_bytes)

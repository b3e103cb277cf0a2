"""States of autoscalers, recorded from Ray 2.60 with its fake provider (see tests/autoscaled.py), and shortened."""

HEAD = {
    "node_id": "//////////////////////////////////AAAA==",
    "total_resources": {"object_store_memory": 200000000.0, "node:__internal_head__": 1.0, "memory": 23865699840.0},
    "status": "IDLE",
}
SMALL = {
    "node_id": "//////////////////////////////////AAAg==",
    "ray_node_type_name": "small",
    "total_resources": {"memory": 16719663924.0, "object_store_memory": 7165570252.0, "CPU": 2.0},
    "status": "RUNNING",
}
DEAD = SMALL | {"status": "DEAD"}
GROUP = "84bfa3f08a180933cccbc5a7f4a701000000"


def reply(nodes=(HEAD,), **state):
    """The reply to GetClusterStatus, as JSON."""
    versions = {"last_seen_cluster_resource_state_version": "42", "autoscaler_state_version": "2"}
    return {"autoscaling_state": versions | state, "cluster_resource_state": {"node_states": list(nodes)}}


def failed(*seconds):
    """Launches that failed at these seconds: with no reason, as in Ray 2.60."""
    started = 1795884989
    return [
        {"ray_node_type_name": "small", "count": 1, "start_ts": str(started + at), "failed_ts": str(started + at + 1)}
        for at in seconds
    ]


NONE = {"cluster_resource_state": {"node_states": [HEAD]}}
"""No autoscaler of version 2 has reported."""
REQUESTED = reply(
    pending_instance_requests=[{"ray_node_type_name": "small", "count": 1, "request_ts": "1795884989"}],
    pending_instances=[
        {"ray_node_type_name": "small", "instance_id": "b5e0a0c5", "details": "allocated unassigned cloud instance"},
    ],
)
JOINED = reply([SMALL, HEAD, DEAD])
FAILED = reply(
    pending_instance_requests=[{"ray_node_type_name": "small", "count": 1, "request_ts": "1795884991"}],
    failed_instance_requests=failed(0, 1),
)
INFEASIBLE = reply(
    infeasible_gang_resource_requests=[
        {"requests": [{"resources_bundle": {"CPU": 1.0}}] * 9, "details": f"{GROUP}:SPREAD|PENDING"}
    ]
)
WORDS = (
    "An error occurred (VcpuLimitExceeded) when calling the RunInstances operation: You have requested more vCPU "
    "capacity than your current vCPU limit of 0 allows for the instance bucket that the specified instance type "
    "belongs to."
)
LOG = f"""2026-11-28 16:56:30,118\tINFO node_provider.py:485 -- Launching 1 nodes of type small.
2026-11-28 16:56:30,119\tINFO node_provider.py:491 -- Failed to launch 1 nodes of type small: {WORDS}
2026-11-28 16:56:30,120\tINFO instance_manager.py:263 -- Update instance QUEUED->REQUESTED (id=9d, type=small)
"""
LOG_V1 = """2026-11-28 16:57:31,001\tINFO node_launcher.py:177 -- NodeLauncher0: Got 2 nodes to launch.
2026-11-28 16:57:31,002\tINFO node_launcher.py -- NodeLauncher0: Failed to launch {} node(s) of type gpu.a. (Max): no
"""
FILE = {
    "cluster_name": "raygan",
    "max_workers": 8,
    "head_node_type": "head",
    "worker_start_ray_commands": [
        "ray stop",
        "ray start --address=$RAY_HEAD_IP:6379 --object-store-memory=8000000000",
    ],
    "available_node_types": {
        "head": {"resources": {"CPU": 0, "GPU": 0}, "min_workers": 0, "max_workers": 0},
        "gpu": {
            "min_workers": 0,
            "max_workers": 4,
            # as Ray's provider for AWS writes it: 0.7 of the machine's 32 GiB
            "resources": {"CPU": 8, "memory": 24051816857, "GPU": 1, "accelerator_type:A10G": 1},
        },
        "gpu_spot": {"min_workers": 0, "max_workers": 0, "resources": {"CPU": 8, "GPU": 1}},
    },
}
"""What `ray up cluster.yaml` writes on the head (ray_bootstrap_config.yaml), shortened."""

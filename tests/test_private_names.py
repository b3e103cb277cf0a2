"""Private names of other libraries: which, and where, read from the sources; and that they are there."""

import ast
from importlib import import_module
from pathlib import Path

import pytest
from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm

PACKAGE = Path(__file__).parents[1] / "raygan"
RAY, DERIVED = "cluster/ray_private.py", "gan/derived.py"
MODULES = {
    (RAY, "ray._private.authentication.http_token_authentication.get_auth_headers_if_auth_enabled"),
    (RAY, "ray._private.node.Node"),
    (RAY, "ray._private.parameter.RayParams"),
    (RAY, "ray._private.resource_and_label_spec.ResourceAndLabelSpec"),
    (RAY, "ray._private.runtime_env.constants.RAY_JOB_CONFIG_JSON_ENV_VAR"),
    (RAY, "ray._private.services.canonicalize_bootstrap_address"),
    (RAY, "ray._private.state.available_resources_per_node"),
    (RAY, "ray._private.worker.shutdown"),
    (DERIVED, "torch.nn.utils.parametrizations._SpectralNorm"),
    ("gan/spectral.py", "torch.nn.utils.parametrizations._SpectralNorm"),
    ("gan/statistics.py", "torch.nn.modules.batchnorm._BatchNorm"),
    ("gan/torch_private.py", "torch.utils._python_dispatch.TorchDispatchMode"),
}
ATTRIBUTES = {(RAY, name) for name in ("_private", "_global_node", "_actor_id")}
ATTRIBUTES |= {(DERIVED, name) for name in ("_forward_pre_hooks", "_u", "_v", "_reshape_weight_to_matrix")}
ATTRIBUTES |= {("gan/stacked.py", "_foreach_copy_")}  # of torch
ATTRIBUTES |= {("cli.py", "_exit")}  # of os, which documents it


def is_private(name):
    return any(part.startswith("_") and not part.endswith("__") for part in name.split("."))


def used():
    """Private imports and attributes with their files; what is of an object's own or of raygan's is left out."""
    modules, attributes = set(), set()
    for path in PACKAGE.rglob("*.py"):
        where, tree = path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules |= {(where, alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules |= {(where, f"{node.module}.{alias.name}") for alias in node.names}
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) not in {"self", "cls"}:
                attributes.add((where, node.attr))
    return {one for one in modules if is_private(one[1])}, {one for one in attributes if is_private(one[1])}


def test_they_are_these_and_no_others():
    assert used() == (MODULES, ATTRIBUTES)


@pytest.mark.parametrize("name", sorted({name for _, name in MODULES}))
def test_what_is_imported_is_there(name):
    module, _, last = name.rpartition(".")
    assert hasattr(import_module(module), last)


def test_attributes_are_there():
    from ray._raylet import InnerGcsClient
    from ray.actor import ActorHandle

    assert hasattr(import_module("ray._private.worker"), "_global_node")
    assert isinstance(ActorHandle._actor_id, property)
    assert {"get_cluster_status", "internal_kv_get"} <= set(dir(InnerGcsClient))
    norm = _SpectralNorm(nn.Linear(3, 3).weight.detach())
    names = ("_u", "_v", "_reshape_weight_to_matrix", "_forward_pre_hooks", "_power_method")
    assert all(hasattr(norm, name) for name in names)
    assert hasattr(import_module("torch"), "_foreach_copy_")
    assert hasattr(import_module("torch.utils._python_dispatch").TorchDispatchMode, "_should_skip_dynamo")


def test_what_an_autoscaler_reports_is_named_as_in_ray():
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.core.generated.autoscaler_pb2 import AutoscalingState, GetClusterStatusReply, NodeState

    from raygan.cluster import ray_private

    assert DEBUG_AUTOSCALING_STATUS.encode() == ray_private._STATUS_KEY
    fields = {"autoscaler_state_version", "pending_instance_requests", "pending_instances", "failed_instance_requests"}
    assert fields | {"infeasible_gang_resource_requests"} <= set(AutoscalingState.DESCRIPTOR.fields_by_name)
    assert {"ray_node_type_name", "status"} <= set(NodeState.DESCRIPTOR.fields_by_name)
    assert set(GetClusterStatusReply.DESCRIPTOR.fields_by_name) == {"autoscaling_state", "cluster_resource_state"}

"""What must hold of a job for KubeRay."""

import shlex
import tomllib

import ray

import raygan
from tests.cluster_checks import ROOT, started
from tests.kuberay import RayJob, amount


def check_job(raw):
    """All of it."""
    spec = RayJob.model_validate(raw).spec
    cluster, (gpu,) = spec.ray_cluster_spec, spec.ray_cluster_spec.worker_group_specs
    head = cluster.head_group_spec
    assert spec.shutdown_after_job_finishes
    assert cluster.enable_in_tree_autoscaling
    assert cluster.auth_options.mode == "token"
    assert cluster.ray_version.split(".")[:2] == ray.__version__.split(".")[:2]
    assert (head.ray_start_params["num-cpus"], head.ray_start_params["num-gpus"]) == ("0", "0")
    assert "nvidia.com/gpu" not in head.template.container.resources.limits
    assert amount(gpu.template.container.resources.limits["nvidia.com/gpu"]) >= 1
    assert (gpu.replicas, gpu.min_replicas) == (0, 0)
    assert gpu.max_replicas > 0
    for group in (head, gpu):
        check_pod(group)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {group.template.container.image for group in (head, gpu)} == {f"YOUR-REGISTRY/raygan:{version}"}
    check_entrypoint(spec.entrypoint)


def check_pod(group):
    """Requests are limits; the object store is in memory, which it leaves most of."""
    container, (volume,) = group.template.container, group.template.spec.volumes
    assert container.resources.requests == container.resources.limits
    assert [(mount.name, mount.mount_path) for mount in container.volume_mounts] == [(volume.name, "/dev/shm")]
    assert volume.empty_dir.medium == "Memory"
    words = [f"--{name}={value}" for name, value in group.ray_start_params.items()]
    store = started(shlex.join(["ray", "start", *words]))["object_store_memory"]
    assert 0 < store <= 0.95 * amount(volume.empty_dir.size_limit)
    assert amount(volume.empty_dir.size_limit) <= 0.4 * amount(container.resources.limits["memory"])


def check_entrypoint(entrypoint):
    """Words that `raygan train` takes, and a run folder that outlives the cluster."""
    program, command, *words = shlex.split(entrypoint)
    assert (program, command) == ("raygan", "train")
    where = words.index("--out")
    assert words[where + 1].startswith("s3://")
    raygan.load_config(None, words[:where] + words[where + 2 :])

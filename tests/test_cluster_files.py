"""The files that `ray up` and KubeRay are given, checked without a cloud, and that the checks can fail."""

import copy
import shlex
import shutil
import subprocess
import sys
import zipfile

import click
import jsonschema
import pytest
import yaml

from tests.cluster_checks import (
    CHECKS,
    ROOT,
    SOURCES,
    a_token_is_asked_for,
    machines_leave_nothing_and_ask_for_tokens,
    memory_fits,
    nothing_is_open_but_ssh,
    pinned,
    ray_starts_as_it_should,
    ray_takes_it,
    raygan_is_installed_from_the_checkout,
    the_head_holds_no_device,
    versions_are_those_tested,
    workers_come_and_go,
)
from tests.rayjob_checks import check_job

FILES = {"aws": ROOT / "cluster.yaml", "gcp": ROOT / "scripts/cluster/gcp.yaml"}
JOB, DOCKERFILE = ROOT / "scripts/cluster/rayjob.yaml", ROOT / "scripts/cluster/Dockerfile"


@pytest.fixture(autouse=True)
def where_ray_up_is_run(tmp_path, monkeypatch):
    """The checkout, with a token in the home folder."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").write_text("0" * 64)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("cloud", FILES)
def test_a_cluster_file(cloud, check):
    check(yaml.safe_load(FILES[cloud].read_text()))


def test_the_job():
    check_job(yaml.safe_load(JOB.read_text()))


def test_the_image_is_that_of_the_clusters():
    lines = DOCKERFILE.read_text().replace("\\\n", " ").splitlines()
    told = dict(line.split(" ", 1) for line in lines if line.startswith(("FROM", "RUN", "ENV")))
    for path in FILES.values():
        raw = yaml.safe_load(path.read_text())
        assert told["FROM"] == raw["docker"]["image"]
        assert shlex.split(told["RUN"]) == shlex.split(raw["setup_commands"][0])
    assert pinned(told["FROM"])[0] == yaml.safe_load(JOB.read_text())["spec"]["rayClusterSpec"]["rayVersion"]
    assert told["ENV"] == "RAY_USAGE_STATS_ENABLED=0"
    for line in lines:
        if line.startswith("COPY"):
            assert all((ROOT / source).exists() for source in line.split()[2:-1]), line


def changed(raw, path, value):
    """A copy with one value changed, or added; None removes it."""
    raw = copy.deepcopy(raw)
    *parents, last = (int(name) if name.isdigit() else name for name in path.split())
    place = raw
    for name in parents:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return raw


REFUSED = (AssertionError, click.UsageError, jsonschema.ValidationError, ValueError)
START = "ray start --head --port=6379 --object-store-memory=8000000000 --disable-usage-stats"
WORKER = "ray start --address=$RAY_HEAD_IP:6379"
DISK = "available_node_types gpu node_config BlockDeviceMappings 0 Ebs"
METADATA = "available_node_types gpu node_config MetadataOptions"
MUTATIONS = [
    (ray_takes_it, "min_workers", 1),
    (ray_takes_it, "initial_workers", 1),
    (ray_takes_it, "autoscaling_mode", "default"),
    (ray_takes_it, "target_utilization_fraction", 0.8),
    (ray_takes_it, "head_node", {}),
    (ray_takes_it, "worker_nodes", {}),
    (ray_takes_it, "idle_timeout", 5),
    (ray_takes_it, "head_node_type", "heda"),
    (ray_takes_it, "docker container_name", None),
    (ray_takes_it, "available_node_types gpu min_workers", 99),
    (ray_takes_it, "available_node_types gpu resources", {"GPU": 0.5}),
    (ray_takes_it, "available_node_types gpu node_config", None),
    (versions_are_those_tested, "docker image", "rayproject/ray:latest-gpu"),
    (versions_are_those_tested, "docker image", "rayproject/ray:2.9.0-py311-gpu"),
    (versions_are_those_tested, "docker image", "rayproject/ray:2.60.0-py39-gpu"),
    (versions_are_those_tested, "docker image", "rayproject/ray-ml:2.60.0-py311-gpu"),
    (versions_are_those_tested, "docker worker_image", "rayproject/ray:2.59.0-py311-gpu"),
    (the_head_holds_no_device, "available_node_types head resources", {}),
    (the_head_holds_no_device, "available_node_types head resources", {"CPU": 0, "GPU": 1}),
    (workers_come_and_go, "available_node_types gpu min_workers", 1),
    (workers_come_and_go, "available_node_types gpu_spot max_workers", 2),
    (workers_come_and_go, "available_node_types gpu_spot node_config", {}),
    (workers_come_and_go, "idle_timeout_minutes", 600),
    (workers_come_and_go, "provider cache_stopped_nodes", True),
    (nothing_is_open_but_ssh, "provider security_group", {"IpPermissions": [{"FromPort": 8265, "ToPort": 8265}]}),
    (nothing_is_open_but_ssh, "head_start_ray_commands 1", f"{START} --dashboard-host=0.0.0.0"),
    (nothing_is_open_but_ssh, "docker run_options 1", "--publish 8265:8265"),
    (nothing_is_open_but_ssh, "available_node_types head node_config tags", {"items": ["http-server"]}),
    (a_token_is_asked_for, "file_mounts /home/ray/.ray", None),
    (a_token_is_asked_for, "file_mounts", {"/home/ray/.ray/auth_token": "~/.ray/auth_token"}),
    (a_token_is_asked_for, "docker run_options 2", "--env RAY_AUTH_MODE=disabled"),
    (a_token_is_asked_for, "worker_start_ray_commands", ["docker ps"]),
    (memory_fits, "docker run_options 0", "--shm-size=30g"),
    (memory_fits, "docker run_options 0", "--shm-size=4g"),
    (memory_fits, "worker_start_ray_commands 1", WORKER),
    (memory_fits, "worker_start_ray_commands 1", f"{WORKER} --object-store-memory=20000000000"),
    (ray_starts_as_it_should, "head_start_ray_commands 1", START.replace(" --disable-usage-stats", "")),
    (ray_starts_as_it_should, "head_start_ray_commands 1", START),
    (ray_starts_as_it_should, "docker run_options 3", "--env RAY_USAGE_STATS_ENABLED=1"),
    (raygan_is_installed_from_the_checkout, "rsync_exclude", []),
    (raygan_is_installed_from_the_checkout, "file_mounts /home/ray/raygan", "."),
    (raygan_is_installed_from_the_checkout, "file_mounts /home/ray/raygan/LICENSE", None),
    (
        machines_leave_nothing_and_ask_for_tokens,
        "available_node_types gpu node_config MetadataOptions HttpTokens",
        "no",
    ),
    (machines_leave_nothing_and_ask_for_tokens, f"{DISK} DeleteOnTermination", False),
    (raygan_is_installed_from_the_checkout, "setup_commands 0", "pip install ray==2.60.0 torch torchvision"),
    (raygan_is_installed_from_the_checkout, "setup_commands", []),
]


JOB_MUTATIONS = [
    ("apiVersion", "ray.io/v1alpha1"),
    ("spec shutdownAfterJobFinishes", False),
    ("spec activeDeadlineSeconds", 0),
    ("spec activeDeadlineSeconds", None),
    ("spec shutdownAfterJobFinish", True),
    ("spec entrypoint", "raygan train devises=16 --out s3://YOUR-BUCKET/runs/first"),
    ("spec entrypoint", "raygan train devices=16 --out runs/first"),
    ("spec rayClusterSpec rayVersion", "2.9.0"),
    ("spec rayClusterSpec authOptions mode", "disabled"),
    ("spec rayClusterSpec authOptions", None),
    ("spec rayClusterSpec autoscalerOptions idleTimeoutSeconds", "600"),
    ("spec rayClusterSpec headGroupSpec serviceType", "LoadBalancer"),
    ("spec rayClusterSpec headGroupSpec rayStartParams num-cpus", "4"),
    ("spec rayClusterSpec headGroupSpec rayStartParams num-cores", "0"),
    ("spec rayClusterSpec headGroupSpec template spec containers 0 image", "YOUR-REGISTRY/raygan:latest"),
    ("spec rayClusterSpec workerGroupSpecs 0 minReplicas", 1),
    ("spec rayClusterSpec workerGroupSpecs 0 rayStartParams object-store-memory", "20000000000"),
    ("spec rayClusterSpec workerGroupSpecs 0 template spec volumes 0 emptyDir medium", ""),
    ("spec rayClusterSpec workerGroupSpecs 0 template spec volumes 0 emptyDir sizeLimit", "10 GB"),
    ("spec rayClusterSpec workerGroupSpecs 0 template spec containers 0 resources limits memory", "8Gi"),
    ("spec rayClusterSpec workerGroupSpecs 0 template spec containers 0 volumeMounts 0 mountPath", "/shm"),
]


@pytest.mark.parametrize(("check", "path", "value"), MUTATIONS)
def test_a_wrong_cluster_file_is_refused(check, path, value):
    with pytest.raises(REFUSED):
        check(changed(yaml.safe_load(FILES["aws"].read_text()), path, value))


@pytest.mark.parametrize(("path", "value"), JOB_MUTATIONS)
def test_a_wrong_job_is_refused(path, value):
    with pytest.raises(REFUSED):
        check_job(changed(yaml.safe_load(JOB.read_text()), path, value))


def test_what_is_mounted_is_enough_to_install_raygan(tmp_path):
    """As pip does it on a node."""
    for name in SOURCES:
        source = ROOT / name
        copy_of = shutil.copytree if source.is_dir() else shutil.copy
        copy_of(source, tmp_path / name)
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "built")]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "built").glob("raygan-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "raygan/cli.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_what_ray_up_reads_is_small():
    mounted = yaml.safe_load(FILES["aws"].read_text())["file_mounts"].values()
    paths = [path for here in mounted if here in SOURCES for path in [ROOT / here, *(ROOT / here).rglob("*")]]
    assert sum(path.stat().st_size for path in paths if path.is_file() and "__pycache__" not in path.parts) < 10e6

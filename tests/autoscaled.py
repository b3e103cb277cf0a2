"""A Ray cluster with Ray's own autoscaler (v2) and its fake provider, whose nodes are processes of this machine."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.util import get_node_ip_address

from tests.head import ROOT, free_ports, listens, wait_for

FAKE = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
"""Named as an external one: its own type needs a file that Ray's wheel lacks."""
FAILING = "tests.autoscaled_failing.FailingProvider"
"""A provider that refuses every machine, in the words of a cloud."""


def config_of(gcs_address: str, kinds: Mapping[str, Any], provider: str, idle_minutes: float) -> Any:
    """A cluster file: a head without CPUs, and workers of these kinds."""
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    return {
        "cluster_name": "fake",
        "max_workers": 8,
        "idle_timeout_minutes": idle_minutes,
        "provider": {
            "disable_launch_config_check": True,
            "disable_node_updaters": True,
            "launch_multiple": True,
            "head_node_id": FAKE_HEAD_NODE_ID,
            "gcs_address": gcs_address,
            "type": "external",
            "module": provider,
        },
        "available_node_types": {"ray.head.default": head, **kinds},
        "head_node_type": "ray.head.default",
        "auth": {},
        "file_mounts": {},
        **{name: [] for name in ("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands")},
        **{f"{kind}{what}": [] for kind in ("", "head_", "worker_") for what in ("setup_commands",)},
        **{f"{kind}_start_ray_commands": [] for kind in ("head", "worker")},
    }


class Autoscaled:
    """Where it is, and how to run a command with it."""

    def __init__(self, address: str, environment: dict[str, str], folder: Path) -> None:
        self.address, self.environment, self.folder = address, environment, folder

    def run(self, *command: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """A command with what it writes."""
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )


@contextmanager
def autoscaled(
    cache: Path,
    kinds: Mapping[str, Any],
    provider: str = FAKE,
    idle_minutes: float = 0.1,
    v2: bool = True,
) -> Iterator[Autoscaled]:
    """With no worker at first; ended with all its nodes."""
    folder = Path(tempfile.mkdtemp(prefix="ra-", dir="/tmp"))  # a socket's path may not be long
    gcs, clients, agent = free_ports(3)
    address, file = f"{get_node_ip_address()}:{gcs}", folder / "cluster.yaml"
    file.write_text(yaml.safe_dump(config_of(address, kinds, provider, idle_minutes)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAYGAN_CACHE": str(cache),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_autoscaler_v2": "1" if v2 else "0",
        "RAY_FAKE_CLUSTER": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    }
    of_head = {"RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID}
    command = ["ray", "start", "--head", "--block", "--num-cpus=0", "--object-store-memory=200000000"]
    command += [f"--autoscaling-config={file}", f"--port={gcs}"]
    command += [f"--ray-client-server-port={clients}", f"--dashboard-agent-listen-port={agent}"]
    command += ["--include-dashboard=false", f"--temp-dir={folder}/ray"]
    log = folder / "log"
    with log.open("w") as written:
        process = subprocess.Popen(
            command, env=environment | of_head, stdout=written, stderr=written, start_new_session=True
        )
    try:
        wait_for(lambda: "block forever" in log.read_text() and listens(gcs), process)
        yield Autoscaled(address, environment, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)

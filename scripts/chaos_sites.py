"""Where scripts/chaos.py plays its runs: a small filesystem that can be filled, a Ray cluster that can lose a node."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chaos_runs import MARK, marked

_MOUNT = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs"]
_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
_ACTORS = ("ray::WorkerActor", "ray::ServerActor", "ray::RecorderActor")


class SmallDisk:
    """A filesystem of a few megabytes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._filler = root / "filler"

    def fill(self) -> None:
        """Take all the space there is now; to be repeated, as a run also deletes files."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (2**20, 2**12, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def clear(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)

    def is_full(self) -> bool:
        """Whether nothing can be added."""
        return shutil.disk_usage(self.root).free == 0


@contextmanager
def small_disk(root: Path) -> Iterator[SmallDisk | None]:
    """Mount one at `root`; None where this process may not."""
    root.mkdir()
    mounted = subprocess.run([*_MOUNT, str(root)], capture_output=True, check=False).returncode == 0
    try:
        yield SmallDisk(root) if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(root)], check=True)


def enter_namespace() -> None:
    """Begin this script anew where it may mount, if it may not here but may there."""
    probe = tempfile.mkdtemp()
    try:
        if subprocess.run([*_MOUNT, probe], capture_output=True, check=False).returncode == 0:
            subprocess.run(["umount", probe], check=True)
            return
        there = [*_NAMESPACE, *_MOUNT, probe]
        may = shutil.which("unshare") and subprocess.run(there, capture_output=True, check=False).returncode == 0
    finally:
        Path(probe).rmdir()
    if may:
        os.execvp(_NAMESPACE[0], [*_NAMESPACE, sys.executable, *sys.argv])


class LocalCluster:
    """A Ray cluster of a head without CPUs, which drivers join, and two nodes of which each can hold a whole run."""

    def __init__(self, mark: str, cpus: int) -> None:
        import ray.cluster_utils  # two seconds that only this kind of fault costs

        self._mark, self._cpus = mark, cpus
        self._marks: dict[str, str] = {}
        self._cluster: Any = None
        self._cluster = ray.cluster_utils.Cluster()
        self._add(num_cpus=0, include_dashboard=False)
        for _ in range(2):
            self.add_node()

    @property
    def address(self) -> str:
        """For engine.address."""
        return str(self._cluster.address)

    @property
    def nodes(self) -> dict[str, Any]:
        """The worker nodes by their ids."""
        return {node.node_id: node for node in self._cluster.worker_nodes}

    def add_node(self) -> None:
        """Add a node that can hold a whole run."""
        self._add(num_cpus=self._cpus)

    def _add(self, **options: Any) -> None:
        mark = f"{self._mark}-cluster-{len(self._marks)}-"
        os.environ[MARK] = mark  # every process of the node inherits it
        try:
            node = self._cluster.add_node(**options)
        finally:
            del os.environ[MARK]
        self._marks[node.node_id] = mark

    def processes_of(self, node_id: str) -> list[Any]:
        """Those of a node, also after its end."""
        return marked(self._marks[node_id])

    def actors(self) -> list[Any]:
        """The processes of runs, on any node."""
        everything = [process for mark in self._marks.values() for process in marked(mark)]
        return [process for process in everything if " ".join(process.cmdline()).startswith(_ACTORS)]

    def remove(self, node_id: str) -> None:
        """Kill all processes of a node."""
        self._cluster.remove_node(self.nodes[node_id], allow_graceful=False)

    def kill_raylet(self, node_id: str) -> None:
        """Kill the process that holds a node together; the others end as they notice."""
        raylet = self.nodes[node_id].all_processes["raylet"][0].process
        raylet.kill()
        raylet.wait()  # it is this script's child: one that is not waited for still seems alive to its workers

    def close(self) -> None:
        """End all of it."""
        for node_id in self.nodes:
            self.remove(node_id)
        self._cluster.remove_node(self._cluster.head_node, allow_graceful=False)

"""A Ray cluster that `ray up` brings up on hosts of this machine, and `ray down` takes down."""

import re
import sys
import time
from pathlib import Path

import yaml

from tests.namespaces.hosts import Host, Network
from tests.namespaces.shell import ShellError

RAY = Path(sys.executable).parent / "ray"
PORT = 6379
STORE_BYTES = 300_000_000
JOIN_S = 240.0
"""How long nodes may take to join, or to be missed."""
TOKEN = "RAY_AUTH_MODE=token"
V1 = "RAY_UP_enable_autoscaler_v2=0"
STYLE = "--log-style pretty --log-color false"
NODES = (
    "import ray; ray.init('{address}', log_to_driver=False, logging_level='ERROR'); "
    "print(*[node['NodeID'] + ' ' + node['NodeManagerAddress'] for node in ray.nodes()], sep='\\n')"
)


class Cluster:
    """The first host is the operator's desk, the second the head, the others are the workers."""

    def __init__(self, network: Network, cpus: int) -> None:
        """Each worker has so many logical CPUs; the head has one, for the server."""
        self._network = network
        self.desk, self.head, *self.workers = network.hosts
        self.address = f"{self.head.address}:{PORT}"
        self._file = network.work / "cluster.yaml"
        self._file.write_text(yaml.safe_dump(self._config(cpus), sort_keys=False, width=1000), encoding="utf-8")

    def _config(self, cpus: int) -> dict[str, object]:
        # The start commands that Ray would fill in begin with `ray stop`. With the second autoscaler of Ray 2.60, the
        # workers of this provider never start.
        start = f"{TOKEN} {RAY} start --disable-usage-stats --object-store-memory={STORE_BYTES}"
        head = f"--head --port={PORT} --node-ip-address={self.head.address} --num-cpus=1 --include-dashboard=false"
        bootstrap = "--autoscaling-config=~/ray_bootstrap_config.yaml"
        addresses = [worker.address for worker in self.workers]
        return {
            "cluster_name": self._network.work.name,
            "provider": {"type": "local", "head_ip": self.head.address, "worker_ips": addresses},
            "auth": {"ssh_user": "root", "ssh_private_key": str(self._network.key)},
            "min_workers": len(self.workers),
            "max_workers": len(self.workers),
            "file_mounts": {"~/.ray/auth_token": "~/.ray/auth_token"},
            "head_start_ray_commands": [f"RAY_enable_autoscaler_v2=0 {start} {head} {bootstrap}"],
            "worker_start_ray_commands": [f"{start} --address=$RAY_HEAD_IP:{PORT} --num-cpus={cpus}"],
        }

    def up(self) -> None:
        """Bring it up, and wait until all nodes are there.

        Raises:
            ShellError: one of them does not come.
        """
        self.desk.run(f"cat {self._file}")
        self.desk.run("ray get-auth-token --generate | wc --bytes")
        self.desk.run(f"{V1} ray up -y --no-config-cache {STYLE} {self._file}")
        try:
            self.wait_for(1 + len(self.workers))
        except ShellError:
            self.head.run("tail -n 40 /tmp/ray/session_latest/logs/monitor.log", check=False)
            raise

    def wait_for(self, nodes: int) -> None:
        """Show `ray status` once it tells of so many nodes.

        Raises:
            ShellError: it does not.
        """
        command, deadline = f"{TOKEN} ray status", time.monotonic() + JOIN_S
        while active_nodes(status := self.head.quietly(command)) != nodes:
            if time.monotonic() > deadline:
                raise ShellError(f"not {nodes} nodes after {JOIN_S:g} s:\n{status}")
            time.sleep(2)
        self.head.run(command)

    def nodes(self, asked_from: Host) -> dict[str, Host]:
        """The host of each node's id, those that have ended included."""
        _, output = asked_from.run(f'{TOKEN} python -c "{NODES.format(address=self.address)}"')
        hosts = {host.address: host for host in (self.head, *self.workers)}
        return {node: hosts[address] for node, address in re.findall(r"^([0-9a-f]{56}) (\S+)$", output, re.MULTILINE)}

    def down(self) -> None:
        """Take it down: the provider forgets the nodes; what runs on them ends with the hosts."""
        self.desk.run(f"ray down -y {STYLE} {self._file}")


def active_nodes(status: str) -> int:
    """How many nodes `ray status` calls active; 0 where it says nothing of them."""
    active = re.search(r"^Active:\n((?: .*\n)*)", status, re.MULTILINE)
    return sum(int(count) for count in re.findall(r"^ (\d+) \S+$", active.group(1), re.MULTILINE)) if active else 0

"""Runs of `raygan train` on a cluster of hosts, compared with the same config in one process outside."""

import json
import shlex
import sys
from pathlib import Path

from raygan.record.folder import RunFolder
from tests.namespaces.cluster import TOKEN, Cluster
from tests.namespaces.hosts import Host
from tests.namespaces.shell import Running, ShellError, run, say

RAYGAN = Path(sys.executable).parent / "raygan"
PATIENCE_S = 600.0
REFUSAL = "InvalidAuthToken"
KILL_BEHIND = 30
"""The round behind which a node is killed: a checkpoint is there, and there are rounds to be replayed."""


def words(devices: int, rounds: int) -> list[str]:
    """A run of tiny networks, an actor per device."""
    return [
        *("data.name=digits", "data.limit=600", f"devices={devices}", f"rounds={rounds}", "batch_size=16"),
        *("gan.latent=8", "gan.generator_width=8", "gan.discriminator_width=8", "device_steps=2"),
        *("engine.devices_per_actor=1", f"eval.every={rounds}", "eval.samples=50", "eval.classifier_epochs=1"),
        *("eval.grid=4", "checkpoint.every=20"),
    ]


class Runs:
    """Runs on one cluster. Their folders are in its work folder, which every host sees."""

    def __init__(self, cluster: Cluster, work: Path) -> None:
        self._cluster, self._work = cluster, work
        self._cache = f"RAYGAN_CACHE={work}/cache"
        self._nodes: dict[str, Host] = {}

    def train(self, name: str, config: list[str]) -> RunFolder:
        """Train on the cluster, as a user would on its head."""
        command, folder = self._command(name, config)
        self._cluster.head.run(command)
        return folder

    def begin(self, name: str, config: list[str]) -> tuple[Running, RunFolder]:
        """Begin to train on the cluster, likewise."""
        command, folder = self._command(name, config)
        return self._cluster.head.begin(command, self._work / f"{name}.log"), folder

    def wait_for(self, running: Running, folder: RunFolder, round: int) -> int:
        """Wait until a run has recorded a round; returns the last that it has.

        Raises:
            ShellError: it ended before, or the round did not come.
        """
        running.wait_until(lambda: folder.log.last_round() >= round, f"round {round}", PATIENCE_S)
        return folder.log.last_round()

    def _command(self, name: str, config: list[str]) -> tuple[str, RunFolder]:
        folder = RunFolder(self._work / name)
        asked = shlex.join([*config, "engine.address=auto", "--out", str(folder.root)])
        return f"{TOKEN} {self._cache} raygan train {asked}", folder

    def train_inline(self, name: str, config: list[str]) -> RunFolder:
        """Train outside, in one process without Ray."""
        folder = RunFolder(self._work / name)
        asked = shlex.join([*config, "engine.executor=inline", "--out", str(folder.root)])
        run(f"PYTHONPATH={Path(__file__).resolve().parents[1]} {self._cache} {RAYGAN} train {asked}")
        return folder

    def held(self, folder: RunFolder) -> dict[str, list[str]]:
        """Show and return which of a run's processes each node has, as its environment.json tells."""
        self._nodes = self._nodes or self._cluster.nodes(self._cluster.head)
        held: dict[str, list[str]] = {host.name: [] for host in (self._cluster.head, *self._cluster.workers)}
        for process in json.loads(folder.environment.read_text(encoding="utf-8"))["processes"]:
            held[self._nodes[process["node"]].name].append(process["role"])
        for name, roles in held.items():
            say(f"{name}: {', '.join(roles) or 'nothing'}")
        return held

    def check_spread(self, folder: RunFolder) -> None:
        """Raise unless every worker had some of the devices."""
        held = self.held(folder)
        if idle := [worker.name for worker in self._cluster.workers if not _devices(held[worker.name])]:
            raise ShellError(f"no device was on {', '.join(idle)}")

    def check_refusals(self, config: list[str]) -> None:
        """From a worker's host, join with the token, without one and with a wrong one.

        Raises:
            ShellError: not exactly the first was let in, or the others were turned away for another reason.
        """
        somewhere = self._cluster.workers[0]
        if not self._cluster.nodes(somewhere):
            raise ShellError("a client with the token was not let in")
        fewer_tries = "RAY_NUM_REDIS_GET_RETRIES=3"
        asked = shlex.join([*config, f"engine.address={self._cluster.address}", "--out", f"{self._work}/refused"])
        for token in ("RAY_AUTH_MODE=disabled", f"{TOKEN} RAY_AUTH_TOKEN={'0' * 64}"):
            command = f"{token} {fewer_tries} {self._cache} timeout 120 raygan train {asked}"
            status, output = somewhere.run(command, check=False)
            if status == 0:
                raise ShellError("a client without the token was let in")
            if REFUSAL not in output:
                raise ShellError(f"a client without the token failed, but not with {REFUSAL}")
            say(f"exit status {status}: refused")

    def lose_a_node(self, name: str, config: list[str]) -> RunFolder:
        """Train, and kill everything on one node in the middle; the others take over.

        Raises:
            ShellError: the run does not end well, or not on the other nodes.
        """
        victim = self._cluster.workers[-1]
        running, folder = self.begin(name, config)
        try:
            self.wait_for(running, folder, KILL_BEHIND)
            if not _devices(self.held(folder)[victim.name]):
                raise ShellError(f"{victim.name} has no device that could be lost")
            for process in victim.processes():
                say(f"kill {process.pid} on {victim.name}: {process.name()}")
            victim.kill()
            if running.is_over:
                raise ShellError("the run was over before the node was lost")
            say(f"{victim.name} is gone after round {folder.log.last_round()}")
            running.finish()
        finally:
            running.kill()
        if _devices(self.held(folder)[victim.name]):
            raise ShellError(f"{victim.name} is gone, but the run does not know it")
        self._cluster.wait_for(len(self._cluster.workers))
        return folder


def check_equal(one: RunFolder, other: RunFolder) -> None:
    """Raise unless two runs have the same generator, byte for byte."""
    run(f"sha256sum {one.generator} {other.generator}")
    run(f"cmp {one.generator} {other.generator} && echo equal")


def _devices(roles: list[str]) -> int:
    return sum(role.startswith("device") for role in roles)

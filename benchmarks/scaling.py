"""How a round's seconds and bytes grow with the nodes of a cluster, with the actors on each, and with their devices.

    python benchmarks/scaling.py [--nodes 1 2 3 4] [--seconds 5] [--out scaling.json]

Starts a head without room for actors and one to four nodes, as processes on this machine, and plays rounds on them in
which no device steps: what is left is what the cluster costs, but for the server's one generator step. All nodes share
this machine's cores and memory, so the hops between them are seen, and neither a real network nor more cores. `up` and
`down` of a round are as in docs/performance.md; the bytes are those that the nodes' object stores took in, copies made
on the way from node to node included. Bytes on a network: tests/namespaces --traffic.
"""

import argparse
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray.cluster_utils import Cluster
from rounds import BLOCKS, NORMS, images, median_spent, networks, playing
from store import created_bytes, created_since
from tables import machine

from raygan.config import load_config

CPUS = 16
STORE = 200 * 2**20


@dataclass(frozen=True)
class Case:
    """A run to be played."""

    nodes: int
    actors: int
    """On each node."""
    devices: int
    """Of each actor."""
    pre_average: bool

    @property
    def total(self) -> int:
        """Devices of the run."""
        return self.nodes * self.actors * self.devices

    def words(self) -> list[str]:
        """Of its config."""
        work = ["method=idle:Idle", "generator_steps=1", "batch_size=32", *networks(16), *NORMS]
        packing = [f"devices={self.total}", f"engine.devices_per_actor={self.devices}"]
        return [*work, *packing, f"engine.pre_average={str(self.pre_average).lower()}"]


@dataclass(frozen=True)
class Point:
    """What was seen of it."""

    case: Case
    blocks_s: list[float]
    """Seconds a round, of every block of rounds."""
    spent_s: dict[str, float]
    """Where a round's time went: medians over rounds."""
    stored_bytes: float
    """Taken in by all object stores, a round."""

    @property
    def line(self) -> str:
        """As a row of the table."""
        case, spent = self.case, {phase: 1e3 * seconds for phase, seconds in self.spent_s.items()}
        cells = [case.nodes, case.actors, case.devices, case.total, "yes" if case.pre_average else "no"]
        cells += [f"{1e3 * median(self.blocks_s):.0f} ({1e3 * min(self.blocks_s):.0f}-{1e3 * max(self.blocks_s):.0f})"]
        cells += [f"{spent[phase]:.1f}" for phase in ("down", "devices", "host", "up", "average", "server")]
        return "| " + " | ".join(map(str, [*cells, f"{self.stored_bytes / 1e6:.2f}"])) + " |"


COLUMNS = [
    *("nodes", "actors a node", "devices an actor", "devices", "one sum a node", "ms a round"),
    *("down", "devices", "host", "up", "average", "server", "MB stored"),
]


@contextmanager
def cluster_of(nodes: int) -> Iterator[None]:
    """A head without room for actors, and so many nodes."""
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=CPUS, object_store_memory=STORE)
        cluster.wait_for_nodes()
        ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def measured(case: Case, seconds: float) -> Point:
    """Play a case for about so long."""
    with tempfile.TemporaryDirectory(prefix="raygan-scaling-") as folder:
        words = [*case.words(), *images(Path(folder), 32 * case.total, 32)]
        with playing(load_config(None, words), Path(folder) / "run") as player:
            player.wait_until_quiet()
            _, rounds = player.warm_up(seconds)
            before = created_bytes()
            blocks = [player.block(rounds) for _ in range(BLOCKS)]
            stored = (created_since(before) or 0) / (BLOCKS * rounds)
    return Point(case, [block.s_per_round for block in blocks], median_spent(blocks), stored)


def cases(nodes: int, asked: argparse.Namespace) -> Iterator[Case]:
    """Those of a cluster; with and without one sum a node, where it makes a difference."""
    for actors, devices in product(asked.actors, asked.devices):
        for pre_average in (True, False) if nodes > 1 and actors > 1 else (True,):
            yield Case(nodes, actors, devices, pre_average)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 3, 4], help="numbers of nodes")
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 3], help="device actors on each node")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 50], help="devices of each actor")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each case is played, about")
    parser.add_argument("--out", type=Path, default=Path("scaling.json"))
    asked = parser.parse_args()
    points: list[Point] = []
    print(machine(), "", f"| {' | '.join(COLUMNS)} |", f"|{' ---: |' * len(COLUMNS)}", sep="\n", flush=True)
    for nodes in asked.nodes:
        with cluster_of(nodes):
            for case in cases(nodes, asked):
                points.append(measured(case, asked.seconds))
                print(points[-1].line, flush=True)
    asked.out.write_text(json.dumps([asdict(point) for point in points], indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Bytes that a round sends between the nodes of a cluster, as the kernel counts them on the hosts' interfaces."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from raygan.record.folder import RunFolder
from tests.namespaces.cluster import Cluster
from tests.namespaces.hosts import Host
from tests.namespaces.runs import Runs, check_equal
from tests.namespaces.shell import ShellError, say

DEVICES = 24
FIRST, LAST = 20, 80
"""Rounds between which is counted: what happens once is over at the first, and the run goes on at the last."""
ROUNDS = LAST + 10
IDLE_S = 10.0
VARIANTS = {f"pre_average={value}": [f"engine.pre_average={value}"] for value in ("true", "false")}
"""What is compared: words of a config under the name they have in the table."""


def words(cpus_per_device: float) -> list[str]:
    """Networks of the size that the preset `fashion_mnist` would have at width 16, an actor per device."""
    return [
        *("data.name=digits", "data.size=32", f"devices={DEVICES}", f"rounds={ROUNDS}", "batch_size=8"),
        *("generator_batch_size=16", "gan.latent=100", "gan.generator_width=16", "gan.discriminator_width=16"),
        *("engine.devices_per_actor=1", f"engine.cpus_per_device={cpus_per_device:g}", "engine.ready_timeout_s=600"),
        *(f"eval.every={ROUNDS}", "eval.samples=50", "eval.classifier_epochs=1", f"checkpoint.every={ROUNDS}"),
    ]


@dataclass(frozen=True)
class Counters:
    """Of all nodes at one moment."""

    at: float
    round: int
    down: dict[str, int]
    """Bytes that came in."""
    up: dict[str, int]
    """Bytes that went out."""


def measure(cluster: Cluster, runs: Runs, cpus: int) -> None:
    """Play a run of each variant, and print the table; raises if their generators differ."""
    nodes = [cluster.head, *cluster.workers]
    each = DEVICES // len(cluster.workers)
    before = _counters(nodes, 0)
    time.sleep(IDLE_S)
    idle = _counters(nodes, 0)
    lines = []
    folders = []
    for number, (name, variant) in enumerate(VARIANTS.items(), start=1):
        running, folder = runs.begin(f"traffic{number}", [*words(cpus / each), *variant])
        try:
            counted = [_counters(nodes, runs.wait_for(running, folder, round)) for round in (FIRST, LAST)]
            running.finish()
        finally:
            running.kill()
        held = runs.held(folder)
        if any(len(held[worker.name]) != each for worker in cluster.workers):
            raise ShellError(f"not {each} devices on every worker")
        lines += [_line(name, host, (before, idle), (counted[0], counted[1])) for host in nodes]
        folders.append(folder)
    _print(cluster, folders[0], lines)
    for other in folders[1:]:
        check_equal(folders[0], other)


def _counters(nodes: Sequence[Host], round: int) -> Counters:
    at = time.monotonic()
    counts = {host.name: host.traffic() for host in nodes}
    down = {name: count[0] for name, count in counts.items()}
    up = {name: count[1] for name, count in counts.items()}
    return Counters(at, round, down, up)


def _line(name: str, host: Host, idle: tuple[Counters, Counters], counted: tuple[Counters, Counters]) -> str:
    seconds, rounds = counted[1].at - counted[0].at, counted[1].round - counted[0].round
    cells = []
    for way in ("down", "up"):
        per_s, total = (getattr(pair[1], way)[host.name] - getattr(pair[0], way)[host.name] for pair in (idle, counted))
        at_rest = per_s / (idle[1].at - idle[0].at)
        cells.append(f"{(total - at_rest * seconds) / rounds / 1000:,.1f} | {at_rest / 1000:,.1f}")
    return f"| {name} | {host.name} | {' | '.join(cells)} | {seconds / rounds:.3f} |"


def _print(cluster: Cluster, run: RunFolder, lines: list[str]) -> None:
    row = json.loads(run.log.rounds.read_text(encoding="utf-8").splitlines()[-1])
    say(
        f"\n{DEVICES} devices on {len(cluster.workers)} nodes, the server on the head. An update is "
        f"{row['bytes_up'] / DEVICES / 1000:,.1f} KB, what goes down {row['bytes_down'] / DEVICES / 1000:,.1f} KB. "
        f"Rounds {FIRST} to {LAST}, what an idle cluster sends subtracted; 1 KB is 1000 bytes.\n"
    )
    say("| | node | down (KB a round) | at rest (KB/s) | up (KB a round) | at rest (KB/s) | s a round |")
    say("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for line in lines:
        say(line)

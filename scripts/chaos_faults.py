"""The faults of scripts/chaos.py. Each strikes a run in its middle and returns once the run is known to go on.

What is done to a file is in tests/damage.py, for tests that strike a run folder at rest, too. A fault makes sure that
it hit: that what it killed was there, and that the run says what happened to it.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from random import Random

import numpy as np
import psutil
from chaos_runs import AGENTS_GONE_S, PATIENCE_S, LostError, MissedError, Run, title_of, wait_until_gone
from chaos_sites import LocalCluster, SmallDisk

from raygan.record.checkpoint import newest
from tests.damage import Damage, flip_a_bit, truncate

Fault = Callable[[Run, Random], None]


def lost_process(title: str, role: str) -> Fault:
    """The kernel kills a process of the run, which replaces it by itself."""

    def strike(run: Run, random: Random) -> None:
        victims = run.descendants(title)
        if not victims:
            raise MissedError(f"no {title} was there")
        behind = len(run.said())
        victim = random.choice(victims)
        victim.kill()
        psutil.wait_procs([victim], PATIENCE_S)
        run.wait_for_line(role, "the process died", "starting again", behind=behind)

    return strike


def lost_fork_server(run: Run, random: Random) -> None:
    """The kernel kills what workers are forks of, and then a worker, which a fork of another server replaces."""
    servers = [process for process in run.descendants() if "/fork_server.py --serve" in title_of(process)]
    if not servers:
        raise MissedError("no fork server was there")
    for server in servers:
        server.kill()
    lost_process("ray::WorkerActor", "device")(run, random)


def lost_head(run: Run, random: Random) -> None:
    """The kernel kills the process that Ray itself depends on; the run starts another Ray."""
    victims = [process for process in run.descendants() if "/gcs_server " in title_of(process)]
    if not victims:
        raise MissedError("no head was there")
    behind = len(run.said())
    victims[0].kill()
    run.wait_for_line("starting again", behind=behind)


def hung_process(run: Run, random: Random) -> None:
    """A device's or the server's process stops without an end, and the run ends and replaces it by itself."""
    victims = [*run.descendants("ray::WorkerActor"), *run.descendants("ray::ServerActor")]
    if not victims:
        raise MissedError("no process was there")
    behind = len(run.said())
    random.choice(victims).suspend()
    run.wait_for_line("engine.hang_timeout_s", "was ended", behind=behind)
    run.wait_for_line("starting again", behind=behind)


def lost_driver(run: Run, random: Random) -> None:
    """The kernel kills the command itself; it is resumed once its Ray is gone."""
    _stop(run, signal.SIGKILL)
    _resume(run)


def interrupted(run: Run, random: Random) -> None:
    """Ctrl-C in a terminal, which every process of the command gets, or a scheduler's SIGTERM to the command."""
    behind = len(run.said())
    _stop(run, random.choice([signal.SIGINT, signal.SIGTERM]))
    run.wait_for_line("Interrupted after round", behind=behind)
    _resume(run)


def damaged(change: Damage) -> Fault:
    """The newest checkpoint that --resume would take is not what was written; it takes the one before."""

    def strike(run: Run, random: Random) -> None:
        _stop(run, random.choice([signal.SIGKILL, signal.SIGTERM]))
        checkpoint = newest(run.folder.checkpoints, run.recorded())
        if checkpoint is None:
            raise LostError(f"no checkpoint at round {run.recorded()}")
        change(random.choice(sorted(checkpoint.iterdir())), np.random.default_rng(random.getrandbits(32)))
        behind = len(run.said())
        _resume(run)
        run.wait_for_line(str(checkpoint), "damaged, passed over", behind=behind)

    return strike


def full_disk(disk: SmallDisk) -> Fault:
    """Something else takes all space on the run folder's disk, and gives it back when the run has failed."""

    def strike(run: Run, random: Random) -> None:
        behind, deadline = len(run.complained()), time.monotonic() + PATIENCE_S
        try:
            while run.process.poll() is None and time.monotonic() < deadline:
                disk.fill()
                time.sleep(0.05)
            run.wait(1)
        finally:
            disk.clear()
        lines = run.complained()[behind:]
        if len(lines) != 1 or "No space left on device" not in lines[0]:
            raise LostError(f"{len(lines)} lines on stderr instead of one that says that the disk is full")
        run.allowed_complaints += 1
        _resume(run)

    return strike


def lost_node(cluster: LocalCluster) -> Fault:
    """A machine that holds actors of the run goes, all at once or its raylet first; later a fresh one comes."""

    def strike(run: Run, random: Random) -> None:
        processes = json.loads(run.folder.environment.read_text(encoding="utf-8"))["processes"]
        holding = sorted({process["node"] for process in processes} & cluster.nodes.keys())
        if not holding:
            raise MissedError("no node held an actor")
        victim, behind = random.choice(holding), len(run.said())
        if random.random() < 0.5:
            cluster.kill_raylet(victim)
        else:
            cluster.remove(victim)
        try:
            run.wait_for_line("starting again", behind=behind)
        finally:
            run.left |= wait_until_gone(lambda: cluster.processes_of(victim), AGENTS_GONE_S)
            if victim in cluster.nodes:  # nothing is left to kill, but the cluster is to forget it
                cluster.remove(victim)
            cluster.add_node()

    return strike


def _stop(run: Run, number: signal.Signals) -> None:
    """Send a signal to the command (Ctrl-C: to its whole group) and wait for the end that it should bring."""
    if number is signal.SIGINT:
        os.killpg(run.process.pid, number)
    else:
        run.process.send_signal(number)
    run.wait({signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number])


def _resume(run: Run) -> None:
    behind = len(run.said())
    run.start(resume=True)
    run.wait_for_line("going on after round", behind=behind)


PLAIN: dict[str, Fault] = {
    "device": lost_process("ray::WorkerActor", "device"),
    "server": lost_process("ray::ServerActor", "server: "),
    "evaluator": lost_process("ray::RecorderActor", "the recorder: "),
    "fork-server": lost_fork_server,
    "hung": hung_process,
    "head": lost_head,
    "driver": lost_driver,
    "truncated": damaged(truncate),
    "flipped": damaged(flip_a_bit),
    "interrupt": interrupted,
}
"""The kinds of fault that need nothing but a run."""
KINDS = (*PLAIN, "node", "full-disk")

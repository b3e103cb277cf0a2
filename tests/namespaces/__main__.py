"""Brings a Ray cluster up on this machine with `ray up`, trains on it, and takes it down again.

    sudo .venv/bin/python -m tests.namespaces [--workers 3] [--cpus 3] [--kill] [--traffic]

Nothing is simulated but the machines: a head, workers and an operator's desk are namespaces of this one, with networks,
processes, home folders and SSH servers of their own, and a switch between them. At the desk `ray up` brings up the
cluster by SSH, with the provider for machines of one's own (`local`) and authentication by token. Then a run is trained
on it, from the head; the generator has to be the one that a run in one process outside makes, byte for byte. Clients
without the token have to be refused.

Every command is shown, and in front of its `$` the host it runs on (by `nsenter`). In the end everything is taken away,
also after a failure or Ctrl-C, and what could be left is looked for. Needs root, Linux, iproute2, OpenSSH, rsync, and
the `dev` extra. Exit status 1: something is not as it should be; 2: it cannot be tried here.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from raygan.errors import InputError
from tests.namespaces.cluster import Cluster
from tests.namespaces.hosts import BRIDGE, ROOT, Network, check_machine
from tests.namespaces.left import Footprint, remove
from tests.namespaces.runs import Runs, check_equal, words
from tests.namespaces.shell import ShellError, chapter, say
from tests.namespaces.traffic import DEVICES, measure

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130


@click.command(help=(__doc__ or "").partition("\n\nNothing")[0])
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 9), help="Worker nodes.")
@click.option("--cpus", type=click.IntRange(1), help="Logical CPUs of a worker [default: enough when one is lost].")
@click.option("--devices", default=6, show_default=True, type=click.IntRange(1), help="Devices of the run.")
@click.option("--rounds", default=200, show_default=True, type=click.IntRange(100), help="Rounds of the run.")
@click.option("--kill", is_flag=True, help="Train once more, and kill a worker in the middle.")
@click.option("--traffic", is_flag=True, help="Count the bytes of a round (three workers: 9 GB, ten minutes).")
def main(workers: int, cpus: int | None, devices: int, rounds: int, kill: bool, traffic: bool) -> None:
    """See the top of this file."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        cpus = cpus or -(-devices // max(1, workers - 1))
        check_options(workers, cpus, devices, kill, traffic)
        check_machine()
        with hosts(["desk", "head", *[f"worker{number + 1}" for number in range(workers)]]) as network:
            show(network, cpus, words(devices, rounds), kill, traffic)
    except InputError as error:
        print(f"tests.namespaces: {error}", file=sys.stderr)
        sys.exit(WRONG_INPUT)
    except ShellError as error:
        print(f"tests.namespaces: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def check_options(workers: int, cpus: int, devices: int, kill: bool, traffic: bool) -> None:
    """Raise unless these options go together.

    Raises:
        InputError: an option asks for what there is no room for.
    """
    if devices < workers:
        raise InputError(f"--devices {devices}: every worker is to have one, so at least {workers}")
    if workers * cpus < devices:
        raise InputError(f"--cpus {cpus}: {workers} workers have no room for {devices} devices, one CPU each")
    if kill and (workers - 1) * cpus < devices:
        raise InputError(f"--kill: {workers - 1} workers of {cpus} CPUs have no room for {devices} devices")
    if traffic and DEVICES % workers:
        raise InputError(f"--workers {workers}: --traffic deals {DEVICES} devices evenly")


def show(network: Network, cpus: int, config: list[str], kill: bool, traffic: bool) -> None:
    """All that is shown on these hosts; raises `ShellError` when something is not as it should be."""
    cluster = Cluster(network, cpus)
    runs = Runs(cluster, network.work)
    chapter("ray up")
    cluster.up()
    chapter("A run on the cluster, and the same in one process outside")
    on_cluster = runs.train("cluster", config)
    runs.check_spread(on_cluster)
    inline = runs.train_inline("inline", config)
    check_equal(on_cluster, inline)
    chapter("Clients without the token")
    runs.check_refusals(config)
    if traffic:
        chapter("Bytes of a round")
        measure(cluster, runs, cpus)
    if kill:
        chapter("A node is lost in the middle of a run")
        check_equal(runs.lose_a_node("node-lost", config), inline)
    chapter("ray down")
    cluster.down()


@contextmanager
def hosts(names: list[str]) -> Iterator[Network]:
    """Hosts in a folder of their own. In the end nothing of them is left, or that is an error."""
    work = Path(tempfile.gettempdir()) / f"raygan-up-{os.getpid()}"
    footprint = Footprint(work)
    work.mkdir(mode=0o700)
    network = None
    try:
        chapter("Hosts")
        network = Network(work, [Path(sys.prefix), Path(sys.base_prefix), ROOT])
        for name in names:
            network.add(name)
        yield network
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # what is to be removed is removed
            signal.signal(number, signal.SIG_IGN)
        chapter("What is left")
        if network is not None:
            network.close()
        remove(work)
        say(f"{work} is removed")
        footprint.check(network.namespaces if network is not None else set(), [BRIDGE, *names])


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()

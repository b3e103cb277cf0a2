"""Runs on several nodes, which are processes on this machine: where actors go, nodes that come and nodes that go."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
from ray.cluster_utils import Cluster

import raygan
from tests.helpers import TINY, tiny

pytestmark = pytest.mark.slow

RAYGAN = str(Path(sys.executable).with_name("raygan"))
STORE = 80 * 2**20
WORDS = ["devices=9", "rounds=60", "checkpoint.every=10", "eval.every=60", "engine.cpus_per_device=0.5"]


@contextmanager
def nodes(*cpus: int) -> Iterator[tuple[Cluster, list[object]]]:
    """A head without room for anything, and nodes of so many CPUs."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    )
    try:
        workers = [cluster.add_node(num_cpus=cpu, object_store_memory=STORE) for cpu in cpus]
        cluster.wait_for_nodes()
        yield cluster, workers
    finally:
        cluster.shutdown()


@pytest.fixture(scope="module")
def three_nodes():
    with nodes(4, 4, 4) as (cluster, _):
        yield cluster


@pytest.fixture(scope="module")
def laptop(tmp_path_factory, cache):
    return raygan.train(tiny(*WORDS), tmp_path_factory.mktemp("runs") / "inline")


def started(cluster, out, *words):
    command = [RAYGAN, "train", *TINY, "engine.executor=ray", *WORDS, f"engine.address={cluster.address}", *words]
    return subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(run):
    """What it said, once it has ended as it should."""
    said, wrong = run.communicate(timeout=240)
    assert run.returncode == 0, wrong
    return said


def per_node(out):
    """How many device actors there are on each node."""
    processes = json.loads((out / "environment.json").read_text())["processes"]
    held = Counter(process["node"] for process in processes if process["role"].startswith("device"))
    return sorted(held.values(), reverse=True)


def same_bytes(out, laptop):
    return (out / "generator.safetensors").read_bytes() == laptop.generator.read_bytes()


WAYS = {
    "spread": ([], [3, 3, 3]),
    "packed, a message from each": (["engine.placement=pack", "engine.pre_average=false"], [6, 3]),
}


@pytest.mark.parametrize("way", ["spread", pytest.param("packed, a message from each", marks=pytest.mark.nightly)])
def test_where_actors_are_and_what_they_send_changes_no_bit(way, three_nodes, laptop, tmp_path):
    words, expected = WAYS[way]
    finished(started(three_nodes, tmp_path / "run", *words))
    assert per_node(tmp_path / "run") == expected
    assert same_bytes(tmp_path / "run", laptop)


ASYNCHRONOUS = [
    *("rounds=20", "eval.every=20", "schedule=asynchronous", "asynchronous.buffer=2", "averaged.upload=delta"),
    *("compute.device_spread=1", "compression.name=topk", "downlink_compression.name=topk"),
]


def test_devices_of_several_nodes_run_ahead_of_one_another_to_the_same_bytes(three_nodes, tmp_path, cache):
    inline = raygan.train(tiny(*WORDS, *ASYNCHRONOUS), tmp_path / "inline")
    assert max(row["staleness_max"] for row in inline.rows[1:]) > 1
    finished(started(three_nodes, tmp_path / "run", *ASYNCHRONOUS))
    assert per_node(tmp_path / "run") == [3, 3, 3]
    assert same_bytes(tmp_path / "run", inline)


def test_what_does_not_fit_is_refused_when_nobody_comes(three_nodes, tmp_path):
    run = started(three_nodes, tmp_path / "run", "devices=30", "engine.nodes_timeout_s=2")
    said, wrong = run.communicate(timeout=60)
    assert run.returncode == 2
    assert "waiting for room on the cluster, up to 2 s: engine: 30 device actors of 0.5 CPU each were asked for" in said
    assert wrong.count("\n") == 1
    assert "30 device actors of 0.5 CPU each were asked for" in wrong
    assert "(for 2 s, engine.nodes_timeout_s)" in wrong
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.nightly)]
)
def test_who_waits_for_nodes_can_be_stopped(three_nodes, tmp_path, number, status):
    run = started(three_nodes, tmp_path / "run", "devices=30")
    said = next(line for line in run.stdout if "waiting for room on the cluster" in line)
    run.send_signal(number)
    rest, wrong = run.communicate(timeout=60)
    assert run.returncode == status, said + rest + wrong
    assert wrong.split() == ["raygan:", "interrupted"]
    assert not (tmp_path / "run").exists()


def test_who_waits_for_nodes_of_a_cluster_that_ends_is_told_and_leaves_nothing(tmp_path):
    with nodes(1) as (cluster, _):
        run = started(cluster, tmp_path / "run", "devices=30")
        said = next(line for line in run.stdout if "waiting for room on the cluster" in line)
        cluster.head_node.all_processes["gcs_server"][0].process.kill()
        rest, wrong = run.communicate(timeout=55)
    assert run.returncode == 1, said + rest + wrong
    assert wrong.startswith("raygan: the head of the Ray cluster at ")
    assert wrong.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_node_is_lost_and_the_numbers_stay(laptop, tmp_path):
    out = tmp_path / "run"
    with nodes(6, 6) as (cluster, workers):
        run = started(cluster, out)
        _wait_for_round(out, 15)
        cluster.remove_node(workers[1], allow_graceful=False)
        said = finished(run)
    assert "starting 9 device actors on 2 nodes (4 to 5 on each) and a server" in said
    assert "going on after round" in said
    assert per_node(out) == [9]
    assert same_bytes(out, laptop)


def test_a_run_waits_for_nodes_that_are_coming(laptop, tmp_path):
    out = tmp_path / "run"
    with nodes(2) as (cluster, _):
        run = started(cluster, out)
        while "waiting for room" not in (said := run.stdout.readline()):
            assert said, "it ended"
        assert ") hold 4; " in said  # Ray names the nodes in any order
        cluster.add_node(num_cpus=4, object_store_memory=STORE)
        finished(run)
    assert per_node(out) == [5, 4]
    assert same_bytes(out, laptop)


@pytest.mark.nightly
def test_who_adds_up_and_a_node_may_be_left_out(tmp_path):
    """First the actor that sends its node's sum is killed alone, so the others of the node send nothing either."""
    out = tmp_path / "run"
    with nodes(6, 6) as (cluster, workers):
        words = ["devices=8", "engine.devices_per_actor=2", "rounds=200"]
        run = started(cluster, out, "engine.on_device_failure=drop", *words)
        _wait_for_round(out, 15)
        server = next(row for row in _processes(out) if row["role"] == "server")["node"]
        first, *others = [row for row in _processes(out) if row["role"].startswith("devices") and row["node"] != server]
        os.kill(first["pid"], signal.SIGKILL)
        _wait_for(lambda: _dropped(out) and not _rows(out)[-1]["dropped"])
        together = _devices(first).union(*map(_devices, others))
        assert len(together) == 4
        assert set().union(*_dropped(out).values()) == together
        assert any(together <= dropped for dropped in _dropped(out).values())
        alone = max(_dropped(out))
        cluster.remove_node(next(node for node in workers if node.node_id != server), allow_graceful=False)
        said = finished(run)
    assert max(_dropped(out)) > alone  # with its node
    assert not _rows(out)[-1]["dropped"]
    assert "without device" in said, said
    assert "going on after round" not in said


def _devices(process):
    """Whose actor it is, as rows name them: "devices 2-3"."""
    first, last = process["role"].removeprefix("devices ").split("-")
    return {str(number) for number in range(int(first), int(last) + 1)}


def _rows(out):
    lines = (out / "rounds.jsonl").read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _dropped(out):
    """Who is missing, by round; only of rounds where somebody is."""
    return {row["round"]: set(row["dropped"]) for row in _rows(out) if row.get("dropped")}


def _processes(out):
    return json.loads((out / "environment.json").read_text())["processes"]


def _wait_for_round(out, round):
    _wait_for(lambda: (out / "rounds.jsonl").exists() and len(_rows(out)) > round)


def _wait_for(happened):
    deadline = monotonic() + 120
    while not happened():
        assert monotonic() < deadline
        sleep(0.1)

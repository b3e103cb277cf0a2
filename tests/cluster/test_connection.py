"""Which addresses are taken, whether Ray's head is there, and who shares a Ray; no Ray here."""

import os
import socket
import sys
from threading import Event, Thread
from types import SimpleNamespace

import pytest

from raygan import RunError
from raygan.cli import run
from raygan.cluster import connection as cluster
from raygan.cluster import head as head_module
from raygan.cluster import joining
from raygan.cluster.connection import Connection, connect
from raygan.cluster.head import Head
from raygan.cluster.joining import IDLE_WORKERS, refuse_ray_client
from raygan.cluster.site import find
from tests.errors import raises
from tests.helpers import TINY, tiny


class MadeUp:
    """A process in which Ray is started, joined and ended; notes what is done."""

    def __init__(self, monkeypatch, address="127.0.0.1:1", own=False):
        self.done, self.running, self.child = [], own, None
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        monkeypatch.setattr(head_module, "sleep", lambda seconds: None)
        monkeypatch.setattr(cluster, "_shared", cluster._Shared())
        monkeypatch.setattr(cluster, "start", lambda cpus, env, idle_workers: self.note(f"start {cpus}", True))
        monkeypatch.setattr(cluster, "join", lambda address, key, env: self.note(f"join {address} of {key}", True))
        monkeypatch.setattr(cluster, "shut_down", lambda kill: self.note("end", False))
        monkeypatch.setattr(cluster, "whole", lambda: True)
        monkeypatch.setattr(cluster, "started_here", lambda: True)
        monkeypatch.setattr(cluster, "more_room", self.room)
        monkeypatch.setattr(cluster.ray, "is_initialized", lambda: self.running)
        monkeypatch.setattr(cluster.ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address=address))
        monkeypatch.setattr(cluster.ray._private.worker, "_global_node", self)

    @property
    def all_processes(self):
        return {"gcs_server": [SimpleNamespace(process=self.child)]} if self.child is not None else {}

    def note(self, what, running):
        self.done.append(what)
        self.running = running

    def room(self, cpus):
        self.done.append(f"room {cpus}")
        return SimpleNamespace(kill_all_processes=lambda **how: self.done.append("room ends"))


def test_the_last_run_of_a_process_ends_the_ray_that_all_share(monkeypatch):
    ray = MadeUp(monkeypatch)
    ray.child = SimpleNamespace(poll=lambda: None)
    first, second = Connection(None, 3), Connection(None, 5)
    assert (first.started, second.started) == (True, True)
    assert not first.ends_ray()
    first.close()
    first.close()
    assert second.ends_ray()
    second.close()
    assert ray.done == ["start 3", "room 5", "room ends", "end"]


def test_a_ray_of_the_users_own_is_neither_enlarged_nor_ended(monkeypatch):
    ray = MadeUp(monkeypatch)
    Connection(None, 3).close()
    ray.done.clear()
    ray.running = True
    connection = Connection(None, 3)
    connection.close()
    assert (connection.started, connection.may_grow, ray.done) == (False, False, [])


def test_an_address_is_told_by_where_it_comes_from(monkeypatch):
    ray = MadeUp(monkeypatch)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    Connection(None, 1).close()
    Connection("10.0.0.2:6379", 1).close()
    assert ray.done == ["join 10.0.0.1:6379 of $RAY_ADDRESS", "end", "join 10.0.0.2:6379 of engine.address", "end"]


def test_a_head_elsewhere_is_gone_when_nobody_listens_several_times(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        MadeUp(monkeypatch, f"127.0.0.1:{server.getsockname()[1]}")
        head = Head()
        assert head.is_alive()
    assert not head.is_alive()


def test_a_network_that_fails_for_a_moment_is_no_loss(monkeypatch):
    MadeUp(monkeypatch)
    answers = [OSError(), OSError(), None]

    def knock(address, timeout_s):
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(head_module, "knock", knock)
    assert Head().is_alive()


def test_what_a_head_that_is_gone_is_asked_is_not_waited_for(monkeypatch):
    MadeUp(monkeypatch)
    connection, never = Connection("127.0.0.1:1", 1), Event()
    with pytest.raises(RunError, match=r"127\.0\.0\.1:1 is gone"):
        connection.ask(never.wait)
    never.set()


def test_a_question_raises_what_it_raises(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        MadeUp(monkeypatch, f"127.0.0.1:{server.getsockname()[1]}")
        connection = Connection("auto", 1)
        assert connection.ask(lambda: 7) == 7
        with pytest.raises(KeyError):
            connection.ask(lambda: {}["x"])


def test_who_starts_ray_again_waits_until_others_have_left_the_one_that_is_lost(monkeypatch):
    ray = MadeUp(monkeypatch)
    ray.child = SimpleNamespace(poll=lambda: None)
    first, second = Connection(None, 1), Connection(None, 2)
    ray.child = SimpleNamespace(poll=lambda: -9)
    first.close()
    again = Thread(target=lambda: Connection(None, 3))
    again.start()
    again.join(0.2)
    assert again.is_alive()
    second.close()
    again.join(10.0)
    assert ray.done == ["start 1", "room 2", "room ends", "end", "start 3"]


@pytest.fixture
def no_ray(monkeypatch):
    """As in a process of its own, whatever Ray the tests have."""
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize("command", ["train", "plan", "tune"])
@pytest.mark.parametrize(
    ("key", "environment", "words"),
    [
        ("engine.address", None, ["engine.address=ray://10.0.0.1:10001"]),
        ("engine.address", "10.0.0.1:6379", ["engine.address=ray://10.0.0.1:10001"]),
        ("$RAY_ADDRESS", "ray://10.0.0.1:10001", []),
        ("$RAY_ADDRESS", "ray://10.0.0.1:10001", ["engine.address=auto"]),
    ],
)
def test_ray_client_is_refused_in_a_line(command, key, environment, words, no_ray, monkeypatch, tmp_path, capsys):
    if environment is not None:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    sweep, out = tmp_path / "sweep.yaml", tmp_path / "out"
    sweep.write_text("space: {device_steps: {grid_search: [1, 2]}}\n")
    words = [str(sweep), *words] if command == "tune" else [*TINY, "engine.executor=ray", *words]
    assert run([command, *words, *([] if command == "plan" else ["--out", str(out)])]) == 2
    assert capsys.readouterr().err == (
        f"raygan: {key}: ray://10.0.0.1:10001: Ray Client is not supported; run raygan on a node of the cluster with "
        "engine.address=auto, or as a job with `ray job submit` (docs/running_on_clusters.md)\n"
    )
    assert not out.exists()


@pytest.mark.parametrize("address", [None, "auto", "10.0.0.2:6379"])
@pytest.mark.parametrize("environment", [None, "10.0.0.1:6379"])
def test_other_addresses_are_not_of_ray_client(address, environment, no_ray, monkeypatch):
    if environment is not None:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    refuse_ray_client(address)


def test_an_address_counts_before_the_environment(no_ray, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://10.0.0.1:10001")
    refuse_ray_client("10.0.0.2:6379")


def test_a_process_that_is_a_client_already_is_refused(monkeypatch):
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(cluster.ray.util.client.ray, "is_connected", lambda: True)
    with raises("ray.init", None, "ray://", "Ray", "Client"):
        Connection(None, 1)


@pytest.mark.parametrize(
    ("workers", "chosen", "expected"), [("fork", None, "0"), ("fork", "1", "1"), ("spawn", None, "1")]
)
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_ray_starts_no_worker_that_a_forked_run_would_not_use(workers, chosen, expected, monkeypatch):
    ray = MadeUp(monkeypatch)
    monkeypatch.setattr(cluster, "start", joining.start)
    monkeypatch.delenv(IDLE_WORKERS, raising=False)
    if chosen:
        monkeypatch.setenv(IDLE_WORKERS, chosen)
    monkeypatch.setattr(joining.ray, "init", lambda *given, **how: ray.note(os.environ[IDLE_WORKERS], True))
    connect(tiny("engine.executor=ray", f"engine.workers={workers}"))
    assert ray.done == [expected]
    assert os.environ.get(IDLE_WORKERS) == chosen


@pytest.mark.parametrize("address", ["foo", "10.0.0.5:", "10.0.0.5:99999", ":6379"])
def test_an_address_without_a_host_and_a_port_is_named(address, no_ray):
    with raises("engine.address", None, f"'{address}'", "no host and port"):
        find(tiny("engine.executor=ray", f"engine.address={address!r}"))

"""The fork server, with scripts in the place of Ray's workers and this process in the place of the raylet."""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raygan.cluster import fork_server
from raygan.cluster.fork_server import FORKED_FROM, NOT_FORKED

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
TELL = """
import json, os, sys
import random, numpy
print(json.dumps({
    "argv": sys.argv, "main": __name__, "path": sys.path[0], "folder": os.getcwd(), "umask": os.umask(0o22),
    "env": dict(os.environ), "own_group": os.getpgid(0) == os.getpid(), "server": os.getppid(),
    "random": random.random(), "numpy": numpy.random.rand(), "open": sorted(os.listdir("/proc/self/fd")),
    "imported": "raygan_marker" in sys.modules,
}), flush=True)
print("an error", file=sys.stderr)
sys.exit(3 if "fail" in sys.argv else 0)
"""
WAIT = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
THREADED = "import threading, time; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"


@pytest.fixture
def script(tmp_path):
    """Writes a script and a module to be imported, and returns a function that runs the script by a client."""
    node = f"--node-id={tmp_path.name}-{os.getpid()}"

    def run(code, *words, modules="numpy", module="", **env):
        (tmp_path / "raygan_marker.py").write_text(module)
        (path := tmp_path / "worker.py").write_text(code)
        command = [sys.executable, "-I", "-S", fork_server.__file__, modules, str(path), node, *words]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), **env}
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )

    servers = set()

    def told(*arguments, **options):
        out, errors = run(*arguments, **options).communicate(timeout=60)
        said = json.loads(out)
        if NOT_FORKED not in said["env"]:
            servers.add(said["server"])
        return said, errors

    yield run, told
    for server in servers:
        if alive(server):
            os.kill(server, signal.SIGKILL)


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def ends(pid, within_s=10.0):
    until = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def test_a_fork_is_what_its_client_was_started_as(script, tmp_path):
    _, told = script
    said, errors = told(TELL, "--a=b c", modules="numpy,raygan_marker", OF_MINE="1")
    assert said["argv"][0] == str(tmp_path / "worker.py")
    assert said["argv"][2:] == ["--a=b c"]
    assert said["main"] == "__main__"
    assert said["path"] == str(tmp_path)
    assert said["folder"] == str(tmp_path)
    assert said["env"]["OF_MINE"] == "1"
    assert said["own_group"]
    assert said["imported"]
    assert said["env"][FORKED_FROM] == str(said["server"]) != str(os.getpid())
    assert "OPENBLAS_NUM_THREADS" not in said["env"] or "OPENBLAS_NUM_THREADS" in os.environ
    assert errors == "an error\n"
    assert len(said["open"]) <= 4  # the three standard ones, and the listing's own


def test_one_server_forks_for_all_that_are_alike(script):
    _, told = script
    first, second = told(TELL, PWD="/one")[0], told(TELL, PWD="/two")[0]
    others = [told(TELL, **{name: "7"})[0]["server"] for name in ("OMP_NUM_THREADS", "RAY_JOB_ID")]
    assert first["server"] == second["server"]
    assert len({first["server"], *others}) == 3
    assert (first["env"]["PWD"], second["env"]["PWD"]) == ("/one", "/two")
    assert first["random"] != second["random"]
    assert first["numpy"] != second["numpy"]


def test_many_at_once_share_one_server(script):
    run, _ = script
    servers = {json.loads(one.communicate(timeout=60)[0])["server"] for one in [run(TELL) for _ in range(8)]}
    assert len(servers) == 1
    os.kill(servers.pop(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("modules", "module", "reason"),
    [
        ("raygan_marker", "import of_nobody", "could not import raygan_marker: ModuleNotFoundError"),
        ("raygan_marker", THREADED, "has 2 threads"),
    ],
)
def test_where_it_cannot_serve_a_worker_starts_on_its_own_and_knows_why(script, modules, module, reason):
    _, told = script
    said, _ = told(TELL, "x", modules=modules, module=module)
    assert reason in said["env"][NOT_FORKED]
    assert said["server"] == os.getpid()
    assert said["argv"][2:] == ["x"]


def test_a_server_that_was_killed_is_replaced(script):
    _, told = script
    first = told(TELL)[0]["server"]
    os.kill(first, signal.SIGKILL)
    assert ends(first)
    second = told(TELL)[0]
    assert second["server"] != first
    assert NOT_FORKED not in second["env"]


def test_forks_outlive_a_server_that_was_killed(script):
    run, told = script
    server = told(TELL)[0]["server"]
    worker = run(WAIT)
    fork = int(worker.stdout.readline())
    assert fork in children(server)
    os.kill(server, signal.SIGKILL)
    assert ends(server)
    assert alive(fork)
    os.kill(fork, signal.SIGKILL)
    worker.communicate()


def children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_fork_that_ended_is_not_left_as_a_zombie(script):
    run, told = script
    server = told(TELL)[0]["server"]
    worker = run(WAIT)
    fork = int(worker.stdout.readline())
    assert fork in children(server)
    os.kill(fork, signal.SIGKILL)
    worker.communicate()
    until = time.monotonic() + 10
    while Path(f"/proc/{fork}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path(f"/proc/{fork}").exists()
    assert alive(server)


def test_a_server_and_its_forks_end_with_their_raylet(script, tmp_path):
    run, _ = script
    asked = run(TELL)
    asked.communicate(timeout=60)
    command = " ".join(f"'{word}'" for word in asked.args[:-1])
    (tmp_path / "waiter.py").write_text(WAIT)
    waits = command.replace("worker.py", "waiter.py")
    raylet = subprocess.Popen(
        ["sh", "-c", f"{command} & wait; {waits} & wait; exec sleep 600"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "A": "raylet of its own"},
    )
    server = json.loads(raylet.stdout.readline())["server"]
    assert alive(server)
    fork = int(raylet.stdout.readline())
    assert fork in children(server)
    raylet.kill()
    assert ends(server)
    assert ends(fork)
    raylet.communicate()


def test_a_server_without_workers_ends_after_a_while(monkeypatch):
    monkeypatch.setattr(fork_server, "IDLE_S", 0.05)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0raygan-test-{os.getpid()}")
        listening.listen()
        try:
            assert fork_server.serve(listening, os.getpid(), []) is None
        finally:
            gc.unfreeze()


def test_a_client_that_ended_meanwhile_gets_no_fork(monkeypatch):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0raygan-test-gone-{os.getpid()}")
        listening.listen()
        with socket.socket(socket.AF_UNIX) as gone:
            gone.connect(f"\0raygan-test-gone-{os.getpid()}")
        assert fork_server._fork(listening, "") == (None, 0)

import json
import shlex
import subprocess
import sys

import pytest

from raygan.cluster import forking as room
from raygan.cluster.fork_server import NOT_FORKED
from raygan.cluster.forking import Forking, forking, not_forked

MODULES = "json", "socket"


@pytest.fixture
def job(monkeypatch):
    """Sets the runtime environment of the job that this process is a driver of."""

    monkeypatch.setattr(room.ray, "is_initialized", lambda: False)  # by other tests

    def set_to(env):
        monkeypatch.setattr(room, "env_of_job", lambda: env)

    set_to({})
    return set_to


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_a_job_that_chooses_no_interpreter_gets_forks(job):
    words = shlex.split(forking("fork", MODULES).runtime_env["py_executable"])
    assert words[-3] == sys.executable
    assert words[-1] == "json,socket"


def test_a_process_of_its_own_each_needs_nothing_of_ray(job):
    assert forking("spawn", MODULES) == Forking({}, None)


@pytest.mark.parametrize("name", ["pip", "conda", "image_uri", "py_executable"])
def test_an_interpreter_of_the_job_is_kept(job, name):
    job({name: "of the job"})
    found = forking("fork", MODULES)
    assert not found.runtime_env
    assert name in found.why_not or sys.platform != "linux"


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_what_a_fork_starts_is_forked_by_the_same_server(job):
    job(forking("fork", MODULES).runtime_env)
    assert forking("fork", ["torch"]) == Forking({}, None)


def test_other_systems_do_not_fork(job, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert forking("fork", MODULES) == Forking({}, "only Linux can")


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_a_node_without_this_interpreter_uses_its_own(job, monkeypatch, tmp_path):
    (script := tmp_path / "worker.py").write_text(
        "import json, os, sys; print(json.dumps([sys.argv, dict(os.environ)]))"
    )
    interpreter = sys.executable
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python that is elsewhere"))
    command = f"{forking('fork', MODULES).runtime_env['py_executable']} {script} --node-id=7"
    raylet = [interpreter, "-c", RAYLET, f"exec {command}", f"--python_worker_command={interpreter} setup.py worker.py"]
    done = subprocess.run(raylet, capture_output=True, text=True, check=True)
    arguments, environment = json.loads(done.stdout)
    assert arguments == [str(script), "--node-id=7"]
    assert "another folder" in environment[NOT_FORKED]


RAYLET = "import subprocess, sys; subprocess.run(['bash', '-c', sys.argv[1]], check=True)"
"""A parent whose own words have Ray's command for workers."""


def test_nodes_that_do_not_fork_are_told_with_their_reasons():
    facts = [
        {"address": "10.0.0.2", "not_forked": "no room"},
        {"address": "10.0.0.1", "not_forked": "no room"},
        {"address": "10.0.0.3", "not_forked": None},
        {"address": "10.0.0.4"},
    ]
    assert "10.0.0.1, 10.0.0.2: no room" in not_forked(facts)
    assert not_forked(facts[2:]) is None

"""A Ray cluster brought up with `ray up` on this machine: the whole of it, and its end in mid-way."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from raygan.errors import InputError
from tests.namespaces import left
from tests.namespaces.__main__ import main
from tests.namespaces.cluster import active_nodes
from tests.namespaces.hosts import ROOT, check_machine
from tests.namespaces.left import namespaces_of, processes_in, remove, wait_until_gone
from tests.namespaces.shell import ShellError

COMMAND = [sys.executable, "-m", "tests.namespaces"]


@pytest.fixture
def able():
    """Skips where hosts cannot be made."""
    try:
        check_machine()
    except InputError as error:
        pytest.skip(str(error))


STATUS = """======== Autoscaler status: 2026-11-23 02:42:43.711897 ========
Node status
---------------------------------------------------------------
Active:
 3 local.cluster.node
 1 other.node
Pending:
 10.77.0.5: local.cluster.node, waiting-for-ssh
Recent failures:
 2 (no failures)
"""


@pytest.mark.parametrize(("status", "nodes"), [(STATUS, 4), ("No cluster status.", 0), ("Active:\n (none)\n", 0)])
def test_only_active_nodes_count(status, nodes):
    assert active_nodes(status) == nodes


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--workers", "3", "--devices", "2"], "--devices 2: every worker is to have one, so at least 3"),
        (["--workers", "2", "--cpus", "2"], "--cpus 2: 2 workers have no room for 6 devices"),
        (["--workers", "1", "--kill"], "--kill: 0 workers of 6 CPUs have no room"),
        (["--workers", "5", "--traffic"], "--workers 5: --traffic deals 24 devices evenly"),
    ],
)
def test_options_that_do_not_go_together_are_a_line(words, complaint):
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"tests.namespaces: {complaint}")
    assert len(done.stderr.splitlines()) == 1


def test_nothing_is_left_is_not_said_of_what_is_there(tmp_path, monkeypatch):
    before = left.Footprint(tmp_path / "work")
    (tmp_path / "work").mkdir()
    with pytest.raises(ShellError, match="something is left"):
        before.check(set(), [])
    (tmp_path / "work").rmdir()
    before.check(set(), [])
    monkeypatch.setattr(left, "GONE_S", 0)
    with pytest.raises(ShellError, match="something is left"):
        before.check(left.namespaces_of(os.getpid()), [])


@pytest.mark.nightly
@pytest.mark.ray
def test_a_cluster_comes_up_trains_and_goes(able):
    words = ["--workers", "2", "--devices", "4", "--cpus", "3", "--rounds", "100"]
    done = subprocess.run([*COMMAND, *words], cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    lines = done.stdout.splitlines()
    assert lines.count("equal") == 1
    assert lines.count("exit status 2: refused") == 2
    assert [line for line in lines if " left: " in line and not line.endswith(" left: none")] == []
    assert "processes left: none" in lines


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_hosts_end_with_the_script(able, number):
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, text=True) as script:
        for line in script.stdout:
            if line.startswith("desk$") and "ray up" in line:
                break
        of_hosts = [namespaces_of(process.pid) for process in psutil.Process(script.pid).children(recursive=True)]
        namespaces = set().union(*of_hosts) - namespaces_of(os.getpid())
        assert len({name for name in namespaces if name.startswith("net:")}) == 4
        script.send_signal(number)
        said = list(script.stdout)
    wait_until_gone(namespaces, 20)
    assert processes_in(namespaces) == []
    if number == signal.SIGKILL:  # files it could not remove
        remove(Path(tempfile.gettempdir()) / f"raygan-up-{script.pid}")
    else:
        assert script.returncode == 128 + number
        assert "files left: none\n" in said

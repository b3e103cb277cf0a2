"""Who writes a run holds it: a lock in a folder, a lease at a URI."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem

import raygan
from raygan.errors import StorageError
from raygan.record import lease, lock
from raygan.record.lease import Lease
from raygan.record.lock import DRIVER, RECORDER, Lock, hold, remove_recorders, share, wait_for_recorder
from raygan.record.store import Store
from tests.errors import raises
from tests.helpers import Watch, tiny

HELD = r"--out: .* is being written by process \d+ on \S+ since \S+; wait until that run is over, or end it"
HOLDER = """
import sys, time
from pathlib import Path
from raygan.record.lock import hold
held = hold(Path(sys.argv[1]), "run")
print("held", flush=True)
time.sleep(60)
"""


def test_one_holds_a_file_and_the_next_is_told_who(tmp_path):
    first = hold(tmp_path / "lock", "run")
    with raises("--out", "held", f"process {os.getpid()}") as refused:
        hold(tmp_path / "lock", "run", patience_s=0)
    assert re.fullmatch(HELD, str(refused.value))
    first.release()
    assert not (tmp_path / "lock").exists()
    hold(tmp_path / "lock", "run", patience_s=0).release()


def test_a_lock_is_released_by_the_death_of_its_process(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with raises("--out", "held", f"process {holder.pid}"):
        hold(tmp_path / "lock", "run", patience_s=0)
    holder.kill()
    holder.communicate()
    hold(tmp_path / "lock", "run", patience_s=5).release()


def test_a_full_disk_keeps_nobody_from_locking_and_from_letting_go(tmp_path):
    """Files there may be opened, but take no byte."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        (tmp_path / RECORDER).touch()
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
        held = hold(tmp_path / DRIVER, "run")
        wait_for_recorder(tmp_path)
        (tmp_path / RECORDER).touch()
        remove_recorders(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert not (tmp_path / RECORDER).exists()
    with raises("--out", "held", "another process"):
        hold(tmp_path / DRIVER, "run", patience_s=0)
    held.release()


def test_a_recorder_that_still_writes_is_waited_for(tmp_path, monkeypatch):
    one, other = share(tmp_path), share(tmp_path)
    monkeypatch.setattr(lock, "RECORDER_PATIENCE_S", 0.2)
    one.release()
    with raises(str(tmp_path), "held", kind=raygan.RunError):
        wait_for_recorder(tmp_path)
    other.release()
    wait_for_recorder(tmp_path)


def test_a_run_that_goes_on_is_not_begun_a_second_time(tmp_path, monkeypatch):
    """Such as from a terminal that was thought to be lost."""
    monkeypatch.setattr("raygan.record.store.hold", lambda path, of: hold(path, of, patience_s=0))
    config, refused = tiny("checkpoint.every=1"), []

    def again(round):
        with raises("--out", "held") as caught:
            raygan.train(config, tmp_path / "run", resume=True, watchers=[])
        refused.append(str(caught.value))
        with raises("--out", "exists"):
            raygan.train(config, tmp_path / "run", watchers=[])

    result = raygan.train(config, tmp_path / "run", watchers=[Watch(again)])
    assert len(refused) == 5
    assert [row["round"] for row in result.rows] == [0, 1, 2, 3, 4]
    assert not [path for path in result.out.iterdir() if path.name.startswith(".")], "nothing is left of the locks"


def test_a_folder_without_locks_is_refused_with_the_reason(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", no_locks)
    with raises("--out", "unreadable"):
        hold(tmp_path / "lock", "run")


def test_a_store_is_held_once(tmp_path):
    store = Store(tmp_path)
    store.hold()
    store.hold()
    other = Lock(tmp_path / DRIVER)
    assert not other.take()
    store.release()
    store.release()
    assert other.take()
    other.release()


@pytest.fixture
def leases(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "RENEWED_S", 0.05)
    monkeypatch.setattr(lease, "OVER_S", 0.5)
    monkeypatch.setattr(lease, "SETTLED_S", 0.01)
    return lambda: Lease(LocalFileSystem(), str(tmp_path / "run"), "s3://bucket/run")


def signed_elsewhere(path: Path) -> dict:
    """As by a process of another machine."""
    signed = json.loads(path.read_text()) | {"kernel": "another", "pid": 7, "machine": "elsewhere"}
    path.write_text(json.dumps(signed | {"name": "theirs"}))
    return signed


def test_a_lease_is_renewed_and_given_up(leases, tmp_path):
    one, path = leases(), tmp_path / "run" / ".lease.json"
    one.take(str)
    first = json.loads(path.read_text())
    while json.loads(path.read_text() or "{}").get("renewed", 0) == first["renewed"]:
        pass
    one.check()
    one.give_up()
    assert not path.exists()


def test_a_lease_that_is_renewed_is_not_taken(leases, monkeypatch, tmp_path):
    one = leases()
    one.take(str)
    monkeypatch.setattr(lease, "_is_dead", lambda found: False)
    said = []
    with raises("--out", "held"):
        leases().take(said.append)
    assert re.match(
        r"s3://bucket/run: waiting up to 0.5 s to see whether process \d+ on \S+ still writes there", said[0]
    )
    one.give_up()


def test_one_that_is_no_longer_renewed_is_over(leases, tmp_path):
    path = tmp_path / "run" / ".lease.json"
    dead = leases()
    dead.take(str)
    dead.give_up()
    path.write_text(json.dumps({"name": "theirs", "kernel": "another", "pid": 7, "machine": "elsewhere", "renewed": 3}))
    said = []
    living = leases()
    living.take(said.append)
    assert len(said) == 1
    living.give_up()


def test_one_of_a_process_of_this_machine_that_is_gone_is_over_at_once(leases, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "run").mkdir()
    left = {"name": "theirs", **lock.signature(), "pid": gone.pid}
    (tmp_path / "run" / ".lease.json").write_text(json.dumps(left))
    said = []
    one = leases()
    one.take(said.append)
    assert said == []
    one.give_up()


def test_who_has_lost_a_lease_writes_no_more(leases, tmp_path):
    one = leases()
    one.take(str)
    signed_elsewhere(tmp_path / "run" / ".lease.json")
    one._thread.join(5)
    with raises("--out", "held", "process 7 on elsewhere", kind=StorageError):
        one.check()
    one.give_up()
    assert (tmp_path / "run" / ".lease.json").exists(), "it is not ours"


def test_a_recorder_that_was_ended_leaves_no_lock(tmp_path):
    """As Ray ends actors: without a word."""
    shares = HOLDER.replace("import hold", "import share")
    script = shares.replace('hold(Path(sys.argv[1]), "run")', "share(Path(sys.argv[1]))")
    recorder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    recorder.stdout.readline()
    remove_recorders(tmp_path, patience_s=0.1)
    assert (tmp_path / lock.RECORDER).exists(), "it still writes"
    recorder.kill()
    recorder.communicate()
    remove_recorders(tmp_path)
    assert not list(tmp_path.iterdir())

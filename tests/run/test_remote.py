"""Runs over ray://: what is refused, what a driver tells and obeys, and whole runs."""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from signal import SIGINT
from types import SimpleNamespace

import pytest

import raygan
from raygan.cluster import client
from raygan.cluster.site import find
from raygan.run.remote import Driver, check_that_it_is_seen
from tests.head import wait_for
from tests.helpers import TINY, Watch, tiny

AFAR = ["engine.executor=ray", "engine.address=ray://127.0.0.1:1"]


@pytest.fixture
def no_ray(monkeypatch):
    """As in a process of its own, whatever Ray the tests have."""
    monkeypatch.setattr(client.ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize(
    ("address", "environment", "afar"),
    [
        (None, None, False),
        ("auto", None, False),
        ("10.0.0.1:6379", "ray://10.0.0.1:10001", False),
        ("ray://10.0.0.1:10001", None, True),
        (None, "ray://10.0.0.1:10001", True),
        ("auto", "ray://10.0.0.1:10001", True),
        (None, "10.0.0.1:6379", False),
    ],
)
def test_which_addresses_are_afar(address, environment, afar, no_ray, monkeypatch):
    if environment is not None:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    assert client.is_afar(address) is afar


def test_a_path_is_refused(tmp_path, no_ray):
    with pytest.raises(raygan.InputError, match=r"--out: .*/run is on this machine, but .* name a URI that both reach"):
        raygan.train(tiny(*AFAR), tmp_path / "run")
    assert not any(tmp_path.iterdir())


def test_where_nobody_listens(tmp_path, no_ray):
    with pytest.raises(raygan.InputError, match=r"engine\.address: nobody listens at 'ray://127\.0\.0\.1:1' \(ray://h"):
        raygan.train(tiny(*AFAR), f"file://{tmp_path}/run")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["ray://foo", "foo", "10.0.0.5:", "10.0.0.5:99999", ":6379"])
def test_an_address_without_a_host_and_a_port_is_named(address, no_ray):
    with pytest.raises(raygan.InputError, match=rf"^engine\.address: .*'{address}' \(.*\): it is no host and port$"):
        find(tiny("engine.executor=ray", f"engine.address={address!r}"))


def test_without_rays_client(tmp_path, no_ray, monkeypatch):
    monkeypatch.setattr(client, "find_spec", lambda name: None)
    with pytest.raises(raygan.InputError, match=r"needs Ray's client; pip install 'raygan\[cluster\]'"):
        raygan.train(tiny(*AFAR), f"file://{tmp_path}/run")


@pytest.mark.ray
@pytest.mark.slow
def test_a_process_that_uses_another_ray(tmp_path, cluster):
    with pytest.raises(raygan.InputError, match=r"ray://127\.0\.0\.1:1, but this process already uses the Ray at"):
        raygan.train(tiny(*AFAR), f"file://{tmp_path}/run")


def test_a_sweep_is_refused(tmp_path, no_ray):
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("space: {device_steps: {grid_search: [1, 2]}}\nconfig: {engine: {address: 'ray://127.0.0.1:1'}}\n")
    with pytest.raises(raygan.InputError, match=r"a sweep cannot be led over ray://; run it as a job"):
        raygan.tune(sweep, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def versions_there(monkeypatch, there):
    """Let these be what is installed on the cluster."""

    def found(package):
        if package not in there:
            raise PackageNotFoundError(package)
        return there[package]

    monkeypatch.setattr(client, "there", lambda remote: SimpleNamespace(remote=lambda package: package))
    monkeypatch.setattr(client.ray, "get", found)
    monkeypatch.setattr(client, "version", {"raygan": "1.0", "torch": "2.6.0"}.__getitem__)
    monkeypatch.setattr(client.ray, "remote", lambda function: function)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"raygan": "1.1", "torch": "2.6.0"}, r"raygan is 1\.0 here, but 1\.1 on the cluster; install raygan 1\.0 on"),
        ({"raygan": "1.0"}, r"torch is 2\.6\.0 here, but not installed on the cluster"),
    ],
)
def test_other_versions_on_the_cluster_are_refused(there, said, monkeypatch):
    versions_there(monkeypatch, there)
    with pytest.raises(raygan.InputError, match=said):
        client.check_versions()


def test_another_build_of_the_same_version_is_taken(monkeypatch):
    versions_there(monkeypatch, {"raygan": "1.0", "torch": "2.6.0+cu124"})
    client.check_versions()


def test_a_place_that_is_another_one_there_is_noticed(tmp_path):
    raygan.train(tiny("rounds=1"), f"file://{tmp_path}/run")
    check_that_it_is_seen(f"file://{tmp_path}/run")
    with pytest.raises(raygan.InputError, match=r"--out: what the run writes to memory://run on the cluster is not se"):
        check_that_it_is_seen("memory://run")


def test_a_driver_tells_what_a_run_tells_and_stops_when_it_is_told(tmp_path):
    driver, watch = Driver(list(sys.argv)), Watch()
    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(driver.train, tiny("rounds=100000"), str(tmp_path / "run"), False)
        news, deadline = driver.news(None), time.monotonic() + 60
        while not news.over:
            for told in news.told:
                told(watch)
            assert time.monotonic() < deadline
            news = driver.news(SIGINT if watch.rounds[-1:] > [4] else None)
    for told in news.told:
        told(watch)
    played, stopped_by = done.result()
    assert (watch.rounds, stopped_by) == (list(range(played + 1)), SIGINT)
    assert watch.evaluated[:3] == [0, 2, 4]
    assert (tmp_path / "run" / "generator.safetensors").exists()


def train(head, out, *words):
    return [sys.executable, "-m", "raygan", "train", *words, f"engine.address={head.client}", "--out", f"file://{out}"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return raygan.train(tiny(), tmp_path_factory.mktemp("remote") / "undisturbed").generator.read_bytes()


ON_RAY = [*TINY, "engine.executor=ray"]
PACKED = [*ON_RAY, "engine.devices_per_actor=3"]  # fewer processes to wait for


@pytest.mark.slow
def test_a_run_over_ray_gives_the_same_bytes_there_and_shows_its_progress_here(tmp_path, head, undisturbed):
    done = head.run(*train(head, tmp_path / "run", *ON_RAY))
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:7]] == [
        *("connecting to the cluster", "loading digits", "starting 3 device actors on one node and a server"),
        *("training", "round 0", "round 2", "round 4"),
    ]
    assert (tmp_path / "run" / "generator.safetensors").read_bytes() == undisturbed
    pulled = next(Path(head.environment["RAYGAN_CACHE"], "runs").glob("run-*"))
    assert (pulled / "generator.safetensors").read_bytes() == undisturbed


@pytest.mark.slow
def test_ctrl_c_here_ends_the_run_there_and_it_goes_on(tmp_path, head):
    out = tmp_path / "stopped"
    words = [*PACKED, "rounds=100000", "eval.every=100000", "checkpoint.every=1"]
    process = head.start(*train(head, out, *words))
    wait_for(lambda: any((out / "checkpoints").glob("*/manifest.json")), process)
    os.killpg(process.pid, signal.SIGINT)
    text, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (130, "")
    assert f"raygan train --out file://{out} --resume" in text
    saved = max(int(path.name[6:]) for path in (out / "checkpoints").glob("round_*"))
    assert f"Interrupted after round {saved}; the state is saved." in text
    end = [f"rounds={saved + 2}", "eval.every=100000"]
    done = head.run(sys.executable, "-m", "raygan", "train", "--out", f"file://{out}", "--resume", *end)
    assert (done.returncode, done.stderr) == (0, ""), "config.yaml says where the cluster is"
    whole = raygan.train(tiny(*end, "checkpoint.every=1000"), tmp_path / "whole")
    assert (out / "generator.safetensors").read_bytes() == whole.generator.read_bytes()


@pytest.mark.slow
def test_what_is_wrong_there_is_one_line_here(tmp_path, head):
    done = head.run(*train(head, tmp_path / "run", *ON_RAY, "data.name=npz", "data.root=/no.npz"))
    assert done.returncode == 2
    assert done.stderr == "raygan: data.root: /no.npz is not a readable .npz file: not a zip of arrays\n"
    assert not any((tmp_path / "run").glob("*"))

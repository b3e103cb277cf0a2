"""Ray's own autoscaler (v2) starts nodes for a run, removes them afterwards, and says why it cannot."""

import sys
from time import monotonic, sleep

import pytest

from tests.autoscaled import FAILING, autoscaled
from tests.helpers import TINY

pytestmark = pytest.mark.nightly

RAYGAN = [sys.executable, "-m", "raygan"]
WORDS = [word for word in TINY if not word.startswith(("engine.", "devices"))]
SMALL = {"small": {"resources": {"CPU": 2, "GPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2}}
GONE_S = 120


def workers(cluster):
    """The types of nodes that `ray status` lists, without the head's and without failures."""
    status = cluster.run("ray", "status", "--address", cluster.address).stdout
    return status[: status.index("Recent failures")].count(" small")


def test_nodes_come_for_a_run_and_go_when_they_are_idle(cache, tmp_path):
    with autoscaled(cache, SMALL) as cluster:
        words = [*WORDS, f"engine.address={cluster.address}"]
        too_large = cluster.run(*RAYGAN, "train", *words, "devices=9", "--out", tmp_path / "large")
        assert too_large.returncode == 2
        assert "(small: up to 2 of 2 CPU + 1 GPU) holds 4; " in too_large.stderr
        assert too_large.stderr.endswith("or raise engine.devices_per_actor (3 would fit)\n")
        assert workers(cluster) == 0, "none was asked for"
        planned = cluster.run(*RAYGAN, "plan", *words, "devices=3", "--price", "gpu=0.1")
        assert planned.returncode == 0, planned.stderr
        assert ", and 2 that its autoscaler would start (small: up to 2 of 2 CPU + 1 GPU; up to 600 s" in planned.stdout
        assert "price       0.20 an hour: 2 x GPU at 0.1; without a price: 1 x 0cpu" in planned.stdout
        played = cluster.run(*RAYGAN, "train", *words, "devices=3", "--out", tmp_path / "run")
        assert played.returncode == 0, played.stderr
        assert "waiting for nodes, up to 600 s: the autoscaler has been asked for them (small: up to 2 of 2 CPU" in (
            played.stdout
        )
        assert "starting 3 device actors on 2 nodes (1 to 2 on each) and a server" in played.stdout
        assert "2 GPUs are there, but none is used: engine.gpus_per_device and engine.server_gpus " in played.stdout
        began = monotonic()
        while workers(cluster):
            assert monotonic() - began < GONE_S
            sleep(1.0)


def test_a_provider_that_starts_nothing_is_named_early(cache, tmp_path):
    with autoscaled(cache, SMALL, FAILING) as cluster:
        words = [*WORDS, f"engine.address={cluster.address}", "devices=3", "--out", tmp_path / "run"]
        began = monotonic()
        refused = cluster.run(*RAYGAN, "train", *words)
        assert refused.returncode == 2
        assert "small could not be started, 3 times: An error occurred (VcpuLimitExceeded)" in refused.stderr
        assert refused.stderr.endswith("; `ray status` on the head says more\n")
        assert "waiting for nodes, up to 600 s: small could not be started: An error" in refused.stdout
        assert monotonic() - began < 60

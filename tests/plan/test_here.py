"""What is planned for a cluster that runs is what a run on it does."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest
from ray.cluster_utils import Cluster

from tests.helpers import TINY

pytestmark = pytest.mark.slow

RAYGAN = [sys.executable, "-m", "raygan.cli"]
STORE = 80 * 2**20
WORDS = [word for word in TINY if not word.startswith(("engine.", "devices", "rounds"))]
WORDS += ["devices=5", "rounds=2", "engine.gpus_per_device=0.5", "engine.cpus_per_device=0.5"]
PLANNED = """
import json, sys
from raygan.config import load_config
from raygan.plan.sizes import make_plan
from raygan.plan.places import place
from raygan.cluster.site import find
from raygan.plan.found import site_of

config = load_config(None, sys.argv[1:])
places = place(make_plan(config), site_of(find(config)))
server, workers = places.layout.server.id, [node.id for node in places.layout.workers]
print(json.dumps([places.site.home, server, workers]))
"""


@pytest.fixture(scope="module")
def cluster(cache):
    """Four logical GPUs on two of three nodes."""
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(num_cpus=4, num_gpus=3, object_store_memory=STORE)
        cluster.add_node(num_cpus=4, num_gpus=1, object_store_memory=STORE)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def played(command, *words):
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("placement", "each"), [("spread", [4, 1]), pytest.param("pack", [5], marks=pytest.mark.nightly)]
)
def test_actors_are_where_they_were_planned(placement, each, cluster, tmp_path):
    words = [*WORDS, f"engine.address={cluster.address}", f"engine.placement={placement}"]
    home, server, workers = json.loads(played([sys.executable, "-c", PLANNED], *words))
    assert sorted(Counter(workers).values(), reverse=True) == each
    played([*RAYGAN, "train"], *words, "--out", str(tmp_path / "run"))
    processes = json.loads((tmp_path / "run" / "environment.json").read_text())["processes"]
    where = {process["role"]: process["node"] for process in processes}
    assert where["server"] == server == home
    assert [where[f"device {number}"] for number in range(5)] == workers


def test_the_plan_for_a_cluster_says_so_and_leaves_it_alone(cluster):
    text = played([*RAYGAN, "plan"], *WORDS, f"engine.address={cluster.address}")
    assert f"3 nodes of the Ray at {cluster.address}; spread: 5 device actors on 2 nodes (1 to 4 on each)" in text
    assert "(3 x GPU, 4 CPU): 4 device actors, 2 + 2 + 0 on its 3 GPUs" in text
    assert "driver, recorder, server" in text


def test_a_cluster_that_is_still_small_is_refused_with_the_hope_it_has(cluster):
    words, env = [*RAYGAN, "plan", *WORDS, "devices=20"], os.environ | {"RAY_ADDRESS": cluster.address}
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, env=env)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "hold 8: GPU is scarce (CPU would do for 18); lower devices" in done.stderr
    assert "(the run would wait 600 s for more nodes, engine.nodes_timeout_s)" in done.stderr
    assert "3 x GPU, 4 CPU: room for 6 device actors, no more" in done.stdout

"""Clusters in a few words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.util.accelerators import accelerators

from raygan.errors import InputError
from raygan.plan.described import Described, described_site, parse
from raygan.plan.gpus import GPUS
from tests.errors import raises

GOOD = {
    "8xA10G": Described(8, 8, 32, 1, "A10G", 24),
    "8xa10g": Described(8, 8, 32, 1, "A10G", 24),
    "2x4xA10G": Described(2, 32, 128, 4, "A10G", 24),
    "8xA10G:16GB:4cpu": Described(8, 4, 16, 1, "A10G", 24),
    "1xA100-80G": Described(1, 12, 170, 1, "A100-80G", 80),
    "4x16cpu": Described(4, 16, 64),
    "4X16CPU:64gb:8gb-STORE": Described(4, 16, 64, store_gb=8),
    "2x4xgpu:24gb-gpu": Described(2, 16, 64, 4, gpu_gb=24),
    "4xA100:80GB-gpu": Described(4, 12, 85, 1, "A100", 80),
    "4xA100:80GB-ram": Described(4, 12, 80, 1, "A100", 40),
    "4xA100:80GB-RAM:80gb-gpu": Described(4, 12, 80, 1, "A100", 80),
    "1xT4:16GB": Described(1, 4, 16, 1, "T4", 16),  # either reading is what it has without
    "2x2xT4:32GB-ram": Described(2, 8, 32, 2, "T4", 16),
    "1x8cpu:4.5GB:1GB-store": Described(1, 8, 4.5, store_gb=1),
    "1x0cpu:8GB": Described(1, 0, 8),
    "2x4xGPU": Described(2, 16, 64, 4),
    "2x4xGPU:24GB-gpu": Described(2, 16, 64, 4, gpu_gb=24),
}
BAD = {
    "": "'' is no NODESx[GPUSx]KIND or NODESxCPUScpu, such as 8xA10G",
    "A10G": "'A10G' is no NODESx[GPUSx]KIND",
    "8": "'8' is no NODESx[GPUSx]KIND",
    "8 xA10G": "is no NODESx",
    "-8xA10G": "is no NODESx",
    "2x4x16cpu": "is no NODESx",
    "8x": "is no NODESx",
    "٣xA10G": "is no NODESx",
    "8xA10": "'A10' is no known GPU; did you mean A10G?",
    "8xTPU-v4": "'TPU-v4' is no known GPU; known: T4, V100",
    "0xA10G": "0 nodes; 1 to 10000 are right",
    "99999xA10G": "99999 nodes; 1 to 10000 are right",
    "1x0xA10G": "0 GPUs; 1 to 100000 are right",
    "8xA10G:": "'' is no option; they are 8cpu (CPUs of a node), 32GB (memory of a node)",
    "8XTPU-v4": "any other is GPU, such as 8xGPU:8cpu:32GB:24GB-gpu",
    "8xA10G:32G": "'32G' is no option",
    "8xA10G:8GB-\u017ftore": "is no option",  # an s, when case is ignored
    "8xA10G:32": "'32' is no option",
    "4xA100:80GB": "80GB may be the memory of a GPU (80GB-gpu) or of the node (80GB-ram); say which",
    "8xV100:4cpu:32gb": "32gb may be the memory of a GPU (32gb-gpu) or of the node (32gb-ram)",
    "8xA10G:24GB": "24GB may be the memory of a GPU (24GB-gpu)",
    "4xA100:80GB-ram:90GB": "'90GB' says again",
    "8xA10G:8cpu:9cpu": "'9cpu' says again what is said before it",
    "8xA10G:0GB": "memory of 0 GB; above 0",
    "8xA10G:999999GB": "memory of 999999 GB",
    "8xA10G:0GB-gpu": "memory of a GPU of 0 GB",
    "8xA10G:999999cpu": "999999 CPUs; up to 100000 are right",
    "8xA10G:40GB-store": "an object store of 40 GB is more than the memory it is in, 32 GB",
    "4x16cpu:8cpu": "its CPUs are given twice; 4x16cpu takes 32GB (memory of a node)",
    "4x16cpu:24GB-gpu": "it has no GPU to have memory",
    "1x0cpu": "say how much memory a node without CPUs has, such as 1x0cpu:16GB",
}


@pytest.mark.parametrize("spec", GOOD)
def test_what_a_description_means(spec):
    assert parse(spec) == GOOD[spec]


@pytest.mark.parametrize("spec", BAD)
def test_what_is_refused_and_what_would_be_right(spec):
    with raises("--nodes", None, spec) as refused:
        parse(spec)
    assert BAD[spec] in str(refused.value)


sizes = st.one_of(st.integers(1, 1000), st.integers(1, 10**6)).map(lambda size: size / 1000)
round_sizes = st.sampled_from([16, 24, 32, 40, 80])
without = st.builds(Described, st.integers(1, 99), st.integers(0, 256), sizes)
some_gpus = st.builds(Described, st.integers(1, 99), st.integers(0, 256), sizes, st.integers(1, 16))
known = st.builds(
    Described, st.integers(1, 99), st.just(8), sizes | round_sizes, st.integers(1, 16), st.sampled_from([*GPUS]), sizes
)


@given(without | some_gpus | known)
@settings(max_examples=40)
def test_a_description_in_full_reads_back_as_the_same(described):
    assert parse(str(described)) == described


@settings(max_examples=40)
@given(st.text("0123456789xX:.-AaGgBbTCcPpUuStore", max_size=20))
def test_whatever_is_written_is_read_or_refused_in_a_line(spec):
    try:
        described = parse(spec)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert parse(str(described)) == described


def test_the_nodes_of_several_descriptions_are_in_order_and_the_driver_is_on_the_first():
    site = described_site(["1x0cpu:8GB", "2x4xT4:24GB-gpu:5GB-store"])
    assert site.name == "3 nodes as described, 1x0cpu:8GB + 2x4xT4:16cpu:64GB:24GB-gpu:5GB-store"
    assert site.home == site.machines[0].node.id
    assert [machine.node.name for machine in site.machines] == ["node 1", "node 2", "node 3"]
    head, worker = site.machines[:2]
    assert (dict(head.node.room), head.gpu, head.gpu_memory) == ({"CPU": 0}, None, None)
    assert (head.memory, head.store) == (0.95 * 8e9, 0.3 * 8e9)
    assert (dict(worker.node.room), worker.gpu, worker.gpu_memory) == ({"CPU": 16, "GPU": 4}, "T4", 24e9)
    assert worker.store == 5e9


def test_gpus_are_named_as_ray_names_them():
    assert GPUS.keys() <= {name for name in vars(accelerators).values() if isinstance(name, str)}

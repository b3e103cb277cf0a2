"""Who goes where: closed forms, and properties against brute force."""

import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygan.cluster.layout import Node, can_hold, choose, lay_out
from raygan.cluster.resources import Needs
from raygan.cluster.shortage import describe, shortage, unused_gpus


def needs(workers, cpus=1.0, gpus=0.0, server_gpus=0.0, eval_gpus=0.0):
    return Needs(workers, {"CPU": cpus, "GPU": gpus}, {"CPU": 1.0, "GPU": server_gpus}, {"CPU": 0.0, "GPU": eval_gpus})


def nodes(*sizes):
    return [Node(f"n{i}", f"10.0.0.{i}", {"CPU": float(cpu), "GPU": float(gpu)}) for i, (cpu, gpu) in enumerate(sizes)]


def counts(asked, there, placement, home="n0"):
    """The server's node, and workers per node."""
    layout = lay_out(asked, there, placement, home)
    per_node = Counter(node.id for node in layout.workers)
    return layout.server.id, [per_node[node.id] for node in there]


LAYOUTS = [
    ("spread", needs(24), [(0, 0), (8, 0), (8, 0), (9, 0)], "n3", [0, 8, 8, 8]),
    ("spread", needs(30), [(100, 0)] * 3, "n0", [10, 10, 10]),
    ("spread", needs(4), [(9, 0), (8, 0), (16, 0)], "n0", [1, 1, 2]),
    ("spread", needs(12, gpus=0.4), [(9, 2), (8, 2), (8, 4)], "n0", [3, 3, 6]),
    ("spread", needs(3, cpus=0.0), [(1, 0), (0, 0), (0, 0)], "n0", [1, 1, 1]),
    ("spread", needs(9, cpus=0.5), [(0, 0), (2, 0), (4, 0)], "n2", [0, 4, 5]),
    ("spread", needs(9, cpus=0.5), [(0, 0), (4, 0), (2, 0)], "n1", [0, 5, 4]),
    ("pack", needs(5), [(0, 0), (4, 0), (8, 0)], "n2", [0, 0, 5]),
    ("pack", needs(5), [(4, 0), (8, 0)], "n0", [3, 2]),
    ("pack", needs(12, gpus=0.4), [(0, 0), (8, 2), (8, 2), (8, 4)], "n3", [0, 4, 1, 7]),
]


@pytest.mark.parametrize(("placement", "asked", "sizes", "server", "workers"), LAYOUTS)
def test_closed_forms(placement, asked, sizes, server, workers):
    assert counts(asked, nodes(*sizes), placement) == (server, workers)


def test_the_recorders_share_is_taken_of_the_drivers_node():
    asked = needs(3, gpus=0.5, eval_gpus=0.5)
    assert counts(asked, nodes((9, 1), (9, 1)), "spread") == ("n0", [1, 2])
    assert lay_out(asked, nodes((9, 0), (9, 2)), "spread", "n0") is None
    assert shortage(asked, nodes((9, 0), (9, 2)), "n0") == (
        "eval.gpus=0.5: what is measured is measured on the driver's node, but 10.0.0.0 has 0 GPU; "
        "start the run on a node with a GPU, or leave eval.gpus out"
    )


@pytest.mark.parametrize(
    ("asked", "node", "way_out"),
    [
        (needs(7), (7, 0), "lower devices, engine.cpus_per_device, or raise engine.devices_per_actor"),
        (needs(2, cpus=0.0), (0, 0), "the server takes it: add a node that has one"),
        (needs(3, server_gpus=1.0), (8, 0), "lower engine.server_gpus"),
        (
            needs(2, gpus=0.5, server_gpus=0.3, eval_gpus=0.2),
            (8, 1),
            "lower devices, engine.gpus_per_device, engine.server_gpus, eval.gpus, or raise engine.devices_per_actor",
        ),
    ],
)
def test_what_is_to_be_done_is_what_would_help(asked, node, way_out):
    assert shortage(asked, nodes(node), "n0").endswith(f"; {way_out}")


sizes = st.lists(st.tuples(st.sampled_from([0, 1, 2, 8]), st.sampled_from([0, 1, 2])), min_size=1, max_size=5)
shares = st.sampled_from([0.0, 0.3, 0.5, 1.0])


@given(sizes, st.integers(1, 20), st.sampled_from([0.0, 0.5, 1.0]), shares, shares, shares)
def test_a_layout_holds_or_there_is_a_reason(sizes, workers, cpus, gpus, server_gpus, eval_gpus):
    asked, there = needs(workers, cpus, gpus, server_gpus, eval_gpus), nodes(*sizes)
    problem = shortage(asked, there, "n0")
    for placement in ("spread", "pack"):
        layout = lay_out(asked, there, placement, "n0")
        assert (layout is None) == (problem is not None), problem
        if layout is None:
            continue
        assert can_hold(asked, there, layout, "n0")
        assert len(layout.workers) == workers
        for node, (cpu, gpu) in zip(there, sizes, strict=True):
            held, serves = layout.workers.count(node), layout.server is node
            assert held * cpus + serves <= cpu
            assert held * gpus + serves * server_gpus + (node.id == "n0") * eval_gpus <= gpu + 1e-9


@given(st.integers(1, 60), st.integers(1, 6), st.integers(1, 30))
def test_equal_nodes_differ_by_one_host_at_most(workers, count, cpus):
    there = nodes((0, 0), *[(cpus, 0)] * count)
    layout = lay_out(Needs(workers, {"CPU": 1.0}, {}, {}), there, "spread", "n0")
    if workers > cpus * count:
        assert layout is None
    else:
        held = [layout.workers.count(node) for node in there[1:]]
        assert max(held) - min(held) <= 1


def test_what_others_hold_may_leave_no_room_for_a_layout():
    there, asked = nodes((5, 0), (4, 0)), needs(8)
    layout = lay_out(asked, there, "spread", "n0")
    assert not can_hold(asked, nodes((4, 0), (4, 0)), layout, "n0")
    assert not can_hold(asked, nodes((5, 0)), layout, "n0"), "one is gone"
    assert can_hold(asked, nodes((5, 0), (4, 0), (1, 0)), layout, "n0")


def test_many_equal_nodes_are_counted():
    assert describe(nodes((4, 0))) == "this Ray node (4 CPU + 0 GPU)"
    assert describe(nodes((0, 0), *[(4, 1)] * 6)) == "these 7 Ray nodes (1 of 0 CPU + 0 GPU, 6 of 4 CPU + 1 GPU)"


def test_room_that_is_given_back_soon_is_waited_for():
    all_free, asked = nodes((5, 0), (4, 0), (4, 0)), needs(6)
    first_held = nodes((0, 0), (4, 0), (4, 0))
    even = lay_out(asked, all_free, "spread", "n0")
    assert choose(asked, all_free, all_free, "spread", "n0", waited=0) == even
    assert choose(asked, all_free, first_held, "spread", "n0", waited=1) is None
    assert counts_of(choose(asked, all_free, first_held, "spread", "n0", waited=4)) == {"n1": 3, "n2": 3}


def counts_of(layout):
    return Counter(node.id for node in layout.workers)


def test_shares_are_counted_gpu_by_gpu():
    two = nodes((9, 2))
    assert lay_out(needs(1, gpus=0.7, server_gpus=0.6, eval_gpus=0.6), two, "spread", "n0") is None
    assert lay_out(needs(2, gpus=0.4, server_gpus=0.6, eval_gpus=0.6), two, "spread", "n0") is not None
    assert lay_out(needs(3, gpus=0.4, server_gpus=0.6, eval_gpus=0.6), two, "spread", "n0") is None


@pytest.mark.parametrize(
    ("asked", "there", "said"),
    [
        (
            replace(needs(8, gpus=0.5), devices=16),
            nodes((4, 4)),
            ": CPU is scarce (GPU would do for 8); lower devices ",
        ),
        (replace(needs(8, gpus=0.5), devices=16), nodes((4, 4)), "or raise engine.devices_per_actor (6 would fit)"),
        (replace(needs(8, gpus=0.5), devices=16), nodes((8, 1), (9, 2)), ": GPU is scarce (CPU would do for 17); "),
        (replace(needs(4), devices=4), nodes((4, 0)), "lower devices, engine.cpus_per_device, or raise"),
        (replace(needs(4), devices=4), nodes((4, 0)), "engine.devices_per_actor (2 would fit)"),
        (replace(needs(4), devices=4), nodes((1, 0)), "holds 1; lower devices or the share per device"),
        (replace(needs(4), devices=4), nodes((1, 0)), "or raise engine.devices_per_actor"),
        (
            replace(needs(5, cpus=0.6), devices=5),
            nodes((2, 0), (2, 0)),
            "; raise engine.devices_per_actor (2 would fit)",
        ),
    ],
)
def test_the_scarce_resource_and_a_packing_that_would_fit_are_named(asked, there, said):
    assert said in shortage(asked, there, "n0")


@given(sizes, st.integers(1, 20), st.integers(1, 40), st.sampled_from([0.5, 1.0]), shares, shares)
def test_a_packing_that_is_named_fits_and_a_smaller_one_does_not(sizes, workers, devices, cpus, gpus, server_gpus):
    each, there = -(-devices // min(workers, devices)), nodes(*sizes)
    asked = replace(needs(-(-devices // each), cpus, gpus, server_gpus), devices=devices)
    found = re.search(r"\((\d+) would fit\)$", shortage(asked, there, "n0") or "")
    if found is None:
        return

    def fits(packing):
        return lay_out(replace(asked, workers=-(-devices // packing)), there, "spread", "n0") is not None

    packing = int(found[1])
    assert fits(packing)
    assert packing > each
    assert not any(fits(less) for less in range(each, packing))


def test_gpus_that_nobody_asks_for_are_named():
    key = "engine.gpus_per_device and engine.server_gpus are 0, so the run computes on CPUs"
    assert unused_gpus(needs(3), nodes((4, 0), (8, 4))) == f"4 GPUs are there, but none is used: {key}"
    assert unused_gpus(needs(3), nodes((8, 1))) == f"1 GPU is there, but it is not used: {key}"
    assert unused_gpus(needs(3), nodes((8, 0))) is None
    assert unused_gpus(needs(3, server_gpus=0.1), nodes((8, 1))) is None

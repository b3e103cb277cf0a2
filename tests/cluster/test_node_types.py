"""The types of nodes of a cluster file, and what may come of them."""

import pytest

from raygan.cluster.node_types import node_types_of
from raygan.cluster.resources import Needs
from tests.cluster.recorded import FILE

NEEDS = Needs(3, {"CPU": 1.0}, {"CPU": 1.0}, {})


def test_a_file_as_ray_up_leaves_it_on_the_head():
    types = node_types_of(FILE)
    assert str(types) == "gpu: up to 4 of 8 CPU + 1 GPU"
    (gpu,) = types.types
    assert gpu.room["object_store_memory"] == 8e9
    assert gpu.room["memory"] + 8e9 == pytest.approx(0.95 * 32 * 2**30)
    came = types.that_may_come({"gpu": 1, "head": 1}, NEEDS)
    assert [node.name for node in came] == ["a new gpu node"] * 3
    assert len({node.id for node in came}) == 3
    assert types.helpful({"gpu": 3}, NEEDS) == {"gpu"}
    assert types.helpful({"gpu": 4}, NEEDS) == set()
    assert types.helpful({}, Needs(3, {"CPU": 9.0}, {"CPU": 1.0}, {})) == set()


def test_a_file_that_does_not_say_what_a_node_holds():
    empty = FILE["available_node_types"] | {"gpu": {"max_workers": 4, "resources": {}}}
    assert node_types_of(FILE | {"available_node_types": empty}) is None


def test_the_most_of_all_together_is_of_the_nodes_that_hold_most():
    kinds = {"a": {"resources": {"CPU": 1}, "max_workers": 5}, "b": {"resources": {"CPU": 4}, "max_workers": 2}}
    types = node_types_of({"max_workers": 3, "available_node_types": kinds})
    assert str(types) == "a: up to 3 of 1 CPU + 0 GPU; b: up to 2 of 4 CPU + 0 GPU; 3 in all"
    assert [node.name for node in types.that_may_come({}, NEEDS)] == ["a new b node", "a new b node", "a new a node"]
    assert [node.name for node in types.that_may_come({"b": 2}, NEEDS)] == ["a new a node"]


def test_no_workers():
    types = node_types_of({"max_workers": 0, "head_node_type": "h", "available_node_types": {"h": {"resources": {}}}})
    assert str(types) == "no type of worker"
    assert types.that_may_come({}, NEEDS) == []

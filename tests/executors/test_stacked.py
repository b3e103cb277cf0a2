"""Devices side by side in whole runs: who holds them, and an interruption, change no byte."""

import pytest

import raygan
from tests.errors import raises
from tests.executors.test_executors import without_time
from tests.helpers import Watch, tiny

RUNS = {
    "averaged": ["schedule=parallel", "selection.name=uniform", "selection.count=5"],
    "fedgan": ["method=fedgan"],
    "fegan": ["method=fegan"],
    "mdgan": ["method=mdgan", "mdgan.swap_epochs=0.25"],
    "asynchronous": ["schedule=asynchronous", "asynchronous.buffer=3", "compute.device_flops=1e9", "rounds=6"],
    "late": [
        *("averaged.upload=delta", "compression.name=topk", "selection.deadline_s=0.012"),
        *("compute.device_flops=[1e8, 2e8, 5e8, 1e9, 1e8, 2e8, 5e8, 1e9]", "averaged.optimizer_state=reset"),
    ],
}
FEW, MANY = "engine.devices_per_actor=4", "engine.devices_per_actor=8"


def stacked(words, *more):
    return tiny("devices=8", "engine.stacked=4", "data.partition.name=dirichlet", *words, *more)


@pytest.mark.parametrize("name", RUNS)
def test_packing_and_a_resumed_run_change_no_byte(name, tmp_path):
    words = RUNS[name]
    straight = raygan.train(stacked(words, FEW), tmp_path / "straight")
    packed = raygan.train(stacked(words, MANY), tmp_path / "packed")
    raygan.train(stacked(words, FEW, "rounds=2"), tmp_path / "resumed")
    resumed = raygan.train(
        stacked(words, MANY, f"rounds={straight.rows[-1]['round']}"), tmp_path / "resumed", resume=True
    )
    for other in (packed, resumed):
        assert other.generator.read_bytes() == straight.generator.read_bytes()
        assert [without_time(row) for row in other.rows] == [without_time(row) for row in straight.rows]


@pytest.mark.slow
@pytest.mark.ray
def test_ray_gives_the_same_bytes(tmp_path, cluster):
    inline = raygan.train(stacked([], FEW), tmp_path / "inline")
    on_ray = raygan.train(stacked(["engine.executor=ray"], FEW), tmp_path / "ray")
    assert on_ray.generator.read_bytes() == inline.generator.read_bytes()


def test_a_run_of_another_size_of_groups_is_not_resumed(tmp_path):
    raygan.train(stacked([], FEW, "rounds=1"), tmp_path / "run")
    with raises("--resume", "conflict", "engine.stacked"):
        raygan.train(stacked([], "engine.stacked=2", FEW, "rounds=2"), tmp_path / "run", resume=True)


def test_what_is_not_stacked_is_said(tmp_path):
    watch = Watch()
    raygan.train(stacked(["gan.loss=tests.own:quadratic"], FEW, "rounds=1"), tmp_path / "run", watchers=[watch])
    assert any("engine.stacked: gan.loss=tests.own:quadratic" in text for text in watch.phases)

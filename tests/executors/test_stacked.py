"""Devices side by side in whole runs: who holds them, and an interruption, change no byte."""

import pytest

import raygan
from tests.errors import raises
from tests.executors.nodes import Nodes, run_on, run_through
from tests.executors.test_executors import without_time
from tests.helpers import Watch, tiny

FEEDBACK = ["method=mdgan", "mdgan.swap_epochs=null"]
PRIVATE = ["privacy.name=user", "privacy.clip=0.5", "data.held_out=0.3"]
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
    "odds": [*FEEDBACK, "mdgan.feedback=odds"],
    "forgiving": [*FEEDBACK, "mdgan.feedback=forgiving"],
    "adaptive": [*FEEDBACK, "mdgan.feedback=adaptive"],
    "scaffold": ["method=fedgan", "fedgan.weights=uniform", "fedgan.optimizer_state=keep", "scaffold.option=I"],
    "proximal": ["proximal.mu=0.1", "device_steps=2", "server_optimizer.name=adam"],
    "ada": ["gan.augment=ada", "gan.ada_images=64", "gan.ada_target=0.0"],
    "private": PRIVATE,
    "private, with a clip that follows": [*PRIVATE, "privacy.clip_quantile=0.5", "privacy.quantile_noise=2"],
    "secagg": ["aggregation.secure.name=secagg", "method=fedgan", "fedgan.weights=uniform"],
}
FEW, MANY = "engine.devices_per_actor=4", "engine.devices_per_actor=8"


def stacked(words, *more):
    few = ["devices=8", "eval.metrics=[sliced]", "eval.every=2"]
    return tiny(*few, "engine.stacked=4", "data.partition.name=dirichlet", *words, *more)


@pytest.mark.parametrize("name", RUNS)
def test_where_devices_are_and_a_resumed_run_change_no_byte(name, tmp_path):
    words = RUNS[name]
    straight = raygan.train(stacked(words, FEW), tmp_path / "straight")
    packed = raygan.train(stacked(words, MANY), tmp_path / "packed")
    config = stacked(words, FEW)
    on_two_nodes = run_on(Nodes(config, 2), config, tmp_path / "two nodes", 4)
    raygan.train(stacked(words, FEW, "rounds=2"), tmp_path / "resumed")
    resumed = raygan.train(
        stacked(words, MANY, f"rounds={straight.rows[-1]['round']}"), tmp_path / "resumed", resume=True
    )
    rows = [without_time(row) for row in straight.rows]
    for other in (packed, resumed):
        assert other.generator.read_bytes() == straight.generator.read_bytes()
        assert [without_time(row) for row in other.rows] == rows
    assert on_two_nodes.generator.read_bytes() == straight.generator.read_bytes()


REPLAYED = ["averaged", "fedgan", "odds", "scaffold", "late"]


@pytest.mark.parametrize("name", REPLAYED)
def test_a_lost_worker_is_started_again_and_no_byte_changes(name, tmp_path):
    config = stacked(RUNS[name], FEW)
    undisturbed = run_on(Nodes(config, 2), config, tmp_path / "undisturbed", 4)
    transport = Nodes(config, 2, dies=[(3, "update_devices", 1)])
    folder, said = run_through(transport, config, tmp_path / "lost", 4)
    assert "going on after round 2" in said
    assert transport.room == 98, "the worker alone was replaced"
    assert folder.generator.read_bytes() == undisturbed.generator.read_bytes()


@pytest.mark.ray
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("averaged", marks=pytest.mark.slow),
        *(pytest.param(name, marks=pytest.mark.nightly) for name in ("fedgan", "odds")),
    ],
)
def test_ray_gives_the_same_bytes(name, tmp_path, cluster):
    inline = raygan.train(stacked(RUNS[name], FEW), tmp_path / "inline")
    on_ray = raygan.train(stacked(RUNS[name], "engine.executor=ray", FEW), tmp_path / "ray")
    assert on_ray.generator.read_bytes() == inline.generator.read_bytes()
    assert [without_time(row) for row in on_ray.rows] == [without_time(row) for row in inline.rows]


def test_a_run_of_another_size_of_groups_is_not_resumed(tmp_path):
    raygan.train(stacked([], FEW, "rounds=1"), tmp_path / "run")
    with raises("--resume", "conflict", "engine.stacked"):
        raygan.train(stacked([], "engine.stacked=2", FEW, "rounds=2"), tmp_path / "run", resume=True)


def test_what_is_not_stacked_is_said(tmp_path):
    watch = Watch()
    raygan.train(stacked(["gan.loss=tests.own:quadratic"], FEW, "rounds=1"), tmp_path / "run", watchers=[watch])
    assert any("engine.stacked: gan.loss=tests.own:quadratic" in text for text in watch.phases)

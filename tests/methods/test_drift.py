"""Server optimisers, the proximal term and control variates in whole runs: the same bytes, however they are run."""

import pytest

import raygan
from tests.helpers import same_generator, tiny, undisturbed_run

SGD = ["device_optimizer.name=sgd", "generator_optimizer.name=sgd"]
RUNS = {
    "momentum": ["server_optimizer.name=sgd", "averaged.upload=delta", "schedule=parallel"],
    "Adam of a median": ["server_optimizer.name=adam", "server_optimizer.beta1=0.5", "aggregation.name=median"],
    "Yogi, FedProx": ["method=fedgan", "server_optimizer.name=yogi", "proximal.mu=0.1", "device_steps=2"],
    "SCAFFOLD": ["scaffold.option=II", *SGD, "device_steps=2", "selection.name=round_robin", "selection.count=2"],
    "all of them": [
        *("method=fedgan", "fedgan.weights=uniform", "server_optimizer.name=adam", "scaffold.option=I"),
        *("proximal.mu=0.1", "device_steps=2", "gan.augment=ada", "gan.ada_images=64"),
    ],
}


@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS)
def test_packed_interrupted_and_undisturbed_runs_give_the_same_bytes(words, tmp_path):
    undisturbed_run([*words, "data.partition.name=dirichlet"], tmp_path)


@pytest.mark.ray
@pytest.mark.parametrize(
    "run",
    [pytest.param(run, marks=pytest.mark.slow if run == "all of them" else pytest.mark.nightly) for run in RUNS],
)
def test_on_ray_too(run, tmp_path, cluster):
    words = [*RUNS[run], "data.partition.name=dirichlet"]
    inline = raygan.train(tiny(*words), tmp_path / "inline")
    on_ray = tiny(*words, "engine.executor=ray", "engine.devices_per_actor=2")
    assert same_generator(raygan.train(on_ray, tmp_path / "ray"), inline)

"""What a trial asks for, and whether a cluster can hold it."""

from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from raygan.cluster.layout import Node
from raygan.cluster.resources import Needs, needs_of
from raygan.cluster.shortage import shortage, shortage_in_group
from raygan.config.load import check_config
from raygan.sweep.resources import cpus_for_sweep, needs_of_trial, resources_for, wait_until_trials_fit
from tests.errors import raises
from tests.helpers import tiny
from tests.sweep.helpers import CONFIG, sweep

ON_RAY = CONFIG | {"engine": {"executor": "ray"}}


def test_an_inline_trial_asks_for_a_cpu_per_thread():
    for words, cpus in [([], 1), (["engine.server_threads=3"], 3), (["engine.threads_per_device=2"], 2)]:
        asked = resources_for(tiny("devices=40", *words))
        assert asked.bundles == [{"CPU": cpus}]
        assert asked.required_resources == {"CPU": cpus}


BUNDLES = [
    ("devices=3", [{}, {"CPU": 1}, {"CPU": 1}, {"CPU": 1}, {"CPU": 1}]),
    ("devices=3 engine.devices_per_actor=2", [{}, {"CPU": 1}, {"CPU": 1}, {"CPU": 1}]),
    ("devices=2 engine.cpus_per_device=0.5", [{}, {"CPU": 1}, {"CPU": 0.5}, {"CPU": 0.5}]),
    ("devices=2 engine.cpus_per_device=0", [{}, {"CPU": 1}]),
    (
        "devices=2 engine.gpus_per_device=0.25 engine.server_gpus=0.5 eval.gpus=0.25",
        [{}, {"CPU": 1, "GPU": 0.75}, {"CPU": 1, "GPU": 0.25}, {"CPU": 1, "GPU": 0.25}],
    ),
    ("devices=1 engine.cpus_per_device=0 engine.gpus_per_device=1", [{}, {"CPU": 1}, {"GPU": 1}]),
]


@pytest.mark.parametrize(("words", "bundles"), BUNDLES, ids=[words for words, _ in BUNDLES])
def test_a_trial_with_actors_asks_for_a_bundle_of_server_and_recorder_and_one_per_actor(words, bundles):
    config = tiny("engine.executor=ray", *words.split())
    factory = resources_for(config)
    assert factory.head_bundle_is_empty
    assert [{}, *factory.bundles] == bundles  # Tune leaves the empty one out
    assert needs_of(config).bundles == bundles[1:]


shares = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])
cpus = st.sampled_from([0.0, 0.5, 1.0, 2.0])


@given(st.integers(1, 12), st.integers(1, 12), shares, cpus, shares, shares, st.sampled_from(["ray", "inline"]))
def test_a_trials_group_holds_all_its_actors(devices, together, gpus, cpus, server, evaluation, executor):
    engine = {"executor": executor, "devices_per_actor": together, "gpus_per_device": gpus, "cpus_per_device": cpus}
    config = check_config(
        {"devices": devices, "engine": engine | {"server_gpus": server}, "eval": {"gpus": evaluation}}
    )
    needs, factory = needs_of_trial(config), resources_for(config)
    for name, amount in needs.total.items():
        assert factory.required_resources.get(name, 0) == pytest.approx(amount)
    assert all(amount > 0 for bundle in needs.bundles for amount in bundle.values())
    centre, *workers = needs.bundles
    if executor == "inline":
        assert (centre, workers) == ({"CPU": 1}, [])
        return
    assert needs.workers * together >= devices > (needs.workers - 1) * together
    assert centre.get("GPU", 0) == pytest.approx(server + evaluation)
    assert len(workers) == (needs.workers if gpus or cpus else 0)
    assert all(bundle == {name: n for name, n in (("CPU", cpus), ("GPU", gpus)) if n} for bundle in workers)


def needs(workers=0, worker=None, server=None, recorder=None):
    return Needs(workers, worker or {"CPU": 1.0}, server or {"CPU": 1.0}, recorder or {"CPU": 0.0})


def nodes(*sizes):
    """Nodes, each as (CPU, GPU)."""
    return [Node(str(i), str(i), {"CPU": float(cpu), "GPU": float(gpu)}) for i, (cpu, gpu) in enumerate(sizes)]


def alone(needs, nodes):
    """What a single run is short of."""
    return shortage(needs, nodes, home="0")


def test_a_trial_that_fits_is_short_of_nothing():
    two = nodes((2, 0), (2, 0))
    assert shortage_in_group(needs(3), two) is None
    assert "4 device actors" in shortage_in_group(needs(4), two)


def test_server_and_recorder_want_one_node_that_leaves_room_for_the_rest():
    centre = {"server": {"CPU": 1.0, "GPU": 0.5}, "recorder": {"CPU": 0.0, "GPU": 0.5}}
    assert alone(needs(2, **centre), nodes((4, 0.5), (4, 0.5))) is None, "one by one they fit"
    assert "no node of these 2 Ray nodes (4 CPU + 0.5 GPU, 4 CPU + 0.5 GPU) has room" in shortage_in_group(
        needs(2, **centre), nodes((4, 0.5), (4, 0.5))
    )
    assert shortage_in_group(needs(3, **centre), nodes((2, 1), (2, 0))) is None
    half = needs(2, {"CPU": 1.5}, **centre)
    assert shortage_in_group(half, nodes((2, 1), (2, 0))) is not None, "its node has half a CPU left"
    assert shortage_in_group(half, nodes((3, 1), (2, 0))) is None


WHOLE_GPUS = [
    (2, 0.6, 2),  # of two GPUs, 0.4 are left of each
    (2, 0.5, 4),
    (1, 0.3, 3),
    (4, 0.7, 4),
    (3, 1.0, 3),
    (2, 0.1, 20),
    (2, 1 / 3, 6),
]


@pytest.mark.parametrize(("gpus", "share", "fit"), WHOLE_GPUS)
def test_a_share_is_of_one_gpu(gpus, share, fit):
    worker = {"CPU": 1.0, "GPU": share}
    for short_of in (alone, shortage_in_group):
        assert short_of(needs(fit, worker), nodes((100, gpus))) is None
        assert f"holds {fit}" in short_of(needs(fit + 1, worker), nodes((100, gpus)))


def test_a_group_asks_for_whole_gpus_or_for_a_share_of_one():
    one_node = nodes((100, 8))
    together = {"server": {"CPU": 1.0, "GPU": 0.75}, "recorder": {"CPU": 0.0, "GPU": 0.75}}
    assert alone(needs(1, **together), one_node) is None
    problem = shortage_in_group(needs(1, **together), one_node)
    assert problem.startswith("engine.server_gpus=0.75 and eval.gpus=0.75: Ray keeps them together in a trial, and 1.5")
    for one, other in [(1.0, 1.0), (1.0, 0.5), (0.5, 0.5)]:
        centre = {"server": {"CPU": 1.0, "GPU": one}, "recorder": {"CPU": 0.0, "GPU": other}}
        assert shortage_in_group(needs(1, **centre), one_node) is None


def placeable(sizes, needs):
    """Whether any way of putting each bundle on a node, and its share on one of the node's GPUs, works."""
    bundles = [(bundle.get("CPU", 0), bundle.get("GPU", 0)) for bundle in needs.bundles]
    places = [(node, gpu) for node, (_, gpus) in enumerate(sizes) for gpu in range(max(gpus, 1))]
    for chosen in product(places, repeat=len(bundles)):
        cpu, gpu = [float(size[0]) for size in sizes], {}
        for (node, one), (cpus, share) in zip(chosen, bundles, strict=True):
            cpu[node] -= cpus
            gpu[node, one] = gpu.get((node, one), 0) + share
        if min(cpu) >= 0 and all(used <= (1 if one < sizes[node][1] else 0) for (node, one), used in gpu.items()):
            return True
    return False


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=2),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
def test_a_group_is_short_of_something_if_and_only_if_no_placement_exists(sizes, workers, cpus, share, centre):
    assume(sum(gpus or 1 for _, gpus in sizes) ** (workers + 1) < 300)
    asked = needs(workers, {"CPU": cpus, "GPU": share}, {"CPU": 1.0, "GPU": centre})
    problem = shortage_in_group(asked, nodes(*sizes))
    assert (problem is None) == placeable(sizes, asked), problem


def started(config, cores, monkeypatch, **keys):
    monkeypatch.setattr("raygan.sweep.resources.os.cpu_count", lambda: cores)
    return cpus_for_sweep(sweep(config=config, **keys), [{}, {"device_steps": 2}])


def test_a_ray_that_is_started_holds_as_many_trials_as_there_are_cores_or_as_are_asked_for(monkeypatch):
    assert started(CONFIG, 8, monkeypatch) == 8
    assert started(CONFIG, 8, monkeypatch, concurrent=3) == 3
    assert started(CONFIG | {"engine": {"executor": "inline", "server_threads": 3}}, 8, monkeypatch) == 8
    assert started(ON_RAY, 2, monkeypatch) == 4, "one at least: three devices and a server"
    assert started(ON_RAY, 9, monkeypatch) == 9
    assert started(ON_RAY, 2, monkeypatch, concurrent=2) == 8


def test_cpus_are_counted_by_the_largest_trial(monkeypatch):
    monkeypatch.setattr("raygan.sweep.resources.os.cpu_count", lambda: 2)
    config = {key: value for key, value in ON_RAY.items() if key != "devices"}
    grown = sweep({"devices": {"grid_search": [2, 7, 4]}}, config, concurrent=2)
    assert cpus_for_sweep(grown, [{"devices": 2}, {"devices": 7}, {"devices": 4}]) == 16


def test_a_trial_that_cannot_fit_is_named(monkeypatch):
    monkeypatch.setattr("raygan.cluster.waiting.all_nodes", lambda: nodes((4, 0)))
    config = {key: value for key, value in ON_RAY.items() if key != "devices"}
    grown = sweep({"devices": {"grid_search": [2, 7]}}, config)
    wait_until_trials_fit(grown, [{"devices": 2}], may_grow=False, tell=print)
    with raises("space", "resources", "devices=7", "7 device actors"):
        wait_until_trials_fit(grown, [{"devices": 2}, {"devices": 7}], may_grow=False, tell=print)

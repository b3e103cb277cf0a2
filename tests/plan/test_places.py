"""What goes where and what it takes: closed forms on nodes described, and sums of real rounds."""

import pickle
from collections import Counter
from functools import cache as cached
from pathlib import Path

import pytest
import torch

from raygan.cluster.layout import Node
from raygan.cluster.node_types import node_types_of
from raygan.cluster.resources import Needs
from raygan.cluster.site import FoundNodes, this_machine
from raygan.data import load_data, split
from raygan.executors.setup import Setup
from raygan.gan.networks import build_networks
from raygan.plan.described import described_site, parse
from raygan.plan.fits import problems
from raygan.plan.footprint import CUDA_CONTEXT, DRIVER, FORK_SERVER, FORKED, PROCESS, RAY, RECORDER
from raygan.plan.found import machine_of, site_of
from raygan.plan.gpu_use import GpuUse, gpus_of
from raygan.plan.places import place
from raygan.plan.sizes import make_plan
from raygan.plan.text import describe_places
from raygan.round.messages import pre_aggregated
from raygan.round.server import Server
from raygan.round.simulation import try_out
from raygan.round.worker import Worker
from tests.cluster.recorded import FILE
from tests.helpers import tiny


@cached
def planned(*words):
    return make_plan(tiny("engine.executor=ray", *words))


def places(specs, *words):
    return place(planned(*words), described_site(specs.split()))


def workers(placed):
    return [node.workers for node in placed.nodes]


LAYOUTS = [
    ("8xA10G", ["devices=24", "engine.gpus_per_device=0.25"], [3] * 8),
    ("1x8cpu 8xA10G", ["devices=64", "engine.gpus_per_device=0.12"], [0] + [8] * 8),
    ("2x2xA10G:9cpu", ["devices=10", "engine.gpus_per_device=0.4", "engine.placement=pack"], None),
    ("1x0cpu:8GB 3x8cpu", ["devices=10", "engine.placement=pack"], [0, 7, 3, 0]),
    ("1x0cpu:8GB 3x8cpu", ["devices=10"], [0, 3, 4, 3]),
]


@pytest.mark.parametrize(("specs", "words", "expected"), LAYOUTS)
def test_closed_forms(specs, words, expected):
    placed = places(specs, *words)
    if expected is None:
        assert "10 device actors of 1 CPU and 0.4 GPU each were asked for, but" in placed.shortage
        assert "hold 8" in placed.shortage
        assert (placed.nodes, problems(planned(*words), placed)) == ([], [placed.shortage])
    else:
        assert workers(placed) == expected
        assert problems(planned(*words), placed) == []


def test_the_driver_the_recorder_and_the_server():
    placed = places("1x0cpu:8GB 2x8cpu", "devices=4")
    assert [(node.home, node.server) for node in placed.nodes] == [(True, False), (False, True), (False, False)]


def test_what_a_gpu_holds():
    words = ("devices=24", "engine.gpus_per_device=0.25")
    (use,) = places("8xA10G", *words).nodes[0].gpus
    sizes = planned(*words).footprint
    assert (use.workers, use.free) == (3, 0.25)
    assert use.memory(sizes) == 3 * (CUDA_CONTEXT + sizes.device_on_gpu)
    shards = planned(*words).worker_samples
    assert sizes.device_on_gpu == sizes.device.kept + 2 * sizes.device.passing + shards.max()
    without = planned(*words, "engine.cuda_graphs=false").footprint
    assert without.device_on_gpu == sizes.device_on_gpu - sizes.device.passing
    assert sizes.server_on_gpu - without.server_on_gpu == sizes.server.passing


def test_what_a_process_holds():
    """Networks, their gradients and Adam's moments, in float32."""
    sizes, plan = planned("devices=3").footprint, planned("devices=3")
    generator, discriminator = plan.generator_parameters, plan.discriminator_parameters
    buffers = sizes.update // 4 - discriminator  # of the discriminator; they travel
    both, gradients = sizes.down // 4, generator + discriminator
    derived = build_networks(tiny(), (1, 16, 16), torch.device("cpu")).discriminator.derived.numel()
    averaged = both - sizes.update // 4 - derived  # the generator and its buffers
    assert sizes.device.kept == 4 * (both + gradients + 2 * discriminator + 1 + buffers)
    assert sizes.server.kept == 4 * (both + gradients + 2 * generator + 1 + averaged)
    assert sizes.device.passing > 4 * 8 * 2 * 16 * 16  # real and generated images, at least
    assert sizes.state == 4 * (2 * discriminator + 1)


@pytest.mark.parametrize(("workers", "process", "shared"), [("fork", FORKED, FORK_SERVER), ("spawn", PROCESS, 0)])
def test_what_a_node_holds(workers, process, shared):
    words = (
        "devices=3",
        "engine.gpus_per_device=0.1",
        "engine.server_gpus=0.1",
        "rounds=1",
        f"engine.workers={workers}",
    )
    here, there = places("1x0cpu:8GB 1xT4:8cpu:16GB", *words).nodes
    plan = planned(*words)
    sizes, images = plan.footprint, plan.image_bytes
    tried = sizes.device.most + sizes.server.most
    assert here.private == RAY + shared + RECORDER - PROCESS + process + DRIVER + tried + images + 16 * plan.samples
    worker = process + sizes.update + sizes.state
    assert there.private == RAY + shared + 3 * worker + process + sizes.down + 2 * sizes.part
    assert here.stored == 2 * images + 3 * sizes.state + sizes.server_state
    assert there.stored == images + 2 * sizes.down + 2 * 3 * sizes.update + 3 * sizes.state + sizes.server_state


def test_what_goes_from_node_to_node():
    cluster, words = "3x4cpu", ("devices=9",)
    sizes, placed = planned(*words).footprint, places(cluster, *words)
    assert workers(placed) == [3, 3, 3]
    assert placed.network.down == 2 * sizes.down
    assert placed.network.up == 2 * sizes.far_part
    one_by_one = places(cluster, *words, "engine.pre_average=false")
    assert one_by_one.network.up == 6 * sizes.update
    assert placed.network.checkpoint == 6 * sizes.state
    assert places("1x10cpu", *words).network.up == 0


def test_only_the_chosen_send_and_few_send_each_their_own():
    placed = places("3x4cpu", "devices=9", "selection.name=round_robin", "selection.count=3", "rounds=3")
    assert placed.network.up == 2 * planned("devices=9").footprint.update
    assert placed.network.down == 2 * planned("devices=9").footprint.down


def test_swaps_go_from_node_to_node():
    words = ("method=mdgan", "devices=2", "mdgan.swap_epochs=0.01", "mdgan.batches=1")
    placed = places("2x2cpu", *words)
    assert workers(placed) == [1, 1]
    assert placed.network.swap == 2 * planned(*words).footprint.state


@pytest.mark.parametrize("words", [(), ("method=fedgan",), ("averaged.upload=delta",)], ids=str)
def test_the_sum_that_a_node_sends_is_about_as_large_as_planned(words):
    config = tiny("devices=6", *words)
    images = load_data(config.data, config.seed)
    shards = split(images.labels, 6, config.data.partition, config.seed)
    problem, _ = try_out(config, images, shards)
    setup = Setup(config, {}, Path(), images, shards, problem)
    server = Server(config, problem, torch.device("cpu"))
    parties = [Worker(config, problem, setup.shards_of(range(k, k + 1)), torch.device("cpu")) for k in range(6)]
    for round in range(1, 11):  # the first sums can be narrower than all others
        down = server.down(round)
        updates = [party.update_devices(round, down, party.devices)[0] for party in parties]
        (part,) = pre_aggregated(updates, config, problem).parts
        server.update(round, updates)
    sent = len(pickle.dumps(part.content, protocol=5))
    assert planned("devices=6", *words).footprint.far_part == pytest.approx(sent, rel=0.05)


def needs(workers_gpu, server_gpu=0.0, eval_gpu=0.0):
    return Needs(9, {"CPU": 1, "GPU": workers_gpu}, {"CPU": 1, "GPU": server_gpu}, {"CPU": 0, "GPU": eval_gpu})


def test_gpus_are_filled_one_after_the_other():
    gpus = gpus_of(needs(0.4, 0.5), 3, workers=5, server=True, recorder=True)
    assert [(gpu.server, gpu.workers) for gpu in gpus] == [(1, 1), (0, 2), (0, 2)]
    assert gpus[0].free == 0.1
    assert gpus_of(needs(1.0), 2, workers=2, server=True, recorder=False) == [GpuUse(0.0, workers=1)] * 2
    assert gpus_of(needs(0.0), 2, workers=2, server=True, recorder=True) == [GpuUse()] * 2


def test_shares_that_fit_in_sum_but_on_no_gpu_are_refused():
    words = ("devices=1", "engine.gpus_per_device=0.8", "engine.server_gpus=0.6", "eval.gpus=0.6")
    (problem,) = problems(planned(*words), places("1x2xT4", *words))
    assert problem.startswith("engine: no node of this Ray node (8 CPU + 2 GPU) has room for the server (1 CPU and 0.6")


def test_shares_of_others_are_waited_for_and_said():
    site = described_site(["2x4cpu"])
    held = [Node(node.id, node.name, {"CPU": 1.0}) for node in site.nodes]
    placed = place(planned("devices=5"), type(site)(site.name, site.machines, site.home, True, held))
    assert placed.waits
    assert sum(workers(placed)) == 5


def test_a_node_as_ray_has_it():
    room = {"CPU": 4.0, "GPU": 1.0, "memory": 10e9, "object_store_memory": 4e9, "accelerator_type:A10G": 1.0}
    machine = machine_of(Node("id", "10.0.0.1", room), None)
    assert (machine.gpu, machine.gpu_memory, machine.memory, machine.store) == ("A10G", 24e9, 14e9, 4e9)
    other = machine_of(Node("id", "10.0.0.1", room | {"accelerator_type:A10G": 0.0, "GPU": 0.0}), None)
    assert (other.gpu, other.gpu_memory) == (None, None)
    assert machine_of(Node("id", "10.0.0.1", room), 23e9).gpu_memory == 23e9


def test_a_gpu_that_comes_in_several_sizes_has_none_unless_it_is_declared():
    room = {"CPU": 4.0, "GPU": 1.0, "accelerator_type:A100": 1.0}
    found = machine_of(Node("id", "10.0.0.1", room), None)
    assert (found.gpu, found.gpu_memory) == ("A100", None)
    declared = machine_of(Node("id", "10.0.0.1", room | {"accelerator_type:A100-80G": 1.0}), None)
    assert (declared.gpu, declared.gpu_memory) == ("A100-80G", 80e9)
    assert parse("1xA100").machine(1).gpu_memory == 40e9  # of a description, which is repeated in full


def test_this_machine_is_what_a_ray_started_for_the_run_would_be():
    site = site_of(this_machine(3.5))
    (machine,) = site.machines
    assert machine.node.room["CPU"] == 4
    assert 0 < machine.store < machine.memory
    assert not site.may_grow
    assert Counter(node.id for node in site.free) == {site.home: 1}


def grown(*words, most=4, home=(0, 0)):
    """A head without CPUs, and an autoscaler that may add nodes of 8 CPUs and a GPU."""
    file = FILE | {"max_workers": most}
    types = node_types_of(file)
    head = Node("head", "10.0.0.1", {"CPU": float(home[0]), "GPU": 0.0, "memory": 24e9, "object_store_memory": 8e9})
    coming = types.that_may_come({}, planned(*words).needs)
    site = site_of(FoundNodes("1 node", [head], [head], "head", True, None, coming, str(types)))
    return place(planned(*words), site)


def test_what_an_autoscaler_may_add_is_counted_and_no_more_than_is_needed():
    words = ("devices=16", "engine.gpus_per_device=0.125")
    placed = grown(*words)
    assert (placed.shortage, placed.site.added) == (None, 3), "the server takes a CPU, too"
    assert workers(placed)[0] == 0
    assert sum(workers(placed)) == 16
    assert problems(planned(*words), placed) == []
    lines = dict(describe_places(planned(*words), placed))
    assert lines["where"] == (
        "1 node, and 3 that its autoscaler would start (gpu: up to 4 of 8 CPU + 1 GPU; up to 600 s of waiting); "
        "spread: 16 device actors on 3 nodes (5 to 6 on each)"
    )
    assert "a new gpu node" in str(describe_places(planned(*words), placed))
    new = placed.site.machines[1]
    assert (new.gpu, new.gpu_memory, new.store) == ("A10G", 24e9, 8e9)


def test_what_no_autoscaler_can_add_is_refused_without_hope():
    placed = grown("devices=64", "engine.gpus_per_device=0.1")
    assert placed.shortage.startswith(
        "engine: 64 device actors of 1 CPU and 0.1 GPU each were asked for, but the cluster with all that its "
        "autoscaler may add (gpu: up to 4 of 8 CPU + 1 GPU) holds 32: CPU is scarce (GPU would do for 40); "
    )
    assert placed.shortage.endswith("or raise engine.devices_per_actor (3 would fit)")


def test_memory_that_a_cluster_file_does_not_say_is_unknown():
    placed = place(
        planned("devices=2"),
        site_of(FoundNodes("1 node", [], [], "", True, None, [Node("a", "a new a node", {"CPU": 4.0})], "a")),
    )
    assert problems(planned("devices=2"), placed) == []
    assert "of an unknown size, object store" in str(describe_places(planned("devices=2"), placed))

"""The simulated side of real runs: counted work, bytes per round, who takes part."""

import itertools

import numpy as np
import pytest
import torch

import raygan
from raygan.components import METHODS, resolve
from raygan.config import load_config
from raygan.data import dealt, load_data, split
from raygan.data.classes import with_classes
from raygan.data.partition import parted
from raygan.methods.averaged import Averaged
from raygan.methods.base import Mean
from raygan.round.flops import DeviceWork, FlopCounter, along_a_line
from raygan.round.simulation import as_run, count_work, try_out
from tests.helpers import tiny

CPU = torch.device("cpu")
METHODS_BY_NAME = {name: resolve(METHODS, name, "method") for name in METHODS}
DCGAN_64 = [
    "data.name=tests.own:blank_64",
    *("gan.latent=100", "gan.generator_width=64", "gan.discriminator_width=64", "gan.discriminator_norm=batch"),
    *("batch_size=1", "generator_batch_size=1", "devices=3"),
]
G, D = 3_576_704, 2_765_568


def clock_of(*words):
    config = as_run(load_config(None, list(words)))
    images = load_data(config.data, config.seed)
    return try_out(config, images, split(images.labels, config.devices, config.data.partition, config.seed))[1]


@pytest.mark.parametrize(
    ("words", "down", "up", "swap"),
    [
        (["method=averaged"], 4 * (G + D), 4 * D, 0),
        (["method=averaged", "schedule=parallel"], 4 * (G + D), 4 * D, 0),
        (["method=fedgan"], 4 * (G + D), 4 * (G + D), 0),
        (
            ["method=mdgan", "mdgan.swap_epochs=0.1", "mdgan.swap_moments=reset"],
            4 * 2 * 64 * 64 * 3,
            4 * 64 * 64 * 3,
            4 * D,
        ),
        (["method=averaged", "channel.bits_per_parameter=8"], G + D, D, 0),
    ],
)
def test_bytes_per_round_are_the_fields_formulas_exactly(words, down, up, swap):
    one = clock_of(*DCGAN_64, *words).round(1)
    assert (one.bytes_down, one.bytes_up) == (3 * down, 3 * up)
    assert one.bytes_swap == 2 * swap  # one pair of three devices


WEIGHED = f"gan.class_weights={[1] * 10}"


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (["gan.condition=none"], 0),
        (["gan.condition=projection"], 10),
        (["gan.condition=projection", WEIGHED], 0),
        (["gan.condition=projection", WEIGHED, "method=mdgan", "mdgan.feedback=odds", "mdgan.swap_epochs=null"], 10),
        (["gan.condition=projection", "method=centralized"], 0),
    ],
)
def test_classes_are_reported_once_if_somebody_goes_by_them(words, classes):
    given = as_run(tiny(*words))
    images = load_data(given.data, given.seed)
    shards = dealt(images, given)
    config = with_classes(given, images, shards)
    _, clock = try_out(config, images, shards, weighed=bool(given.gan.class_weights))
    first, second = clock.round(1), clock.round(2)
    assert first.bytes_up - second.bytes_up == 4 * classes * config.devices


def test_classes_are_drawn_as_often_as_they_are_trained_on():
    given = tiny("gan.condition=projection", "data.held_out=0.5")
    images = load_data(given.data, given.seed)
    training, held = parted(images, given)
    weights = with_classes(given, images, training).gan.class_weights
    assert weights == tuple(np.bincount(images.labels[training.indices], minlength=10))
    assert sum(weights) == len(images) - len(held.indices) < len(images)


def test_centralized_sends_nothing_and_computes_at_the_servers_speed():
    words = ["compute.server_flops=1e12", "compute.device_flops=1e6", "channel.name=wireless", "devices=7"]
    one = clock_of("method=centralized", *words).round(1)
    assert (one.devices, one.bytes_down, one.bytes_up) == ([0], 0, 0)
    serial = clock_of("devices=1", "compute.server_flops=1e12", "compute.device_flops=1e12").round(1).phases
    assert one.phases.seconds == pytest.approx(serial.device + serial.server)


def work_of(*words):
    config = load_config(None, ["gan.generator=mlp", "gan.discriminator=mlp", "gan.discriminator_norm=none", *words])
    images = load_data(config.data, config.seed)
    shards = split(images.labels, config.devices, config.data.partition, config.seed)
    return count_work(config, Averaged.server(config, images.shape, CPU), images, shards)


def test_counted_flops_of_perceptrons_are_the_products_of_their_layers():
    """Two per multiplication and addition. Forward: each layer once; backward: once for its weights, and once for its
    input unless nothing in front of it learns."""
    words = ["gan.latent=5", "gan.generator_width=7", "gan.discriminator_width=11", "data.size=16"]
    generator = 5 * 7 + 7 * 7 + 7 * 7 + 7 * 256
    first, rest = 256 * 11, 11 * 11 + 11 * 11 + 11
    work = work_of(*words, "batch_size=6", "generator_batch_size=4", "device_steps=3", "generator_steps=2")
    device_step = generator + 2 * (2 * first + 3 * rest)  # fakes; then real and fake samples: no input gradient needed
    assert work.device == pytest.approx(2 * 6 * 3 * device_step)
    discriminator = 2 * (first + rest)  # forward, and back to the images; its weights stay
    generator_step = 3 * generator - 5 * 7  # nothing in front of the latent points learns
    assert work.finish == pytest.approx(2 * 4 * 2 * (generator_step + discriminator))
    assert work.meanwhile == 0
    parallel = work_of(*words, "batch_size=6", "generator_batch_size=4", "generator_steps=2", "schedule=parallel")
    assert (parallel.meanwhile, parallel.finish) == (work.finish, 0)


@pytest.mark.parametrize("convolution", [torch.nn.Conv2d, torch.nn.ConvTranspose2d])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_a_grouped_convolutions_gradients_are_as_much_work_as_the_convolution_each(convolution, groups):
    """torch's own formula has (1 + groups) / 2 times too much: 4.5 times for a depthwise one of eight channels."""
    layer = convolution(8, 8, 4, 2, 1, groups=groups, bias=False)
    images = torch.zeros(3, 8, 16, 16, requires_grad=True)
    side = 8 if convolution is torch.nn.Conv2d else 16  # of the output, or of the input that is spread
    forward = 2 * 3 * side * side * 4 * 4 * 8 * 8 // groups
    with FlopCounter() as counter:
        out = layer(images)
    assert counter.flops == forward
    for inputs in ([images], [layer.weight], [images, layer.weight]):
        with FlopCounter() as counter:
            torch.autograd.grad(out.sum(), inputs, retain_graph=True)
        assert counter.flops == forward * len(inputs)


def test_the_server_of_mdgan_works_on_the_batches_that_somebody_judged():
    """Forward for all k = 3, since buffers move; backward for those of the devices that took part."""
    words = ["method=mdgan", "mdgan.batches=3", "devices=6", "gan.generator=mlp", "gan.discriminator=mlp"]
    config = load_config(None, [*words, "gan.discriminator_norm=none"])
    images = load_data(config.data, config.seed)
    shards = split(images.labels, 6, config.data.partition, config.seed)

    def counted(slots):
        server = METHODS_BY_NAME["mdgan"].server(config, images.shape, CPU)
        with FlopCounter() as counter:
            server.finish(1, {slot: Mean(np.ones(server.update_size, np.float32), 1) for slot in slots})
        return counter.flops

    work = count_work(config, METHODS_BY_NAME["mdgan"].server(config, images.shape, CPU), images, shards)
    for devices, slots in {(4,): [1], (0, 3): [0], (0, 1): [0, 1], (2, 3, 4, 5): [0, 1, 2]}.items():
        assert work.finished(devices) == counted(slots)
    assert work.finished(()) == 0
    assert counted([0, 1, 2]) > 1.5 * counted([0]), "as much too much was counted of one device"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", ["non_saturating", "wgan_gp"])
def test_work_of_many_batch_sizes_and_steps_is_counted_from_few(method, loss, monkeypatch):
    words = [f"method={method}", f"gan.loss={loss}", "devices=5", "device_steps=7", "batch_size=9"]
    config = as_run(load_config(None, [*words, "gan.generator=mlp", "gan.discriminator=mlp", "gan.latent=4"]))
    images = load_data(config.data, config.seed)
    down = METHODS_BY_NAME[method].server(config, images.shape, CPU).down(1)
    sizes = [2, 3, 5, 6, 8, 9]
    with_all = [DeviceWork(config, down, images)._counted(7, size) for size in sizes]
    played = []
    counted = DeviceWork._counted
    monkeypatch.setattr(DeviceWork, "_counted", lambda *given: (played.append(given[1]), counted(*given))[1])
    assert DeviceWork(config, down, images).by_size(sizes) == with_all
    assert sum(played) == 7 + 4 * (1 + 2), "all steps once; the smallest size, and three sizes, with one step and two"


@pytest.mark.parametrize("method", METHODS)
def test_lazy_penalties_are_counted_by_their_share_of_the_steps(method):
    own = ["gan.generator=mlp", "gan.discriminator=mlp", "gan.latent=4", "gan.discriminator_norm=none"]

    def counted(*words):
        config = as_run(load_config(None, [f"method={method}", "devices=5", "device_steps=7", *own, *words]))
        images = load_data(config.data, config.seed)
        down = METHODS_BY_NAME[method].server(config, images.shape, CPU).down(1)
        return np.array(DeviceWork(config, down, images).by_size([3, 8]))

    without, always = counted(), counted("gan.r1=1")
    assert (always > without).all()
    assert counted("gan.r1=1", "gan.penalty_every=4").tolist() == (without + (always - without) // 4).tolist()


def test_work_that_bends_over_steps_is_counted_with_all_of_them(monkeypatch):
    config = load_config(None, ["device_steps=20", "data.limit=40"])
    images = load_data(config.data, config.seed)
    monkeypatch.setattr(DeviceWork, "_counted", lambda self, steps, size: size * (steps + 100 * (steps // 10)))
    assert DeviceWork(config, np.zeros(1, np.float32), images).by_size([3, 5]) == [3 * 220, 5 * 220]


def test_what_is_on_no_line_is_counted_everywhere():
    assert along_a_line(range(1, 9), lambda size: 3 + 5 * size) == [3 + 5 * size for size in range(1, 9)]
    assert along_a_line(range(1, 9), lambda size: size * size) == [size * size for size in range(1, 9)]
    asked = []
    along_a_line(range(1, 9), lambda size: (asked.append(size), 2 * size)[1])
    assert sorted(asked) == [1, 5, 8]


def test_a_shard_smaller_than_a_batch_is_less_work():
    words = ["data.limit=100", "data.partition.name=quantity", "data.partition.alpha=0.5", "batch_size=64", "devices=4"]
    work = work_of(*words)
    config = load_config(None, words)
    images = load_data(config.data, config.seed)
    sizes = [len(shard) for shard in split(images.labels, 4, config.data.partition, config.seed)]
    assert len(set(sizes)) > 1
    assert work.device / np.minimum(sizes, 64) == pytest.approx(work.device[0] / min(sizes[0], 64))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", ["non_saturating", "wgan_gp"])
def test_every_methods_work_is_counted(method, loss):
    phases = clock_of(f"method={method}", f"gan.loss={loss}").round(1).phases
    assert phases.device > 0


def test_rows_record_time_bytes_and_phases(tmp_path):
    words = ["channel.name=wireless", "selection.name=round_robin", "selection.count=2", "schedule=parallel"]
    rows = raygan.train(tiny(*words), tmp_path / "run").rows
    assert rows[0]["sim_s"] == 0
    for before, row in itertools.pairwise(rows):
        phases = row["phases_s"]
        length = phases["down"] + max(phases["device"] + phases["up"], phases["meanwhile"]) + phases["average"]
        assert row["sim_s"] - before["sim_s"] == pytest.approx(length + phases["server"] + phases["swap"])
        assert row["devices"] == 2
        assert row["bytes_up"] > 0


def test_unselected_devices_do_no_work(tmp_path):
    words = ["selection.name=round_robin", "selection.count=1", "checkpoint.every=1", "checkpoint.keep=9"]
    result = raygan.train(tiny(*words, "rounds=2"), tmp_path / "run")
    from raygan.record.checkpoint import load_newest

    snapshot, _ = load_newest(result.out / "checkpoints", recorded=2)
    assert sorted(snapshot.devices) == [0, 1], "device 2 has had no turn, so it remembers nothing"


def test_stragglers_miss_the_round_and_the_rest_are_averaged(tmp_path):
    """The slow device never answers in time: the run is that of the other two alone."""
    slow = ["compute.device_flops=[1e9, 1e9, 1e3]", "selection.deadline_s=10"]
    late = raygan.train(tiny(*slow), tmp_path / "run")
    without = raygan.train(tiny("selection.name=tests.own:FirstTwo"), tmp_path / "without")
    assert late.generator.read_bytes() == without.generator.read_bytes()
    rows = late.rows
    assert [(row["devices"], row["late"]) for row in rows[1:]] == [(2, 1)] * 4
    assert all(row["phases_s"]["device"] == 10 for row in rows[1:])


def test_rounds_that_all_miss_leave_the_generator_as_it_was(tmp_path):
    result = raygan.train(tiny("selection.deadline_s=1e-9", "compute.device_flops=1e3"), tmp_path / "run")
    assert all("d_loss" not in row and row["devices"] == 0 for row in result.rows[1:])
    assert result.rows[-1]["fd_clf"] == result.rows[0]["fd_clf"]

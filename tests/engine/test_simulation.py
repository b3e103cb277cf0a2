"""The simulated side of real runs: counted work, bytes per round, who takes part."""

import itertools

import numpy as np
import pytest

import raygan
from raygan.components import METHODS
from raygan.config import load_config
from raygan.data import load_data, split
from raygan.engine.simulation import as_played, count_work, try_out
from raygan.methods.averaged import Averaged
from tests.helpers import tiny

CPU = "cpu"
DCGAN_64 = [
    "data.name=tests.own:blank_64",
    *("gan.latent=100", "gan.generator_width=64", "gan.discriminator_width=64", "gan.discriminator_norm=batch"),
    *("batch_size=1", "generator_batch_size=1", "devices=3"),
]
G, D = 3_576_704, 2_765_568


def clock_of(*words):
    config = as_played(load_config(None, list(words)))
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
    from raygan.engine.checkpoint import load_newest

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

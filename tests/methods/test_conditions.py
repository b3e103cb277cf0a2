"""Class conditions in every method: whose classes, what is sent, and what it costs."""

import numpy as np
import pytest
import torch

from raygan.components import METHODS
from raygan.methods.local import local_batches
from raygan.round.checks import method_of
from raygan.round.shards import WorkerShards
from raygan.round.worker import Worker
from tests.helpers import tiny
from tests.methods.parties import CPU, IMAGES, SHAPE, play, problem_of, server_of

LABELS = np.repeat(np.arange(3), 20)
ONE_CLASS = np.zeros(60, np.int64)
NO_SWAP = "mdgan.swap_epochs=null"


def conditional(*words, weights=(1, 1, 1)):
    return tiny("gan.condition=projection", f"gan.class_weights={list(weights)}", NO_SWAP, *words)


def played(config, labels=LABELS, rounds=3):
    offsets = np.array([0, 20, 40, 60])
    problem = problem_of(config, 60)
    worker = Worker(config, problem, WorkerShards(range(3), IMAGES, offsets, labels=labels), CPU)
    server = server_of(config, problem, labels, offsets)
    for round in range(1, rounds + 1):
        message, _ = worker.update_devices(round, server.down(round), worker.devices)
        server.update(round, [message])
    return server.side.networks.generator.dump()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("condition", ["auxiliary", "projection", "concat"])
def test_one_class_gives_the_bits_without_a_condition(name, condition):
    plain = play(tiny(f"method={name}", NO_SWAP), [20, 20, 20], 3, ONE_CLASS).networks.generator.dump()
    config = tiny(f"method={name}", NO_SWAP, f"gan.condition={condition}", "gan.class_weights=[60]")
    assert np.array_equal(played(config, ONE_CLASS), plain)


@pytest.mark.parametrize("name", METHODS)
def test_the_labels_of_the_samples_matter(name):
    config = conditional(f"method={name}")
    assert not np.array_equal(played(config), played(config, LABELS[::-1].copy()))


@pytest.mark.parametrize("name", METHODS)
def test_so_they_do_for_data_to_data_cross_entropy_on_a_device_of_several_classes(name):
    config = conditional(f"method={name}", "gan.condition=auxiliary", "gan.auxiliary_loss=d2d_ce")
    found = played(config, np.arange(60) % 3)
    assert np.isfinite(found).all()
    assert not np.array_equal(found, played(config, np.arange(60) % 2))


def test_a_device_of_one_class_learns_none_from_data_to_data_cross_entropy():
    """In `mdgan`, whose discriminators nobody averages, its labels then do not matter."""
    config = conditional("method=mdgan", "gan.condition=auxiliary", "gan.auxiliary_loss=d2d_ce")
    assert np.array_equal(played(config), played(config, LABELS[::-1].copy()))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("condition", ["auxiliary", "projection", "concat"])
@pytest.mark.parametrize("augment", ["diffaugment", "ada"])
def test_conditions_go_with_penalties_and_augmentation(name, condition, augment):
    """One class then gives the bits without a condition, and several give others that are finite."""
    loss = "non_saturating" if name == "averaged" else "relativistic"  # its server has no real samples
    words = (f"method={name}", NO_SWAP, "gan.r1=1", "gan.r2=1", f"gan.augment={augment}", f"gan.loss={loss}")
    plain = play(tiny(*words), [20, 20, 20], 3, ONE_CLASS).networks.generator.dump()
    config = tiny(*words, f"gan.condition={condition}", "gan.class_weights=[60]")
    assert np.array_equal(played(config, ONE_CLASS), plain)
    config = tiny(*words, f"gan.condition={condition}", "gan.class_weights=[1, 1, 1]")
    found = played(config)
    assert np.isfinite(found).all()
    assert not np.array_equal(found, played(config, LABELS[::-1].copy()))


def batch_of(config):
    side = method_of(config).device(config, SHAPE, CPU)
    shard = WorkerShards(range(3), IMAGES, np.array([0, 20, 40, 60]), labels=LABELS)[1]
    with local_batches(side, shard, 1) as batches:
        return [next(batches) for _ in range(20)]


def test_a_devices_fakes_are_of_its_own_classes_or_of_all():
    for batch in batch_of(conditional()):
        assert torch.equal(batch.real.labels, torch.ones(8, dtype=torch.int64))
        assert torch.equal(batch.latents.labels, batch.real.labels)
    drawn = torch.cat([batch.latents.labels for batch in batch_of(conditional("gan.fake_classes=global"))])
    assert set(drawn.tolist()) == {0, 1, 2}
    weighted = conditional("gan.fake_classes=global", weights=(0, 1, 3))
    share = torch.cat([batch.latents.labels for batch in batch_of(weighted)]).bincount(minlength=3) / 160
    assert share[0] == 0
    assert abs(float(share[2]) - 0.75) < 0.15  # four standard deviations


def test_fakes_of_other_classes_are_other_training():
    assert not np.array_equal(played(conditional()), played(conditional("gan.fake_classes=global")))


def test_a_real_batch_and_its_noise_are_those_without_a_condition():
    for batch, plain in zip(batch_of(conditional()), batch_of(tiny()), strict=True):
        assert torch.equal(batch.real.values, plain.real.values)
        assert torch.equal(batch.latents.values, plain.latents.values)


@pytest.mark.parametrize(("downlink", "batches"), [("unicast", 2), ("broadcast", 3)])
def test_mdgan_sends_the_class_of_each_image(downlink, batches):
    words = "method=mdgan", "mdgan.batches=3", f"mdgan.downlink={downlink}", NO_SWAP
    config = tiny(*words, "gan.condition=concat", "gan.class_weights=[1,1,1,1,1]")
    side = method_of(config).server(config, SHAPE, CPU)
    assert side.traffic().down_bits == batches * config.batch_size * 3  # ceil(log2 5)
    down = side.down(1)
    values = 3 * config.batch_size * 256
    assert len(down) == values + 3 * config.batch_size
    assert set(down[values:].tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    plain = method_of(tiny(*words)).server(tiny(*words), SHAPE, CPU)
    assert plain.traffic().down_bits == 0
    assert len(plain.down(1)) == values

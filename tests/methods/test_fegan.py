"""FeGAN's scores and weights by hand, and its rounds beside FedGAN's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import raygan
from raygan.methods.base import Gathered
from raygan.methods.fegan import FeGAN, dirac, linear, scores, softmax
from raygan.round.checks import method_of
from tests.errors import raises
from tests.helpers import same_generator, tiny
from tests.methods.parties import CPU, LABELS, SHAPE, parties, play
from tests.round.test_simulation import clock_of


def test_scores_are_divergences_times_shares():
    """Of 10 samples 6 are of class 0. Device 0 has all of its 4 in it, device 1 has two of its 6."""
    whole, third = math.log(1 / 0.6), 1 / 3 * math.log(1 / 3 / 0.6) + 2 / 3 * math.log(2 / 3 / 0.4)
    np.testing.assert_allclose(scores(np.array([[4, 0], [2, 4]])), [0.4 * whole, 0.6 * third])


@given(
    counts=arrays(np.int64, (3, 4), elements=st.integers(0, 50)).filter(lambda counts: counts.sum(axis=1).all()),
    times=st.integers(2, 5),
)
def test_scores_are_not_negative_and_do_not_depend_on_how_many_samples_there_are(counts, times):
    found = scores(counts)
    assert (found >= 0).all()
    np.testing.assert_allclose(scores(times * counts), found, atol=1e-12)
    np.testing.assert_allclose(scores(np.tile(counts[:1], (3, 1))), 0, atol=1e-12)


def test_the_three_weights_by_hand():
    one = np.array([0.1, 0.3, 0.6])
    np.testing.assert_allclose(softmax(one), np.exp(one) / np.exp(one).sum())
    np.testing.assert_allclose(linear(one), one)
    assert dirac(one).tolist() == [0, 0, 1], "the device that has half or more is alone"
    assert dirac(np.array([0.3, 0.3])).tolist() == [0.5, 0.5], "two halves stay"
    np.testing.assert_allclose(dirac(np.array([0.1, 0.2, 0.2])), [0.2, 0.4, 0.4], err_msg="nobody has half")
    assert linear(np.zeros(4)).tolist() == [0.25] * 4
    assert softmax(np.zeros(4)).tolist() == [0.25] * 4


@pytest.mark.parametrize("weights", ["softmax", "linear", "dirac"])
def test_one_device_is_fedgan_bit_for_bit(weights):
    fegan, fedgan = (
        play(tiny("devices=1", f"method={name}", f"fegan.weights={weights}"), [60], 3) for name in ("fegan", "fedgan")
    )
    assert np.array_equal(fegan.down(4), fedgan.down(4))


def test_devices_with_the_same_classes_weigh_alike():
    labels = np.tile(np.arange(3), 20)
    fegan, fedgan = (
        play(tiny(*words), [15, 15, 30], 2, labels)
        for words in (["method=fegan"], ["method=fedgan", "fedgan.weights=uniform"])
    )
    np.testing.assert_allclose(fegan.down(3), fedgan.down(3), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("weights", "shares_of"), [("softmax", softmax), ("linear", linear), ("dirac", dirac)])
def test_the_average_is_of_those_that_took_part_by_their_scores(weights, shares_of):
    config = tiny("method=fegan", f"fegan.weights={weights}")
    worker, server = parties(config, [10, 20, 30])
    down = server.down(1)
    message, _ = worker.update_devices(1, down, [0, 2])
    ((updates, _),) = [(part.content, part.slot) for part in message.parts]
    server.update(1, [message])
    counts = np.stack([np.bincount(own, minlength=3) for own in np.split(LABELS, [10, 30])])
    shares = shares_of(scores(counts)[[0, 2]])
    expected = sum(share * updates[device][0].astype(float) for share, device in zip(shares, (0, 2), strict=True))
    found = server.side.networks
    averaged = [found.generator.averaged, found.discriminator.averaged]
    assert np.array_equal(np.concatenate([one.numpy() for one in averaged]), expected.astype(np.float32))


def test_combining_changes_nothing_and_knows_no_order():
    config = tiny("method=fegan")
    _, server = parties(config, [10, 20, 30])
    vectors = list(np.random.default_rng(0).standard_normal((2, server.side.update_size)).astype(np.float32))
    before = server.side.down(1)
    first = server.side.combine(1, Gathered([0, 1], vectors, [10, 20]))
    assert np.array_equal(server.side.combine(1, Gathered([0, 1], vectors, [1, 1])).vector, first.vector)
    assert np.array_equal(server.side.down(1), before)


def test_class_counts_go_up_once():
    words = ["devices=4", "data.name=digits"]
    fegan, fedgan = (clock_of(f"method={name}", *words) for name in ("fegan", "fedgan"))
    assert FeGAN.server(tiny("method=fegan"), SHAPE, CPU).counts_classes
    assert fegan.round(1).bytes_up - fedgan.round(1).bytes_up == 4 * 4 * 10, "ten classes of four devices"
    assert fegan.round(2).bytes_up == fedgan.round(2).bytes_up
    assert fegan.round(3).bytes_down == fedgan.round(3).bytes_down


FEW = ["data.partition.name=dirichlet", "devices=4", "selection.name=balanced", "selection.count=2", "device_steps=2"]


@pytest.mark.parametrize("weights", ["softmax", "dirac"])
def test_an_interrupted_and_a_packed_run_come_to_the_same_bytes(weights, tmp_path):
    words = ["method=fegan", f"fegan.weights={weights}", *FEW]
    undisturbed = raygan.train(tiny(*words), tmp_path / "undisturbed")
    raygan.train(tiny(*words, "rounds=2"), tmp_path / "run")
    assert same_generator(raygan.train(tiny(*words), tmp_path / "run", resume=True), undisturbed)
    packed = raygan.train(tiny(*words, "engine.devices_per_actor=3"), tmp_path / "packed")
    assert same_generator(packed, undisturbed)


@pytest.mark.ray
@pytest.mark.slow
def test_on_ray_too(tmp_path, cluster):
    words = ["method=fegan", *FEW]
    inline = raygan.train(tiny(*words), tmp_path / "inline")
    on_ray = tiny(*words, "engine.executor=ray", "engine.devices_per_actor=3")
    assert same_generator(raygan.train(on_ray, tmp_path / "ray"), inline)


def test_control_variates_are_refused_and_a_server_optimizer_steps_along_the_weighted_mean():
    with raises("scaffold.option", "conflict", "method=fegan"):
        method_of(tiny("method=fegan", "scaffold.option=I")).server(
            tiny("method=fegan", "scaffold.option=I"), SHAPE, CPU
        )
    plain, stepped = (
        play(tiny("method=fegan", *words), [10, 20, 30], 2)
        for words in ([], ["server_optimizer.name=sgd", "server_optimizer.momentum=0"])
    )
    assert np.array_equal(plain.down(3), stepped.down(3))


def test_weights_of_fedgan_are_refused():
    with raises("fedgan.weights", "conflict", "uniform", "fegan.weights"):
        parties(tiny("method=fegan", "fedgan.weights=uniform"), [20, 20, 20])

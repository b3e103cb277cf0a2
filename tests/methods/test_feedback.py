"""MD-GAN's feedback weighed image by image, against autograd through the aggregate written out."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import raygan
from raygan.channel.traffic import Traffic
from raygan.gan.conditions import Labelled
from raygan.gan.steps import logit_feedback
from raygan.methods.base import Gathered
from raygan.methods.feedback import MDGAN
from raygan.methods.logits import by_forgiveness, by_odds, by_softmax
from raygan.rng import Role, noise, stream
from raygan.round.compute import threads
from raygan.round.messages import Message
from tests.errors import raises
from tests.helpers import same_generator, tiny
from tests.methods.parties import CPU, SHAPE, parties, play, problem_of, server_of, values
from tests.methods.test_mdgan import discriminators
from tests.round.test_simulation import clock_of

KINDS = ["odds", "forgiving", "adaptive"]
SIZES = [10, 20, 30]
SGD = ["generator_optimizer.name=sgd", "generator_optimizer.lr=1.0"]
NO_NORM = ["gan.discriminator_norm=none", "gan.generator_norm=none"]


def weighed(kind, *words):
    return tiny("method=mdgan", f"mdgan.feedback={kind}", "mdgan.swap_epochs=null", *words)


def aggregate(kind, logits, samples, sharpness):
    """The definitions, for logits (n, b) that have a gradient."""
    if kind == "odds":
        shares = samples / samples.sum(0)
        return torch.logsumexp(torch.log(shares) + logits, 0)
    if kind == "forgiving":
        return logits.max(0).values
    return (torch.softmax(sharpness * logits, 0) * logits).sum(0)


def by(kind, logits, samples, sharpness):
    return {
        "odds": lambda: by_odds(logits, samples),
        "forgiving": lambda: by_forgiveness(logits),
        "adaptive": lambda: by_softmax(logits, sharpness),
    }[kind]()


@pytest.mark.parametrize("kind", KINDS)
@given(
    logits=arrays(float, (3, 4), elements=st.integers(-4000, 4000).map(lambda tenths: tenths / 10), unique=True),
    samples=arrays(np.int64, (3, 4), elements=st.integers(1, 1000)),
    sharpness=st.floats(0, 5),
)
def test_weights_and_slopes_are_the_derivatives_of_the_aggregate(kind, logits, samples, sharpness):
    """Also of logits whose odds are larger than any float."""
    given_logits = torch.from_numpy(logits).requires_grad_()
    parameter = torch.tensor(sharpness, dtype=torch.float64, requires_grad=True)
    together = aggregate(kind, given_logits, torch.from_numpy(samples).double(), parameter)
    (slopes,) = torch.autograd.grad(together.sum(), given_logits, retain_graph=True)
    found = by(kind, logits, samples, sharpness)
    np.testing.assert_allclose(found.logits, together.detach().numpy(), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(found.weights, slopes.numpy(), rtol=1e-8, atol=1e-8 * np.abs(slopes.numpy()).max())
    if kind == "adaptive":
        (slope,) = torch.autograd.grad(together.sum(), parameter)
        np.testing.assert_allclose(found.slopes.sum(), float(slope), rtol=1e-6, atol=1e-6)
    else:
        assert not found.slopes.any()


def test_aggregates_by_hand():
    logits = np.array([[0.0, 1.0, 2.0], [np.log(3.0), 1.0, 5.0]])
    odds = by_odds(logits, np.array([[3], [1]]))
    np.testing.assert_allclose(np.exp(odds.logits[:2]), [0.75 * 1 + 0.25 * 3, np.e])
    np.testing.assert_allclose(odds.weights[:, 0], [0.5, 0.5])
    forgiving = by_forgiveness(logits)
    assert forgiving.logits.tolist() == [np.log(3.0), 1.0, 5.0]
    assert forgiving.weights.tolist() == [[0, 1, 0], [1, 0, 1]], "of equal logits the lower device's"
    flat = by_softmax(logits, 0.0)
    np.testing.assert_array_equal(flat.weights, np.full((2, 3), 0.5))
    np.testing.assert_allclose(flat.logits, logits.mean(0))
    np.testing.assert_allclose(flat.slopes, logits.var(0))
    sharp = by_softmax(logits, 100.0)
    np.testing.assert_allclose(sharp.logits, logits.max(0))


@pytest.mark.parametrize("kind", KINDS)
@given(row=arrays(float, 5, elements=st.floats(-50, 50)), devices=st.integers(1, 4), data=st.data())
def test_equal_devices_come_to_the_logit_of_one(kind, row, devices, data):
    samples = data.draw(arrays(np.int64, (devices, 1), elements=st.integers(1, 100)))
    found = by(kind, np.tile(row, (devices, 1)), samples, 2.0)
    np.testing.assert_allclose(found.logits, row, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.weights.sum(0), 1)
    if devices == 1:
        assert np.array_equal(found.logits, row)
        assert np.array_equal(found.weights, np.ones((1, 5)))


def test_classes_that_a_device_has_not_are_not_its_to_judge():
    logits = np.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])
    found = by_odds(logits, np.array([[4, 2, 0], [0, 2, 0]]))
    np.testing.assert_allclose(found.weights[:, 0], [1, 0])
    np.testing.assert_allclose(found.logits, [1.0, np.log((np.exp(2) + np.exp(6)) / 2), 0.0])
    assert not found.weights[:, 2].any(), "nobody has that class, and nobody says anything"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["non_saturating", "hinge", "least_squares"])
def test_the_generator_descends_the_loss_of_the_aggregated_logits(kind, loss):
    """Autograd through everything at once: G, all discriminators, the aggregate and the loss."""
    words = [f"gan.loss={loss}", "mdgan.lambda_start=0.7", "gan.generator_norm=batch", "gan.discriminator_norm=group"]
    config = weighed(kind, *words, *SGD)
    worker, server = parties(config, SIZES)
    start = server.side.networks.generator.parameters.detach().clone()
    message, _ = worker.update_devices(1, server.down(1), worker.devices)
    _, report = server.update(1, [message])
    step = start - server.side.networks.generator.parameters.detach()

    fresh = MDGAN.server(config, SHAPE, CPU).networks
    z = noise(stream(config.seed, Role.SERVER_NOISE, round=1), config.batch_size, config.gan.latent, CPU)
    images = fresh.generator.module(z)
    logits = torch.stack([network.module(images) for network in discriminators(worker, config)])
    samples = torch.tensor(SIZES, dtype=torch.float32)[:, None]
    together = fresh.loss.generator(aggregate(kind, logits, samples, 0.7))
    slopes = torch.autograd.grad(together, list(fresh.generator.module.parameters()))
    expected = values(fresh.generator.module, slopes)
    assert (step - expected).abs().max() < 1e-4 * expected.abs().max()
    assert report.metrics["g_loss"] == pytest.approx(float(together.detach()), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["non_saturating", "wgan_gp", "least_squares"])
def test_one_device_is_mdgan_with_one_batch(kind, loss):
    words = ["devices=1", f"gan.loss={loss}", "mdgan.swap_epochs=null", *SGD, *NO_NORM]
    one = play(weighed(kind, *words), [60], 3)
    mean = play(tiny("method=mdgan", "mdgan.batches=1", *words), [60], 3)
    start = MDGAN.server(weighed(kind, *words), SHAPE, CPU)
    ended, also, began = (side.networks.generator.dump() for side in (one, mean, start))
    assert np.abs(ended - also).max() < 1e-3 * np.abs(ended - began).max()


def test_a_lambda_of_zero_is_the_mean_where_the_loss_is_linear():
    words = ["gan.loss=hinge", *SGD, *NO_NORM]
    flat = play(weighed("adaptive", "mdgan.lambda_start=0", "mdgan.lambda_lr=0", *words), SIZES, 3)
    mean = play(tiny("method=mdgan", "mdgan.batches=1", "mdgan.swap_epochs=null", *words), SIZES, 3)
    assert np.abs(flat.networks.generator.dump() - mean.networks.generator.dump()).max() < 1e-5


def test_lambda_descends_the_generators_loss():
    """Without the square of lambda it grows by its rate times the mean variance of the logits, for a linear loss."""
    config = weighed(
        "adaptive", "gan.loss=hinge", "mdgan.lambda_start=0", "mdgan.lambda_lr=0.5", "mdgan.lambda_decay=0"
    )
    worker, server = parties(config, SIZES)
    message, _ = worker.update_devices(1, server.down(1), worker.devices)
    _, report = server.update(1, [message])
    ((updates, _),) = [(part.content, part.slot) for part in message.parts]
    logits = np.stack([vector[-8:] for vector, _ in updates.values()])
    assert report.metrics["feedback_lambda"] == pytest.approx(0.5 * logits.var(0).mean(), rel=1e-5)
    assert server.side.state()["lambda"].dtype == np.float32


def test_lambda_stays_at_zero_or_above():
    config = weighed("adaptive", "mdgan.lambda_start=0.5", "mdgan.lambda_lr=10", "mdgan.lambda_decay=10")
    worker, server = parties(config, SIZES)
    message, _ = worker.update_devices(1, server.down(1), worker.devices)
    assert server.update(1, [message])[1].metrics["feedback_lambda"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_updates_come_to_the_same_bits_in_any_order_and_grouping(kind):
    config = weighed(kind)
    worker, server = parties(config, SIZES)
    down = server.down(1)
    with threads(1):
        alone = [worker.update(device, 1, down)[0] for device in range(3)]
    states = []
    for order in itertools.permutations(alone):
        _, server = parties(config, SIZES)
        server.update(1, [Message([update]) for update in order])
        states.append(server.side.state())
    worker, server = parties(config, SIZES)
    server.update(1, [worker.update_devices(1, down, [2, 0])[0], Message([alone[1]])])
    for state in [*states[1:], server.side.state()]:
        assert all(np.array_equal(state[name], states[0][name]) for name in state)


def test_the_gradient_of_a_logit_is_of_its_own_image():
    config = weighed("odds", "gan.discriminator_norm=group")
    networks = MDGAN.device(config, SHAPE, CPU).networks
    fake = torch.rand(8, *SHAPE) * 2 - 1
    with threads(1):
        gradient, logits = logit_feedback(networks, Labelled(fake))
        for index in range(8):
            one = fake[index : index + 1].requires_grad_()
            logit = networks.discriminator.module(one)
            (alone,) = torch.autograd.grad(logit.sum(), one)
            assert torch.allclose(gradient[index], alone[0], atol=1e-6)
            assert torch.allclose(logits[index], logit[0], atol=1e-6)


def test_images_are_weighed_by_who_has_their_class():
    """The server draws one class alone, which devices 0 and 1 have (15 and 10 samples); device 2 is not heard."""
    config = weighed("odds", "gan.condition=projection", "gan.class_weights=[1, 0, 0]")
    labels = np.repeat([0, 1, 0, 1, 2], [15, 5, 10, 10, 20])
    side = server_of(config, problem_of(config, 60), labels, [0, 20, 40, 60]).side
    rng = np.random.default_rng(0)
    vectors = [rng.standard_normal(side.update_size).astype(np.float32) for _ in range(3)]
    combined = side.combine(1, Gathered([0, 1, 2], vectors, [20, 20, 20]))
    without = side.combine(1, Gathered([0, 1], vectors[:2], [20, 20]))
    assert np.array_equal(combined.vector, without.vector)
    logits = np.stack([vector[-8:] for vector in vectors[:2]])
    expected = np.log(0.6 * np.exp(logits[0]) + 0.4 * np.exp(logits[1]))
    np.testing.assert_allclose(combined.vector[side.values_per_batch :][:8], expected, rtol=1e-5)
    nobody = side.combine(1, Gathered([2], vectors[2:], [20])).vector
    assert not nobody.any()


def test_traffic_is_one_batch_down_and_a_logit_more_up():
    """q b d down, q b (d + 1) up."""
    side = MDGAN.server(weighed("odds"), SHAPE, CPU)
    swap = side.traffic().swap
    assert side.traffic() == Traffic(down=8 * 256, up=8 * 257, broadcast=False, swap=swap)
    assert side.update_size == 8 * 257
    to_all = MDGAN.server(weighed("odds", "mdgan.downlink=broadcast"), SHAPE, CPU).traffic()
    assert (to_all.down, to_all.broadcast) == (8 * 256, True)


def test_bytes_of_a_round_are_the_formulas():
    words = ["method=mdgan", "mdgan.swap_epochs=null", "devices=3", "batch_size=10", "data.size=16"]
    one = clock_of(*words, "mdgan.feedback=forgiving").round(1)
    assert (one.bytes_down, one.bytes_up, one.bytes_swap) == (3 * 4 * 10 * 256, 3 * 4 * 10 * 257, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("mdgan.swap_epochs", ["mdgan.swap_epochs=1"]),
        ("mdgan.batches", ["mdgan.batches=2"]),
        ("gan.loss", ["gan.loss=relativistic"]),
        ("gan.condition", ["gan.condition=auxiliary", "gan.class_weights=[1, 1]"]),
        ("gan.discriminator_norm", ["gan.discriminator_norm=batch"]),
    ],
)
def test_what_logits_cannot_be_weighed_with_is_refused(kind, key, words):
    with raises(key, "conflict", f"mdgan.feedback={kind}"):
        MDGAN.server(weighed(kind, *words), SHAPE, CPU)


TOGETHER = {kind: ["device_steps=2"] for kind in KINDS} | {
    "odds of classes": ["mdgan.feedback=odds", "gan.condition=projection", "gan.augment=ada", "gan.ada_images=64"],
}


@pytest.mark.parametrize("name", TOGETHER)
def test_an_interrupted_and_a_packed_run_come_to_the_same_bytes(name, tmp_path):
    kind = name.partition(" ")[0]
    words = [*TOGETHER[name], "data.partition.name=dirichlet", "engine.on_bad_update=drop"]
    undisturbed = raygan.train(weighed(kind, *words), tmp_path / "undisturbed")
    raygan.train(weighed(kind, *words, "rounds=2"), tmp_path / "run")
    assert same_generator(raygan.train(weighed(kind, *words), tmp_path / "run", resume=True), undisturbed)
    packed = raygan.train(weighed(kind, *words, "engine.devices_per_actor=2"), tmp_path / "packed")
    assert same_generator(packed, undisturbed)
    assert ("feedback_lambda" in undisturbed.rows[-1]) == (kind == "adaptive")


@pytest.mark.ray
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "odds of classes" else pytest.mark.nightly)
        for name in TOGETHER
    ],
)
def test_on_ray_too(name, tmp_path, cluster):
    kind, words = name.partition(" ")[0], [*TOGETHER[name], "data.partition.name=dirichlet"]
    inline = raygan.train(weighed(kind, *words), tmp_path / "inline")
    on_ray = weighed(kind, *words, "engine.executor=ray", "engine.devices_per_actor=2")
    assert same_generator(raygan.train(on_ray, tmp_path / "ray"), inline)

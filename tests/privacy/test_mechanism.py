"""The clip and the noise: closed forms, and what a private round must and must not depend on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from raygan.components import METHODS
from raygan.methods.averaged import Averaged, AveragedDevice
from raygan.methods.base import Mean, Update
from raygan.privacy.mechanism import Mechanism, mechanism_of
from raygan.round.checks import method_of
from raygan.round.simulation import try_out
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import parties, play, play_restored


class Forgetful(AveragedDevice):
    """Sends weights, and does not say around what they are to be clipped."""

    def reference(self, down):
        return None


FORGETFUL = replace(Averaged, device=Forgetful)
SIZE = 1000
PRIVATE = {
    "averaged": ["method=averaged"],
    "differences": ["method=averaged", "averaged.upload=delta"],
    "fedgan": ["method=fedgan", "fedgan.weights=uniform", "gan.generator_norm=group"],
    "fedgan's differences": [
        *("method=fedgan", "fedgan.weights=uniform", "fedgan.upload=delta", "gan.generator_norm=group")
    ],
    "with a server optimiser": ["server_optimizer.name=sgd", "proximal.mu=0.1"],
    "mdgan": ["method=mdgan", "mdgan.swap_epochs=null"],
}
EVERY = pytest.mark.parametrize("words", PRIVATE.values(), ids=PRIVATE)
OPEN = ["privacy.name=user", "privacy.clip=null", "privacy.noise_multiplier=0"]
NOISY = ["privacy.name=user", "privacy.clip=0.1", "privacy.noise_multiplier=0.5"]


def mechanism(clip=1.0, noise=0.0, *words, parts=1):
    config = tiny("privacy.name=user", f"privacy.clip={clip}", f"privacy.noise_multiplier={noise}", *words)
    return Mechanism(config, config.privacy, parts)


def update_of(vector):
    return Update(0, np.asarray(vector, np.float32), 7, {"d_loss": 1.0})


@EVERY
def test_without_clip_and_noise_it_is_the_plain_mean_bit_for_bit(words):
    private, plain = (play(tiny(*words, *more), [20, 20, 20], 3) for more in (OPEN, []))
    assert all(np.array_equal(value, plain.state()[name]) for name, value in private.state().items())


@EVERY
def test_noise_is_the_same_in_one_worker_and_in_three(words):
    """A worker adds up what its devices send, and the server adds the parts, in any order."""
    config = tiny(*words, *NOISY)
    ends = []
    for packed in (True, False):
        worker, server = parties(config, [20, 20, 20])
        for round in (1, 2):
            down = server.down(round)
            groups = [[0, 1, 2]] if packed else [[2], [0], [1]]
            server.update(round, [worker.update_devices(round, down, group)[0] for group in groups])
        ends.append(server.down(3))
    assert np.array_equal(*ends)
    assert not np.array_equal(ends[0], play(tiny(*words), [20, 20, 20], 2).down(3))


@EVERY
def test_a_restored_server_goes_on_with_the_same_noise(words):
    config = tiny(*words, *NOISY)
    straight = play(config, [20, 20, 20], 4)
    restored = play_restored(config, [20, 20, 20], 4, before=3)
    assert all(np.array_equal(value, straight.state()[name]) for name, value in restored.state().items())


def test_an_update_of_twice_the_clip_moves_the_result_by_the_clip_over_the_planned_devices():
    start = np.random.default_rng(0).standard_normal(SIZE).astype(np.float32)
    step = np.random.default_rng(1).standard_normal(SIZE)
    step *= 2 * 0.5 / np.linalg.norm(step)
    private = mechanism(0.5)
    sent = private.clipped(update_of(start + step), start)
    released = private.released(1, {0: Mean(sent.vector, 1)}, start, 1)[0].vector
    assert np.allclose(released - start, step / 2 / 3, atol=1e-6)
    assert np.linalg.norm(released - start) == pytest.approx(0.5 / 3, rel=1e-5)


@given(st.floats(0.01, 100), st.integers(1, 4), st.integers(0, 99))
def test_no_part_of_what_is_sent_is_beyond_the_clip(clip, parts, seed):
    random = np.random.default_rng(seed)
    start = random.standard_normal(12).astype(np.float32)
    update = update_of(start + random.standard_normal(12).astype(np.float32) * random.choice([0.01, 1, 100]))
    sent = mechanism(clip, parts=parts).clipped(update, start)
    before, after = ((one.vector - start).reshape(parts, -1) for one in (update, sent))
    norms = np.linalg.norm(before.astype(np.float64), axis=1)
    assert np.all(np.linalg.norm(after, axis=1) <= clip * (1 + 1e-5) + 1e-5)
    for part in range(parts):
        cosine = before[part] @ after[part] / (norms[part] * np.linalg.norm(after[part]) + 1e-12)
        assert cosine == pytest.approx(1, abs=1e-2)
        if norms[part] < clip * (1 - 1e-6):
            assert np.array_equal(before[part], after[part])


def test_it_sends_neither_weight_nor_loss_and_leaves_its_input_alone():
    given = update_of(np.ones(SIZE))
    sent = mechanism(0.5).clipped(given, None)
    assert (sent.weight, sent.metrics) == (1, {})
    assert np.array_equal(given.vector, np.ones(SIZE))


def test_the_noise_has_the_stated_mean_square():
    start = np.zeros(100_000, np.float32)
    noisy = mechanism(0.5, 3).released(1, {0: Mean(start, 3)}, start, 1)[0].vector
    square = np.square(noisy.astype(float)).sum() / (3 * 0.5 / 3) ** 2
    low, high = chi2.ppf([0.0005, 0.9995], len(start))
    assert low < square < high


def test_noise_differs_from_round_to_round_slot_to_slot_and_seed_to_seed():
    start = np.zeros(SIZE, np.float32)
    both = {slot: Mean(start, 1) for slot in (0, 1)}
    drawn = [
        mechanism(1, 1, f"seed={seed}").released(round, both, start, 2)[slot].vector
        for seed in (0, 1)
        for round in (1, 2)
        for slot in (0, 1)
    ]
    together = np.corrcoef(drawn)
    assert np.abs(together - np.eye(8)).max() < 0.2


@pytest.mark.parametrize("answered", [0, 1, 2, 3])
def test_who_is_missing_changes_no_denominator(answered):
    start, each = np.full(SIZE, 2, np.float32), np.linspace(-1, 1, SIZE, dtype=np.float32) / 64
    means = {0: Mean(start + each, answered)} if answered else {}
    released = mechanism(100).released(1, means, start, 1)[0].vector
    assert np.allclose(released, start + answered * each / 3, atol=1e-6)


@pytest.mark.parametrize("counts", [[1, 2], [0, 2], [3, 0], [0, 0]])
def test_slots_weigh_together_what_their_sums_do(counts):
    """As `mdgan` uses them: each slot's mean times its share of all weights."""
    start, each = np.zeros(SIZE, np.float32), np.linspace(-1, 1, SIZE, dtype=np.float32)
    means = {slot: Mean(each, count) for slot, count in enumerate(counts) if count}
    released = mechanism(100).released(1, means, start, 2)
    total = sum(mean.weight for mean in released.values())
    for slot, count in enumerate(counts):
        share = released[slot].vector * (released[slot].weight / total)
        assert np.allclose(share, count * each / 3, atol=1e-6)


def test_a_round_that_nobody_answers_moves_the_discriminator_by_noise_alone():
    config = tiny(*NOISY)
    _, server = parties(config, [20, 20, 20])
    before = server.side.networks.discriminator.parameters.detach().numpy().copy()
    server.down(1)
    server.update(1, [])
    moved = server.side.networks.discriminator.parameters.detach().numpy() - before
    assert np.std(moved) == pytest.approx(0.1 * 0.5 / 3, rel=0.05)


def test_the_losses_of_devices_are_in_no_report_and_the_servers_own_is():
    config = tiny(*NOISY)
    worker, server = parties(config, [20, 20, 20])
    message, report = worker.update_devices(1, server.down(1), worker.devices)
    assert report.devices == {0: {}, 1: {}, 2: {}}
    _, of_server = server.update(1, [message])
    assert set(of_server.metrics) == {"g_loss"}


def test_without_privacy_there_is_no_mechanism():
    for name in METHODS:
        config = tiny(f"method={name}")
        assert mechanism_of(config, method_of(config)) is None


@pytest.mark.parametrize(
    ("words", "key", "advice"),
    [
        (["averaged.weights=shard"], "averaged.weights", "uniform"),
        (["averaged.optimizer_state=average"], "averaged.optimizer_state", "negative"),
        (["method=fedgan"], "fedgan.weights", "uniform"),
        (["method=mdgan"], "mdgan.swap_epochs", "null"),
        (["method=fegan"], "method", "fedgan"),
        (["method=mdgan", "mdgan.swap_epochs=null", "mdgan.feedback=odds"], "mdgan.feedback", "mean"),
        (["schedule=asynchronous"], "schedule", "asynchronous"),
        (["compression.name=qsgd"], "compression.name", "none"),
        (["scaffold.option=I"], "scaffold.option", "none"),
        (["selection.name=balanced", "selection.count=2"], "selection.name", "poisson"),
        (["aggregation.name=median"], "aggregation.name", "mean"),
        (["aggregation.name=clipped_mean"], "aggregation.name", "mean"),
        (["gan.augment=ada"], "gan.augment", "diffaugment"),
        (["gan.condition=projection"], "gan.class_weights", "weights"),
        (["privacy.clip=null"], "privacy", "noise_multiplier=0"),
        (["privacy.noise_multiplier=0", "privacy.target_epsilon=3"], "privacy", "noise"),
        (["privacy.delta=0.5"], "privacy.delta", "1 / devices"),
        (["privacy.delta=0"], "privacy.delta", "greater"),
        (["privacy.clip=0"], "privacy.clip", "greater"),
    ],
)
def test_what_passes_the_mechanism_is_refused_by_its_key(words, key, advice):
    with raises(key, None, advice):
        tiny("privacy.name=user", *words)


@pytest.mark.parametrize(
    ("words", "key", "advice"),
    [
        (["method=centralized"], "method", "devices"),
        (["gan.discriminator_norm=batch"], "gan.discriminator_norm", "averaged.buffers=local"),
        (["method=fedgan", "fedgan.weights=uniform"], "gan.generator_norm", "group"),
        (["gan.discriminator_norm=batch", "server_optimizer.name=sgd"], "gan.discriminator_norm", "averaged.buffers"),
        (["method=tests.own:swaps"], "method", "exchanges"),
        (["method=tests.privacy.test_mechanism:FORGETFUL"], "method", "reference"),
    ],
)
def test_what_only_the_method_shows_is_refused_before_anything_starts(words, key, advice, digits):
    config = tiny("privacy.name=user", *words)
    with raises(key, "conflict", advice):
        try_out(config, *digits(config))


@pytest.mark.parametrize("buffers", ["local", "reset"])
def test_statistics_that_stay_on_the_device_are_no_matter(buffers, digits):
    config = tiny("privacy.name=user", "gan.discriminator_norm=batch", f"averaged.buffers={buffers}")
    try_out(config, *digits(config))

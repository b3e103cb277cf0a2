"""Robust aggregation: closed forms, and the bounds that f bad updates of n must not break."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygan.components import METHODS
from raygan.config import load_config
from raygan.methods.aggregation import weighted_sum
from raygan.round.checks import method_of
from raygan.round.messages import Message
from raygan.round.problem import Problem
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import play, problem_of

NAMES = ["mean", "median", "trimmed_mean", "clipped_mean"]


def aggregator_of(size, devices, *words):
    config = load_config(None, [f"devices={devices}", *words])
    return Problem((1,), 1000, size, 1).aggregator(config)


def combine(vectors, *words, weights=None, reference=0.0):
    """What the aggregator of a config makes of (n, size) updates."""
    vectors = np.asarray(vectors, np.float32)
    aggregator = aggregator_of(vectors.shape[1], max(len(vectors), 3), *words)
    for device, vector in enumerate(vectors):
        aggregator.add(device, vector, 1 if weights is None else weights[device])
    return aggregator.result(lambda: np.full(vectors.shape[1], reference, np.float32))


UPDATES = [[0, 1], [1, 5], [2, 3], [5, 4], [100, -100]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["aggregation.name=mean"], [21.6, -17.4]),
        (["aggregation.name=median"], [2, 3]),
        (["aggregation.name=trimmed_mean"], [8 / 3, 8 / 3]),
        (["aggregation.name=trimmed_mean", "aggregation.trim=2"], [2, 3]),
    ],
    ids=str,
)
def test_closed_forms(words, expected):
    assert combine(UPDATES, *words).tolist() == pytest.approx(expected)


def test_an_even_number_has_its_median_in_the_middle():
    assert combine([[0], [1], [4], [9]], "aggregation.name=median").tolist() == [2.5]


def test_a_median_counts_every_device_once_whatever_its_weight():
    assert combine([[0], [1], [2]], "aggregation.name=median", weights=[1, 1, 900]).tolist() == [1]


def test_a_trimmed_mean_of_fewer_devices_trims_less():
    assert combine([[0], [4]], "aggregation.name=trimmed_mean").tolist() == [2]
    assert combine([[7]], "aggregation.name=trimmed_mean").tolist() == [7]


def test_clipping_scales_the_difference_to_what_came_down():
    words = ["aggregation.name=clipped_mean", "aggregation.max_norm=5"]
    vectors = [[10 + 3, 10 + 4], [10 + 30, 10 + 40]]  # norms 5 and 50 away from (10, 10)
    assert combine(vectors, *words, reference=10).tolist() == pytest.approx([13, 14])
    assert combine(vectors, *words, weights=[1, 3], reference=10).tolist() == pytest.approx([13, 14])
    opposite = [[10 + 3, 10 + 4], [10 - 30, 10 - 40]]
    assert combine(opposite, *words, reference=10).tolist() == pytest.approx([10, 10])
    assert combine(opposite, *words, weights=[3, 1], reference=10).tolist() == pytest.approx([11.5, 12])


def test_the_largest_norm_is_the_rounds_median_if_none_is_named():
    vectors = [[1], [3], [1000]]
    assert combine(vectors, "aggregation.name=clipped_mean").tolist() == pytest.approx([(1 + 3 + 3) / 3])


def test_devices_that_did_not_move_are_not_a_division_by_nought():
    assert combine([[2], [2], [2]], "aggregation.name=clipped_mean", reference=2).tolist() == [2]


@pytest.mark.parametrize("largest", ["4", "1e300", "1.7e308"])
def test_a_norm_that_is_never_reached_clips_nothing_and_overflows_nowhere(largest):
    words = ["aggregation.name=clipped_mean", f"aggregation.max_norm={largest}"]
    assert combine([[2], [2], [2]], *words, reference=2).tolist() == [2]
    assert combine([[2], [2 + 2**-21]], *words, reference=2).tolist() == [2 + 2**-22]
    assert combine([[0], [1e-45]], *words, weights=[1, 2]).tolist() == [np.float32(1e-45)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [1.0, 2.0**-149, 2.0**32 - 256])
def test_the_smallest_and_the_largest_update_are_their_own_average(name, value):
    """Nothing under- or overflows on the way, packed for another node either."""
    vectors = np.array([[value, -value]] * 3, np.float32)
    total, part = (aggregator_of(2, 3, f"aggregation.name={name}") for _ in range(2))
    for device, vector in enumerate(vectors):
        part.add(device, vector, 333)
    total.merge(part.part(far=True))
    for reference in (np.zeros(2, np.float32), vectors[0], -vectors[0]):
        assert total.result(lambda start=reference: start).tolist() == pytest.approx(vectors[0].tolist(), rel=1e-7)


@st.composite
def poisoned(draw):
    """(honest (n - f, d), bad (f, d)) with f < n / 2."""
    n = draw(st.integers(3, 11))
    f = draw(st.integers(1, (n - 1) // 2))
    size = draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    honest = random.standard_normal((n - f, size)) * draw(st.sampled_from([0.0, 1e-3, 1.0, 50.0])) + 3
    attack = draw(st.sampled_from(["far", "flipped", "just outside", "scattered"]))
    bad = {
        "far": np.full((f, size), 1e9),
        "flipped": -honest[:1].repeat(f, 0) * 1e3,
        "just outside": honest.max(axis=0, keepdims=True).repeat(f, 0) + 1e-3,
        "scattered": random.standard_normal((f, size)) * 1e6,
    }[attack]
    return honest.astype(np.float32), bad.astype(np.float32)


def kappa(name, n, f):
    """Allouah et al., arXiv 2302.01772, for the coordinate-wise median and trimmed mean."""
    ratio = f / (n - 2 * f)
    return 4 * (1 + ratio) ** 2 if name == "median" else 6 * ratio * (1 + ratio)


@pytest.mark.parametrize("name", ["median", "trimmed_mean"])
@given(case=poisoned())
def test_f_poisoned_devices_move_a_robust_average_no_further_than_the_bound(name, case):
    honest, bad = case
    f, n = len(bad), len(honest) + len(bad)
    words = [f"aggregation.name={name}", *([f"aggregation.trim={f}"] if name == "trimmed_mean" else [])]
    result = combine(np.concatenate([bad, honest]), *words)
    slack = 1e-5 * np.abs(honest).max()
    assert (result >= honest.min(axis=0) - slack).all()
    assert (result <= honest.max(axis=0) + slack).all()
    mean = honest.mean(axis=0, dtype=np.float64)
    spread = np.square(honest - mean).sum(axis=1).mean()
    assert np.square(result - mean).sum() <= kappa(name, n, f) * spread + slack**2


@given(case=poisoned())
def test_poisoned_devices_move_a_clipped_mean_no_further_than_its_norm(case):
    honest, bad = case
    f, n = len(bad), len(honest) + len(bad)
    clipped = ["aggregation.name=clipped_mean", "aggregation.max_norm=0.5"]
    attacked = combine(np.concatenate([bad, honest]), *clipped, reference=3)
    benign = combine(np.concatenate([honest[:1].repeat(f, 0), honest]), *clipped, reference=3)
    assert np.linalg.norm(attacked - benign) <= 2 * 0.5 * f / n + 1e-5


@given(case=poisoned())
def test_with_the_median_norm_for_the_largest_no_step_is_longer_than_the_longest_good_one(case):
    honest, bad = case
    result = combine(np.concatenate([bad, honest]), "aggregation.name=clipped_mean", reference=3)
    assert np.linalg.norm(result - 3) <= np.linalg.norm(honest - np.float32(3), axis=1).max() * (1 + 1e-5) + 1e-5


def test_large_updates_are_looked_at_in_blocks_of_values():
    vectors = np.random.default_rng(0).standard_normal((5, 2**16 + 3)).astype(np.float32)
    assert np.array_equal(combine(vectors, "aggregation.name=median"), np.median(vectors, axis=0))
    largest = "aggregation.max_norm=100"
    scales = np.minimum(1, 100 / np.linalg.norm(vectors.astype(np.float64), axis=1))
    np.testing.assert_allclose(
        combine(vectors, "aggregation.name=clipped_mean", largest), scales @ vectors / 5, rtol=1e-5, atol=1e-7
    )


def test_one_poisoned_device_moves_a_mean_as_far_as_it_likes():
    honest = np.full((10, 1), 3, np.float32)
    assert combine([*honest, [1e6]], "aggregation.name=mean") > 90_000


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**32), far=st.booleans())
def test_order_and_grouping_change_no_bit(name, seed, far):
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((7, 5)).astype(np.float32)
    weights = [int(weight) for weight in random.integers(1, 9, 7)]
    words = [f"aggregation.name={name}"]
    expected = combine(vectors, *words, weights=weights)
    total = aggregator_of(5, 7, *words)
    for group in np.array_split(random.permutation(7), 3):
        part = aggregator_of(5, 7, *words)
        for device in group:
            part.add(int(device), vectors[device], weights[device])
        total.merge(part.part(far))
    assert np.array_equal(total.result(lambda: np.zeros(5, np.float32)), expected)
    assert total.weight == sum(weights)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (np.array([1, np.nan], np.float32), "magnitude nan"),
        (np.array([1, np.inf], np.float32), "magnitude inf"),
        (np.array([1, 2, 3], np.float32), r"expected \(2,\) float32, got \(3,\)"),
        (np.array([1, 2], np.float64), "got .* float64"),
    ],
)
def test_what_is_no_update_is_refused(name, bad, complaint):
    aggregator = aggregator_of(2, 3, f"aggregation.name={name}")
    with pytest.raises((ValueError, FloatingPointError), match=complaint):
        aggregator.add(0, bad, 1)
    assert aggregator.weight == 0


def test_a_rule_of_ones_own_is_one_function():
    assert combine([[0], [5], [11]], "aggregation.name=tests.own:Nearest").tolist() == [5]


GATHERING = {
    "fegan": ["method=fegan"],
    "odds": ["method=mdgan", "mdgan.feedback=odds", "mdgan.swap_epochs=null"],
}
SENDING = [name for name in METHODS if name not in GATHERING and not method_of(tiny(f"method={name}")).pooled]
RUNS = {name: [f"method={name}"] for name in SENDING} | {
    "deltas": ["averaged.upload=delta"],
    "deltas of both": ["method=fedgan", "fedgan.upload=delta"],
    "averaged moments": ["averaged.optimizer_state=average"],
    "mdgan": ["method=mdgan", "mdgan.batches=1", "mdgan.swap_epochs=null"],
}


@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS)
def test_every_method_trains_the_same_on_equal_updates_however_they_are_put_together(words):
    """Three equal devices: any robust average of their equal updates is that update."""
    states = {}
    for name in NAMES:
        config = tiny("devices=3", f"aggregation.name={name}", *words)
        states[name] = play_equal(config)
    for name in NAMES[1:]:
        for key, array in states["mean"].items():
            np.testing.assert_allclose(states[name][key], array, rtol=1e-5, atol=1e-6, err_msg=f"{name} {key}")


def play_equal(config):
    from tests.methods.parties import parties

    worker, server = parties(config, [20, 20, 20])
    for round in (1, 2):
        down = server.down(round)
        update = worker.update(0, round, down)[0]
        copies = [replace(update, device=device) for device in range(3)]
        server.update(round, [Message(copies)])
    return server.side.state()


def test_a_single_device_trains_the_same_under_every_aggregator_but_clipping():
    sides = [play(tiny("devices=1", f"aggregation.name={name}"), [60], 3) for name in ("mean", "median")]
    left, right = (side.networks.discriminator.dump() for side in sides)
    assert np.array_equal(left, right)


@pytest.mark.parametrize("words", GATHERING.values(), ids=GATHERING)
def test_a_method_that_weighs_devices_itself_refuses_a_robust_rule(words):
    for name in NAMES[1:]:
        with raises("aggregation.name", "conflict", name):
            config = tiny(*words, f"aggregation.name={name}")
            problem_of(config, 60).aggregator(config)


def test_a_weighted_sum_is_exact_for_one_and_fixed_for_many():
    rng = np.random.default_rng(0)
    vectors = list(rng.standard_normal((3, 8)).astype(np.float32))
    assert np.array_equal(weighted_sum(vectors[:1], np.ones(1)), vectors[0])
    shares = rng.random((3, 4))
    by_hand = sum(np.repeat(share, 2) * vector.astype(float) for share, vector in zip(shares, vectors, strict=True))
    assert np.array_equal(weighted_sum(vectors, shares), by_hand.astype(np.float32))

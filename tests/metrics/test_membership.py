"""Areas and their intervals against brute force, closed forms and simulated coverage."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raygan.metrics.membership import auc_of, nearness

SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@given(SCORES, SCORES)
def test_the_area_is_the_share_of_pairs_that_are_in_order(members, others):
    found = auc_of(np.array(members), np.array(others))
    pairs = [(m > o) + (m == o) / 2 for m in members for o in others]
    assert found.auc == pytest.approx(np.mean(pairs))
    assert 0 <= found.low <= found.auc <= found.high <= 1
    other_way = auc_of(np.array(others), np.array(members))
    assert (1 - other_way.high, 1 - other_way.low) == pytest.approx((found.low, found.high), abs=1e-6)


@pytest.mark.parametrize(("count", "low"), [(5, 0.5), (100, 0.94)])
def test_a_perfect_area_of_a_few_is_not_taken_for_certain(count, low):
    found = auc_of(np.ones(count), np.zeros(count))
    assert found.auc == found.high == 1
    assert low < found.low < 1


def test_at_a_half_it_is_mann_and_whitneys_test():
    """The interval holds 0.5 exactly if U is within 1.96 of its standard deviations of the mean."""
    random = np.random.default_rng(0)
    for _ in range(200):
        members, others = random.standard_normal(30) + 0.4, random.standard_normal(50)
        found = auc_of(members, others)
        z = abs(found.auc - 0.5) / np.sqrt((30 + 50 + 1) / (12 * 30 * 50))
        assert (found.low <= 0.5 <= found.high) == (z <= 1.959964)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_nineteen_of_twenty_intervals_hold_the_true_area(shift):
    from scipy.stats import norm

    random, true = np.random.default_rng(1), norm.cdf(shift / np.sqrt(2))
    found = [auc_of(random.standard_normal(60) + shift, random.standard_normal(60)) for _ in range(600)]
    held = np.mean([one.low <= true <= one.high for one in found])
    assert 0.92 < held < 0.98


def test_none_of_a_kind_gives_no_area():
    assert auc_of(np.ones(0), np.ones(3)) is None
    assert auc_of(np.ones(3), np.ones(0)) is None


def test_nearness_is_minus_the_least_distance_also_of_a_copy():
    random = torch.Generator().manual_seed(0)
    generated = torch.rand(40, 300, generator=random)
    samples = torch.cat([generated[7:8], torch.rand(1200, 300, generator=random)])
    expected = -torch.stack([(generated - sample).norm(dim=1).min() for sample in samples])
    assert nearness(samples, generated)[0] == 0
    assert np.allclose(nearness(samples, generated), expected, atol=1e-4)
    assert nearness(samples[:0], generated).shape == (0,)

"""Secret sharing: known polynomials, and what a number of shares tells."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygan.secure.shamir import PRIME, SHARE_BYTES, secret_of, shares, weights_at_zero

SECRETS = st.integers(0, 2**256 - 1)


def test_a_line_and_a_parabola():
    assert shares(7, [3], [1, 2, 10]) == [10, 13, 37]
    assert shares(1, [0, 2], [1, 2, 3]) == [3, 9, 19]
    assert weights_at_zero([1, 2]) == [2, PRIME - 1]
    assert shares(5, [], [1, 9]) == [5, 5], "a threshold of one"


def test_the_field_is_a_field():
    """Fermat's test, of enough bases; and every share fits into what is priced."""
    assert all(pow(base, PRIME - 1, PRIME) == 1 for base in range(2, 60))
    assert PRIME > 2**256
    assert (PRIME - 1).bit_length() <= 8 * SHARE_BYTES


@given(SECRETS, st.integers(1, 6), st.integers(0, 5), st.randoms(use_true_random=False))
def test_any_t_shares_tell_the_secret(secret, threshold, more, chance):
    coefficients = [chance.randrange(PRIME) for _ in range(threshold - 1)]
    points = chance.sample(range(1, threshold + more + 1), threshold)
    assert secret_of(weights_at_zero(points), shares(secret, coefficients, points)) == secret


@given(SECRETS, SECRETS, st.integers(2, 5), st.randoms(use_true_random=False))
def test_t_minus_one_shares_fit_every_secret(secret, other, threshold, chance):
    """Whatever they are, a polynomial with another secret has the same ones."""
    points = list(range(1, threshold))
    told = shares(secret, [chance.randrange(PRIME) for _ in points], points)
    through = [0, *points]

    def at(point):  # the polynomial through the other secret and all that was told
        value = 0
        for one, there in zip(through, [other, *told], strict=True):
            term = there
            for two in through:
                if two != one:
                    term = term * (point - two) * pow(one - two, -1, PRIME) % PRIME
            value += term
        return value % PRIME

    assert [at(point) for point in points] == told
    last = threshold + 1
    assert secret_of(weights_at_zero([*points, last]), [*told, at(last)]) == other


def test_one_share_less_gives_another_secret():
    chance = random.Random(0)
    coefficients = [chance.randrange(PRIME) for _ in range(3)]
    points = [1, 2, 3]
    assert secret_of(weights_at_zero(points), shares(42, coefficients, points)) != 42


@pytest.mark.parametrize("wrong", [0, 2])
def test_a_wrong_share_gives_another_secret(wrong):
    points = [1, 2, 3]
    told = shares(42, [5, 6], points)
    told[wrong] += 1
    assert secret_of(weights_at_zero(points), told) != 42

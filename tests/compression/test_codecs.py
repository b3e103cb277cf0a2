"""Codecs against closed forms and the bounds of their papers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raygan.compression.bits import holder_of, pack, unpack, width_of
from raygan.compression.way import codec_of
from raygan.rng import Role, stream
from tests.errors import raises
from tests.helpers import tiny


def codec(size, *words):
    """The codec of `compression.` words for vectors of a size."""
    section = tiny(*(f"compression.{word}" for word in words)).compression
    return codec_of(section, "compression", size)


def drawn(seed=0):
    return stream(seed, Role.COMPRESSION)


def sent(codec, vector, seed=0):
    """What arrives of a vector."""
    return codec.decode(codec.encode(vector, drawn(seed)))


def square(vector):
    return float(np.square(vector, dtype=np.float64).sum())


ALL = {
    "none": ["name=none"],
    "topk": ["name=topk", "share=0.1"],
    "randk": ["name=randk", "share=0.1"],
    "randk, remembered": ["name=randk", "share=0.1", "feedback=true"],
    "sign": ["name=sign"],
    "qsgd": ["name=qsgd"],
    "qsgd, one level": ["name=qsgd", "levels=1"],
}
NORMAL = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
VECTORS = arrays(np.float32, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32))


@pytest.mark.parametrize("words", ALL.values(), ids=ALL)
class TestEvery:
    def test_nothing_is_nothing(self, words):
        """No division by a norm of 0."""
        zeros = np.zeros(100, np.float32)
        arrived = sent(codec(100, *words), zeros)
        assert np.array_equal(arrived, zeros)
        assert arrived.dtype == np.float32

    @pytest.mark.parametrize("size", [1, 2, 7, 8, 1000])
    def test_what_travels_takes_the_bits_that_are_counted(self, words, size):
        """But for bytes that are filled up: of each plane of bits one at most."""
        one = codec(size, *words)
        code = one.encode(NORMAL[:size], drawn())
        travels, planes = 8 * sum(array.nbytes for array in code), sum(len(np.atleast_2d(array)) for array in code)
        assert one.bits(32) <= travels < one.bits(32) + 8 * planes

    def test_a_code_depends_on_its_stream_alone(self, words):
        one, before = codec(1000, *words), NORMAL.copy()
        assert np.array_equal(sent(one, NORMAL, 3), sent(codec(1000, *words), NORMAL, 3))
        assert np.array_equal(NORMAL, before), "the vector is left as it was"

    def test_scale(self, words):
        """The largest that an update may hold, and the smallest."""
        for scale in (2.0**31, 2.0**-140):
            assert np.isfinite(sent(codec(8, *words), np.full(8, scale, np.float32))).all()


@pytest.mark.parametrize(
    ("words", "bits"),
    [
        (["name=none"], 32 * 1000),
        (["name=topk", "share=0.01"], 10 * (32 + 10)),
        (["name=topk", "count=7"], 7 * (32 + 10)),
        (["name=randk", "share=0.01"], 32 * 10 + 64),
        (["name=sign"], 32 + 1000),
        (["name=qsgd", "levels=1"], 32 + 1000 * (1 + 1)),
        (["name=qsgd", "levels=4"], 32 + 1000 * (1 + 3)),
        (["name=qsgd", "levels=15"], 32 + 1000 * (1 + 4)),
        (["name=qsgd", "levels=16"], 32 + 1000 * (1 + 5)),
    ],
)
def test_bits_are_the_formulas(words, bits):
    assert codec(1000, *words).bits(32) == bits


@pytest.mark.parametrize(("size", "width"), [(1, 0), (2, 1), (3, 2), (1024, 10), (1025, 11)])
def test_places_take_the_logarithm_rounded_up(size, width):
    assert width_of(size) == width
    assert codec(size, "name=topk", "count=1").bits(32) == 32 + width


@pytest.mark.parametrize(("share", "size", "kept"), [(0.01, 700, 7), (0.07, 100, 7), (0.01, 701, 8), (1e-6, 5, 1)])
def test_a_share_is_rounded_up_from_its_exact_product(share, size, kept):
    """0.07 * 100 is above 7 in floating point."""
    assert codec(size, "name=topk", f"share={share}").kept == kept


@pytest.mark.parametrize("name", ["topk", "randk"])
def test_more_values_than_there_are(name):
    with raises("compression.count", "few", "1001", "1000"):
        codec(1000, f"name={name}", "count=1001")


@given(st.lists(st.integers(0, 2**16 - 1), max_size=30), st.integers(0, 3))
def test_packing_is_undone(numbers, more):
    width = width_of(max(numbers, default=0) + 1) + more
    numbers = np.array(numbers, holder_of(width))
    packed = pack(numbers, width)
    assert packed.shape == (width, math.ceil(len(numbers) / 8))
    assert np.array_equal(unpack(packed, len(numbers)), numbers)


# --- sparse -----------------------------------------------------------------------------------------


def test_one_large_value_is_all_that_is_sent():
    vector = np.array([0.5, -8.0, 0.25, 0.0], np.float32)
    assert sent(codec(4, "name=topk", "count=1"), vector).tolist() == [0, -8, 0, 0]


def test_of_equal_values_the_first_are_sent():
    """Whatever order a processor's partition leaves them in."""
    vector = np.tile(np.array([1, -1], np.float32), 500)
    vector[700] = 2
    places = np.nonzero(sent(codec(1000, "name=topk", "count=10"), vector))[0]
    assert places.tolist() == [*range(9), 700]


@given(VECTORS, st.data())
def test_the_largest_values_contract(vector, data):
    kept = data.draw(st.integers(1, len(vector)))
    arrived = sent(codec(len(vector), "name=topk", f"count={kept}"), vector)
    assert np.array_equal(arrived[arrived != 0], vector[arrived != 0])
    assert square(arrived - vector) <= (1 - kept / len(vector)) * square(vector) * (1 + 1e-12)


def test_all_values_are_the_vector():
    assert np.array_equal(sent(codec(1000, "name=topk", "share=1"), NORMAL), NORMAL)
    assert np.array_equal(sent(codec(1000, "name=randk", "share=1"), NORMAL), NORMAL)


def test_random_values_are_unbiased_only_if_they_are_scaled():
    """The error of the mean of n draws: (P/k - 1) ||x||^2 / n, here 4 % of the norm."""
    scaled, plain = (codec(1000, "name=randk", "share=0.2", f"feedback={word}") for word in ("false", "true"))
    assert (scaled.unbiased, plain.unbiased) == (True, False)
    draws = np.array([sent(scaled, NORMAL, seed) for seed in range(2500)], np.float64)
    assert square(draws.mean(axis=0) - NORMAL) == pytest.approx(4 / 2500 * square(NORMAL), rel=0.2)
    assert np.square(draws - NORMAL).sum(axis=1).mean() == pytest.approx(4 * square(NORMAL), rel=0.05)
    kept = np.array([square(sent(plain, NORMAL, seed) - NORMAL) for seed in range(500)])
    assert kept.mean() == pytest.approx(0.8 * square(NORMAL), rel=0.02)
    assert kept.max() <= square(NORMAL)


# --- quantized --------------------------------------------------------------------------------------


@given(VECTORS)
def test_signs_contract_by_exactly_their_delta(vector):
    arrived = sent(codec(len(vector), "name=sign"), vector)
    norm = square(vector)
    delta = np.abs(vector).sum(dtype=np.float64) ** 2 / (len(vector) * norm) if norm else 1.0
    error = square(arrived.astype(np.float64) - vector)
    assert error == pytest.approx((1 - delta) * norm, rel=1e-5, abs=1e-6 * norm)


def test_signs_of_a_vector():
    vector = np.array([3, -1, 0, 0, 0, 0, 0, -4, 0.0], np.float32)
    assert sent(codec(9, "name=sign"), vector).tolist() == [8 / np.float32(9) * (-1) ** (one < 0) for one in vector]


def test_levels_are_the_vector_in_the_mean_over_draws():
    """Every value is a coin between two levels; the error of a mean of n draws is their variance over n."""
    one = codec(1000, "name=qsgd", "levels=4")
    assert one.unbiased
    step = math.sqrt(square(NORMAL)) / 4
    above = np.modf(np.abs(NORMAL) / step)[0]
    variance = float((step**2 * above * (1 - above)).sum())
    draws = np.array([sent(one, NORMAL, seed) for seed in range(1000)], np.float64)
    assert square(draws.mean(axis=0) - NORMAL) == pytest.approx(variance / 1000, rel=0.2)
    assert np.square(draws - NORMAL).sum(axis=1).mean() == pytest.approx(variance, rel=0.05)


def test_equal_values_err_by_the_closed_form():
    """P equal values are each s / sqrt(P) levels: r of a level above one, so a coin of variance r (1 - r)."""
    size, levels = 1000, 4
    ratio = levels / math.sqrt(size)
    expected = math.sqrt(size * ratio * (1 - ratio) / levels**2)
    assert expected == pytest.approx(2.63, abs=0.005)
    vector, one = np.full(size, 0.3, np.float32), codec(size, "name=qsgd", f"levels={levels}")
    errors = [square(sent(one, vector, seed) - vector) / square(vector) for seed in range(200)]
    assert math.sqrt(np.mean(errors)) == pytest.approx(expected, rel=0.02)


@settings(max_examples=30)
@given(VECTORS, st.integers(1, 20))
def test_levels_err_no_more_than_their_bound(vector, levels):
    """The expectation, of which 200 draws are a mean; a coin's spread is less than its bound."""
    size, norm = len(vector), square(vector)
    one = codec(size, "name=qsgd", f"levels={levels}")
    draws = [square(sent(one, vector, seed).astype(np.float64) - vector) for seed in range(200)]
    bound = min(size / levels**2, math.sqrt(size) / levels)
    assert np.mean(draws) <= 1.5 * bound * norm + 1e-9 * norm


def test_the_norm_itself_is_the_highest_level():
    """A single value has all of the norm: its level is s, which needs the last code that there is."""
    for levels in (1, 3, 15, 2**16 - 1):
        vector = np.zeros(20, np.float32)
        vector[3] = -0.7
        assert np.array_equal(sent(codec(20, "name=qsgd", f"levels={levels}"), vector), vector)

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from raygan.methods import row_sum
from raygan.methods.exact_sum import LARGEST, ExactSum, Packed
from raygan.methods.row_sum import RowSum

values = st.floats(width=32, min_value=-(2.0**31), max_value=2.0**31)
vectors = st.lists(
    st.tuples(npst.arrays(np.float32, 3, elements=values), st.integers(1, 1000)), min_size=1, max_size=12
)


def summed(terms, bounds=(12, 12_000)):
    total = ExactSum(3, *bounds)
    for vector, weight in terms:
        total.add(vector, weight)
    return total


def test_the_mean_is_the_formula():
    terms = [(np.array([1, 0, -1], np.float32), 1), (np.array([4, 0.5, 1], np.float32), 3)]
    assert summed(terms).mean().tolist() == [3.25, 0.375, 0.5]


@given(vectors, st.randoms(use_true_random=False))
def test_order_and_grouping_change_no_bit(terms, random):
    expected = summed(terms).mean()
    shuffled = random.sample(terms, len(terms))
    cut = random.randrange(len(terms) + 1)
    total = ExactSum(3, 12, 12_000)
    for part in (shuffled[cut:], shuffled[:cut]):
        partial = summed(part)
        total.merge(partial.pieces, partial.weight)
    assert np.array_equal(total.mean(), expected)


normal = st.floats(width=32, min_value=-(2.0**31), max_value=2.0**31, allow_subnormal=False)
terms_of_rows = st.lists(
    st.tuples(npst.arrays(np.float32, 3, elements=normal), st.integers(1, 1000)), min_size=1, max_size=12
)


def of_rows(bounds=(12, 12_000)):
    """A sum that computes as on a GPU."""
    total = ExactSum(3, *bounds)
    total._rows = RowSum(total._grids(), torch.device("cpu"))
    return total


@given(terms_of_rows, st.integers(1, 12), st.sampled_from([1, 2, 5, 64]))
def test_many_vectors_at_once_have_the_bits_of_one_by_one(terms, cut, together):
    total = of_rows()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_sum, "ROWS", together)
        for place, (vector, weight) in enumerate(terms):
            if place == cut:
                assert np.array_equal(total.mean(), summed(terms[:cut]).mean()), "and it goes on"
            total.add(vector, weight)
    expected = summed(terms)
    assert total.weight == expected.weight
    pieces = {level: piece.tolist() for level, piece in expected.pieces.items() if piece.any()}
    assert {level: piece.tolist() for level, piece in total.pieces.items() if piece.any()} == pieces
    assert total.mean().tobytes() == expected.mean().tobytes()


@pytest.mark.parametrize(("most", "calls"), [(64, 1), (9, 3), (3, 7), (1, 7)])
def test_large_vectors_are_taken_in_few_at_once(monkeypatch, most, calls):
    monkeypatch.setattr(row_sum, "VALUES", most)
    taken = []
    take_in = RowSum._take_in
    monkeypatch.setattr(RowSum, "_take_in", lambda self: taken.append(len(self._waiting)) or take_in(self))
    total, expected = of_rows(), summed([(np.array([place, 1, -0.5], np.float32), 2) for place in range(7)])
    for place in range(7):
        total.add(np.array([place, 1, -0.5], np.float32), 2)
    assert total.mean().tolist() == expected.mean().tolist()
    assert len(taken) == calls
    assert sum(taken) == 7


def test_nothing_of_the_smallest_values_is_left_out():
    tiny = np.array([2.0**-126, -1.5 * 2.0**-126, 2.0**-126 + 2.0**-149], np.float32)
    total = of_rows((1, 2**31))
    total.add(tiny, 1)
    assert total.mean().tolist() == tiny.tolist()
    assert len(total._grids()) < 8


def test_subnormals_are_zero_as_everywhere_in_a_run():
    total = of_rows()
    total.add(np.array([2.0**-127, 1, 0], np.float32), 1)
    assert total.mean().tolist() == [0, 1, 0]


def test_on_a_cpu_vectors_are_taken_in_one_by_one():
    total = ExactSum(3, 12, 12_000)
    total.compute_on(torch.device("cpu"))
    assert total._rows is None


@given(vectors)
def test_a_packed_piece_is_the_same_to_the_last_bit(terms):
    for piece in summed(terms).pieces.values():
        assert np.array_equal(Packed.of(piece).piece(), piece)


PACKED = [
    ([0, 0], 2),
    ([32767.0, -32767.0], 2),
    ([2.0**15, 1], 4),
    ([-(2.0**31), 1], 6),
    ([2.0**31 - 1, 1], 4),
    ([2.0**32 - 1, 1 - 2.0**32], 6),
    ([-(2.0**46), 2.0**9], 6),
    ([2.0**46, 1], 6),
    ([-(2.0**47), 1], 8),
    ([2.0**52, 1 - 2.0**52], 8),
    ([2.0**-140, -(2.0**-100)], 6),
]


@pytest.mark.parametrize(("piece", "num_bytes"), PACKED)
def test_a_packed_piece_has_the_bytes_that_its_largest_value_needs(piece, num_bytes):
    packed = Packed.of(np.array(piece))
    assert packed.nbytes == 2 * num_bytes
    assert packed.piece().tolist() == piece


def test_usual_weights_take_ten_bytes_packed():
    random = np.random.default_rng(0)
    total = ExactSum(5000, 24, 60_000)
    for _ in range(8):
        total.add(random.normal(0, 0.02, 5000).astype(np.float32), 300)
    assert sum(Packed.of(piece).nbytes for piece in total.pieces.values()) <= 10 * 5000


@given(npst.arrays(np.float32, 5, elements=values), st.integers(1, 1000))
def test_the_mean_of_one_vector_is_itself(vector, weight):
    total = ExactSum(5, terms=1, total_weight=weight)
    total.add(vector, weight)
    assert np.array_equal(total.mean(), vector)


@given(vectors)
def test_the_mean_is_right_to_the_last_bit_but_one(terms):
    from fractions import Fraction

    weight = sum(weight for _, weight in terms)
    for index, mean in enumerate(summed(terms).mean()):
        exact = sum(Fraction(float(vector[index])) * times for vector, times in terms) / weight
        assert abs(Fraction(float(mean)) - exact) <= max(Fraction(float(np.spacing(np.abs(mean)))), Fraction(1, 2**149))


def test_cancellation_is_exact():
    terms = [(np.full(3, value, np.float32), 1) for value in (1e9, 1e-9, -1e9)]
    assert summed(terms).mean()[0] == np.float32(np.float64(np.float32(1e-9)) / 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, LARGEST])
def test_values_that_mean_divergence_are_refused(bad):
    with pytest.raises(FloatingPointError, match="magnitude"):
        summed([(np.array([0, bad, 0], np.float32), 1)])


def test_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected \(3,\) float32, got \(4,\)"):
        summed([(np.zeros(4, np.float32), 1)])


def test_more_weight_than_announced_is_refused():
    with pytest.raises(ValueError, match="add up to 3, but at most 2"):
        summed([(np.zeros(3, np.float32), 1), (np.zeros(3, np.float32), 2)], bounds=(2, 2))


def test_nothing_has_no_mean():
    with pytest.raises(ZeroDivisionError):
        ExactSum(3, 1, 1).mean()

"""Fixed-point integers: closed forms, and how far rounding moves a sum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygan.config.aggregation import SecAgg
from raygan.secure.quantizer import FixedPoint, modular, signed, word_of

VALUES = st.lists(st.floats(-3, 3), min_size=1, max_size=20).map(np.array)


def test_the_grid_has_zero_and_both_ends():
    grid = FixedPoint(clip=1.5, bits=3)
    assert grid.step == 0.5
    exact = [-9.0, -1.5, -0.7, -0.2, 0.0, 0.2, 0.7, 1.5, 9.0]
    assert grid.integers(np.array(exact)).tolist() == [-3, -3, -1, 0, 0, 0, 1, 3, 3]
    assert grid.values(np.array([-3, 0, 3])).tolist() == [-1.5, 0.0, 1.5]
    assert FixedPoint(1.5, 3, toward_zero=True).integers(np.array([-0.9, 0.9, 1.2])).tolist() == [-1, 1, 2]


@given(st.lists(VALUES.map(lambda values: np.resize(values, 4)), min_size=1, max_size=10), st.integers(2, 24))
def test_a_sum_is_off_by_half_a_step_a_device_at_most(vectors, bits):
    grid = FixedPoint(clip=3.0, bits=bits)
    total = grid.values(sum(grid.integers(vector) for vector in vectors))
    assert np.abs(total - sum(vectors)).max() <= len(vectors) * grid.step / 2 * (1 + 1e-9) + 1e-9 * grid.step


@given(VALUES, st.integers(2, 24))
def test_toward_zero_no_value_grows(values, bits):
    grid = FixedPoint(3.0, bits, toward_zero=True)
    assert (np.abs(grid.values(grid.integers(values))) <= np.abs(values) * (1 + 1e-12)).all()


@pytest.mark.parametrize("devices", [1, 2, 3, 5, 8, 1024])
@pytest.mark.parametrize(("bits", "weight"), [(2, 1), (22, 1), (22, 1000), (32, 1)])
def test_the_largest_sum_just_fits(devices, bits, weight):
    settings = SecAgg(bits=bits, max_weight=weight)
    k, largest = settings.modulus_bits(devices), FixedPoint(1.0, bits).largest
    assert k == bits + int(np.ceil(np.log2(devices * weight)))
    extremes = devices * weight * np.array([largest, -largest, 0])
    assert signed(modular(extremes, k), k).tolist() == extremes.tolist()
    assert (modular(extremes, k) < 2**k).all()


def test_one_more_than_there_is_room_for_overflows():
    """Four devices of 2 bits, whose sums are up to 4, are held in 4 bits; nine come to -7."""
    assert SecAgg(bits=2).modulus_bits(4) == 4
    assert signed(modular(np.array([7, 9]), 4), 4).tolist() == [7, -7]


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=9), st.integers(2, 64))
def test_residues_are_python_s(numbers, bits):
    residues = modular(np.array(numbers), bits)
    assert residues.dtype == word_of(bits)
    assert residues.tolist() == [number % 2**bits for number in numbers]
    half = 2 ** (bits - 1)
    assert signed(residues, bits).tolist() == [(number + half) % 2**bits - half for number in numbers]


def test_32_bits_hold_a_thousand_devices():
    assert SecAgg().modulus_bits(1024) == 32
    assert SecAgg().modulus_bits(1025) == 33

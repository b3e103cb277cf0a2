"""What is varied, and the points that are made of it."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygan.config.load import checked
from raygan.sweep.load import listed
from raygan.sweep.space import corners, domains, draw, points, suggest, tree_of
from raygan.sweep.spec import Sweep
from tests.errors import raises
from tests.sweep.helpers import CONFIG, sweep

NESTED = {
    "aggregation.name": {
        "choice": {
            "mean": None,
            "trimmed_mean": {"aggregation.trim": {"grid_search": [1, 2]}},
            "clipped_mean": {"aggregation.max_norm": {"loguniform": [0.1, 10.0]}},
        }
    },
    "schedule": {"grid_search": ["serial", "parallel"]},
}
BELOW = {"mean": set(), "trimmed_mean": {"aggregation.trim"}, "clipped_mean": {"aggregation.max_norm"}}


def space(**domains_of):
    """The keys are looked at by nobody here."""
    return checked({"space": domains_of}, Sweep).space


def drawn(domain, count=50, seed=0):
    random = np.random.default_rng(seed)
    return [point["key"] for _ in range(count) for point in draw(space(key=domain), random)]


numbers = st.floats(-1e6, 1e6)
positive = st.floats(1e-6, 1e6)
seeds = st.integers(0, 2**32)


@given(st.lists(numbers, min_size=2, max_size=2).map(sorted), seeds)
def test_uniform_stays_between_its_ends(ends, seed):
    assert all(ends[0] <= value <= ends[1] for value in drawn({"uniform": ends}, 5, seed))


@given(st.lists(positive, min_size=2, max_size=2).map(sorted), seeds)
def test_loguniform_stays_between_its_ends(ends, seed):
    assert all(ends[0] <= value <= ends[1] for value in drawn({"loguniform": ends}, 5, seed))


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=2, unique=True).map(sorted), seeds)
def test_randint_leaves_out_its_upper_end(ends, seed):
    values = drawn({"randint": ends}, 5, seed)
    assert all(ends[0] <= value < ends[1] and type(value) is int for value in values)


def test_randint_draws_all_the_others():
    assert set(drawn({"randint": [2, 5]})) == {2, 3, 4}


@given(st.integers(-20, 20), st.integers(0, 20), st.sampled_from([0.1, 0.25, 0.5, 1.0, 3.0]), seeds)
def test_quniform_draws_multiples_between_its_ends(low, count, step, seed):
    ends = [low * step, (low + count) * step]
    for value in drawn({"quniform": [*ends, step]}, 5, seed):
        assert ends[0] <= value <= ends[1]
        assert value == pytest.approx(round(value / step) * step)


def test_quniform_draws_its_ends_too_and_none_beyond_them():
    assert {round(value, 9) for value in drawn({"quniform": [0.1, 0.3, 0.1]}, 100)} == {0.1, 0.2, 0.3}
    assert max(drawn({"quniform": [0.1, 0.3, 0.1]}, 100)) == 0.3


def test_loguniform_draws_as_much_in_every_decade():
    values = drawn({"loguniform": [1e-4, 1.0]}, 4000)
    counts, _ = np.histogram(np.log10(values), bins=4, range=(-4, 0))
    assert counts == pytest.approx([1000] * 4, abs=120)


def test_a_choice_is_one_of_its_values_as_they_are():
    values = [1, 2.5, "serial", True, None, [1, 2], {"a": 1}]
    found = drawn({"choice": values}, 200)
    assert all(any(value == one and type(value) is type(one) for one in values) for value in found)
    assert len({repr(value) for value in found}) == len(values)


def test_a_grid_gives_every_value_in_its_order():
    assert drawn({"grid_search": [3, 1, 2]}, 1) == [3, 1, 2]
    two = space(one={"grid_search": [1, 2]}, other={"grid_search": ["a", "b"]})
    assert points(two, 1, 0) == [{"one": one, "other": other} for one, other in product([1, 2], "ab")]


@given(st.integers(1, 8), st.integers(0, 100))
def test_only_the_chosen_ones_keys_appear(samples, seed):
    found = points(space(**NESTED), samples, seed)
    for point in found:
        assert point.keys() == {"schedule", "aggregation.name"} | BELOW[point["aggregation.name"]]
    for trim in (1, 2):  # a grid below a choice is played whole wherever it is chosen
        with_it = [point for point in found if point.get("aggregation.trim") == trim]
        assert len(with_it) in (0, 2)


def test_a_grid_below_a_grid_is_played_below_its_option_only():
    nested = space(name={"grid_search": {"one": None, "two": {"depth": {"grid_search": [1, 2]}}}})
    assert points(nested, 1, 0) == [{"name": "one"}, {"name": "two", "depth": 1}, {"name": "two", "depth": 2}]


def test_a_choice_may_lie_two_levels_deep():
    deep = {"choice": {"x": {"b": {"choice": {"y": {"c": {"choice": [7]}}}}}}}
    assert points(space(a=deep), 1, 0) == [{"a": "x", "b": "y", "c": 7}]
    assert [key for key, _ in domains(space(a=deep))] == ["a", "b", "c"]


@given(st.integers(1, 20), st.integers(0, 1000))
def test_points_are_those_of_the_seed_and_none_comes_twice(samples, seed):
    found = points(space(**NESTED), samples, seed)
    assert found == points(space(**NESTED), samples, seed)
    assert all(point not in found[:index] for index, point in enumerate(found))


def test_other_seeds_draw_other_points():
    one, other = (points(space(key={"uniform": [0.0, 1.0]}), 4, seed) for seed in (0, 1))
    assert not [point for point in one if point in other]


def test_more_samples_only_add_points():
    few, many = (points(space(**NESTED), samples, 3) for samples in (3, 9))
    assert many[: len(few)] == few


def test_corners_are_ends_and_options():
    found = corners(space(**NESTED, lr={"uniform": [1.0, 2.0]}, n={"randint": [3, 6]}), 40)
    assert {point["lr"] for point in found} == {1.0, 2.0}
    assert {point["n"] for point in found} == {3, 5}
    assert {point.get("aggregation.max_norm") for point in found} == {None, 0.1, 10.0}
    assert {point.get("aggregation.trim") for point in found} == {None, 1, 2}
    assert len(found) == (1 + 2 + 2) * 2 * 2 * 2
    for point in found:
        assert point.keys() - {"lr", "n"} == {"schedule", "aggregation.name"} | BELOW[point["aggregation.name"]]


def test_of_too_many_corners_the_extremes_are_there():
    many = {f"k{number}": {"randint": [0, 10**number]} for number in range(1, 13)}
    found = corners(space(**many, method={"choice": ["a", "b", "c"]}), 100)
    assert len(found) < 110
    assert {point["method"] for point in found} == {"a", "b", "c"}
    for end in (0, -1):
        together = {key: [0, 10 ** int(key[1:]) - 1][end] for key in many}
        assert any(together.items() <= point.items() for point in found)


def test_whole_steps_are_whole_numbers():
    drawn = [point["n"] for point in points(space(n={"quniform": [2, 10, 2]}), 20, 0)]
    assert all(type(number) is int for number in drawn)
    assert {*drawn} <= {2, 4, 6, 8, 10}
    assert [point["n"] for point in corners(space(n={"quniform": [2, 10, 2]}), 9)] == [2, 10]


def test_every_point_is_played_with_every_seed():
    five = CONFIG | {"devices": 5}
    crossed = listed(sweep(NESTED, five, samples=3, seeds=[4, 7]))
    alone = listed(sweep(NESTED, five, samples=3))
    assert crossed == [{**point, "seed": seed} for point in alone for seed in (4, 7)]


def test_settings_become_a_tree():
    assert tree_of({"a.b.c": 1, "a.b.d": 2, "e": [3]}) == {"a": {"b": {"c": 1, "d": 2}}, "e": [3]}


class Chooser:
    """As Optuna's trial, and always takes the greatest."""

    def suggest_float(self, name, low, high, step=None, log=False):
        return high

    suggest_int = suggest_float

    def suggest_categorical(self, name, choices):
        return choices[-1]


def test_optuna_is_asked_for_numbers_and_the_places_of_options():
    asked = space(
        n={"randint": [0, 4]},
        u={"uniform": [0.0, 1.0]},
        q={"quniform": [0.0, 1.0, 0.25]},
        l={"loguniform": [0.1, 2.0]},
        c={"choice": {"one": None, "two": {"depth": {"choice": [[1], [2]]}}}},
    )
    assert suggest(asked, Chooser()) == {"n": 3, "u": 1.0, "q": 1.0, "l": 2.0, "c": "two", "depth": [2]}


WRONG = [
    ("normal", {"normal": [0, 1]}, ("space.key", "conflict", "grid_search")),
    ("a number", 3, ("space.key", "value", "grid_search")),
    ("a list", [1, 2], ("space.key", "value")),
    ("two words", {"choice": [1], "uniform": [0.0, 1.0]}, ("space.key", "conflict")),
    ("no word", {}, ("space.key", "conflict")),
    ("nothing", None, ("space.key", "value")),
    ("one end", {"uniform": [1.0]}, ("space.key.uniform.1", "missing")),
    ("three ends", {"uniform": [1.0, 2.0, 3.0]}, ("space.key.uniform", "value")),
    ("ends the wrong way", {"uniform": [2.0, 1.0]}, ("space.key", "conflict", "uniform", "[2.0, 1.0]")),
    ("words for ends", {"uniform": ["a", 1.0]}, ("space.key.uniform.0", "value", "'a'")),
    ("endless", {"uniform": [0.0, float("inf")]}, ("space.key.uniform.1", "value")),
    ("no list", {"uniform": 3}, ("space.key.uniform", "value")),
    ("log of 0", {"loguniform": [0.0, 1.0]}, ("space.key", "conflict", "loguniform", "0", "[0.0, 1.0]")),
    ("no step", {"quniform": [0.0, 1.0]}, ("space.key.quniform.2", "missing")),
    ("step 0", {"quniform": [0.0, 1.0, 0.0]}, ("space.key", "conflict", "quniform")),
    ("uneven", {"quniform": [0.0, 1.0, 0.3]}, ("space.key", "conflict", "quniform")),
    ("tiny step", {"quniform": [0.0, 1.0, 5e-324]}, ("space.key", "conflict", "quniform")),
    ("parts", {"randint": [0.5, 3]}, ("space.key.randint.0", "value")),
    ("none between", {"randint": [3, 3]}, ("space.key", "conflict", "randint", "[3, 3]")),
    ("no options", {"choice": []}, ("space.key", "conflict", "choice")),
    ("no names", {"grid_search": {}}, ("space.key", "conflict", "grid_search")),
    ("a word for options", {"choice": "abc"}, ("space.key.choice", "value")),
    ("below", {"choice": {"a": {"b": {"uniform": [2.0, 1.0]}}}}, ("space.key.choice.a.b", "conflict", "uniform")),
    ("below is a number", {"choice": {"a": 3}}, ("space.key.choice.a", "value")),
]


@pytest.mark.parametrize(("domain", "about"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_bad_domain_is_one_line_that_names_it(domain, about):
    with raises(*about):
        space(key=domain)

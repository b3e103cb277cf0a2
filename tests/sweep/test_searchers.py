"""Where points come from, and what is told of them."""

import pickle
from importlib.util import find_spec
from math import log, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.experiment import Experiment
from ray.tune.search import ConcurrencyLimiter, Searcher
from ray.tune.search.basic_variant import BasicVariantGenerator
from scipy.stats import chisquare

from raygan.config.load import checked
from raygan.sweep.load import listed
from raygan.sweep.searchers import Listed, Repeated, trials_of
from raygan.sweep.space import points
from raygan.sweep.spec import Sweep
from tests.sweep.helpers import CONFIG, RATES, sweep

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="optuna is not installed")
POINTS = [{"key": value} for value in (1, 2, 3, 4)]
METRIC = "fd_clf"
LR = "device_optimizer.lr"


class Counting(Searcher):
    """Gives out 1, 2, ... and remembers what it is told."""

    def __init__(self, most=99):
        super().__init__(metric=METRIC, mode="min")
        self.given, self.told, self.most = 0, [], most

    def suggest(self, trial_id):
        if self.given == self.most:
            return Searcher.FINISHED
        self.given += 1
        return {LR: self.given}

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.told.append((trial_id, result, error))

    def save(self, checkpoint_path):
        Path(checkpoint_path).write_bytes(pickle.dumps((self.given, self.told)))

    def restore(self, checkpoint_path):
        self.given, self.told = pickle.loads(Path(checkpoint_path).read_bytes())


def repeated(inner, *seeds):
    return Repeated(inner, sweep(RATES, samples=4, seeds=list(seeds)))


def restored(searcher, fresh, tmp_path):
    """As after a kill, by way of a file."""
    searcher.save(str(tmp_path / "state"))
    fresh.restore(str(tmp_path / "state"))
    return fresh


def test_listed_gives_out_all_and_then_no_more():
    searcher = Listed(POINTS)
    assert [searcher.suggest(str(number)) for number in range(5)] == [*POINTS, Searcher.FINISHED]


@pytest.mark.parametrize("before", range(5))
def test_listed_goes_on_behind_what_it_had_given(before, tmp_path):
    searcher = Listed(POINTS)
    for number in range(before):
        searcher.suggest(str(number))
    after = restored(searcher, Listed(POINTS), tmp_path)
    assert [after.suggest(str(number)) for number in range(before, 5)] == [*POINTS[before:], Searcher.FINISHED]


@pytest.mark.parametrize("make", [lambda: Listed(POINTS), lambda: repeated(Counting(), 0, 1)])
def test_no_more_are_under_way_than_are_allowed_also_after_a_resume(make, tmp_path):
    searcher = ConcurrencyLimiter(make(), max_concurrent=2)  # as Tune wraps it
    assert searcher.suggest("a")
    assert searcher.suggest("b")
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("a", {METRIC: 1.0})
    searcher = restored(searcher, ConcurrencyLimiter(make(), max_concurrent=2), tmp_path)
    assert searcher.suggest("c")
    assert searcher.suggest("d") is None
    searcher.on_trial_complete("b", {METRIC: 1.0})
    assert searcher.suggest("d")


@pytest.mark.parametrize("make", [lambda: Listed(POINTS * 2), lambda: repeated(Counting(), 0, 1)])
def test_failed_trials_that_are_tried_again_count_among_those_under_way(make, tmp_path):
    searcher = ConcurrencyLimiter(make(), max_concurrent=2)
    for name in "ab":
        searcher.suggest(name)
        searcher.on_trial_complete(name, error=True)
    assert searcher.suggest("c")
    searcher = restored(searcher, ConcurrencyLimiter(make(), max_concurrent=2), tmp_path)
    assert searcher.suggest("d") is None, "a, b and c are under way"
    searcher.on_trial_complete("a", {METRIC: 1.0})
    assert searcher.suggest("d") is None
    searcher.on_trial_complete("b", error=True)
    assert searcher.suggest("d")
    searcher = restored(searcher, ConcurrencyLimiter(make(), max_concurrent=3), tmp_path)
    assert searcher.suggest("e") is None, "b again, c and d"


def test_what_was_under_way_when_a_sweep_was_lost_is_told_when_it_ends(tmp_path):
    searcher = ConcurrencyLimiter(repeated(Counting(), 0), max_concurrent=2)
    searcher.suggest("a")
    inner = Counting()
    searcher = restored(searcher, ConcurrencyLimiter(repeated(inner, 0), max_concurrent=2), tmp_path)
    searcher.on_trial_complete("a", {METRIC: 3.0})
    assert inner.told == [("a", {METRIC: 3.0}, False)]


def test_each_point_is_played_once_with_each_seed_and_the_mean_is_told_once():
    inner = Counting(most=2)
    searcher = repeated(inner, 4, 7)
    asked = [searcher.suggest(name) for name in "abcde"]
    assert asked[:4] == [{LR: point, "seed": seed} for point in (1, 2) for seed in (4, 7)]
    assert asked[4] == Searcher.FINISHED
    searcher.on_trial_complete("d", {METRIC: 1.0})
    searcher.on_trial_complete("a", {METRIC: 2.0})
    assert inner.told == []
    searcher.on_trial_complete("b", {METRIC: 5.0})
    assert inner.told == [("a", {METRIC: 3.5}, False)]
    searcher.on_trial_complete("c", {METRIC: 2.0})
    assert inner.told[1:] == [("c", {METRIC: 1.5}, False)]


def test_without_seeds_every_trial_is_told():
    inner = Counting()
    searcher = repeated(inner)
    assert searcher.suggest("a") == {LR: 1}
    searcher.on_trial_complete("a", {METRIC: 2.0})
    assert inner.told == [("a", {METRIC: 2.0}, False)]


def test_a_point_that_is_not_there_yet_begins_nothing():
    class Waits(Counting):
        def suggest(self, trial_id):
            return None

    searcher = repeated(Waits(), 0, 1)
    assert searcher.suggest("a") is None
    assert searcher.suggest("b") is None


def test_seeds_that_failed_are_left_out_of_the_mean():
    inner = Counting()
    searcher = repeated(inner, 0, 1, 2)
    for name in "abc":
        searcher.suggest(name)
    searcher.on_trial_complete("a", error=True)
    searcher.on_trial_complete("b", {METRIC: nan})
    searcher.on_trial_complete("c", {METRIC: 4.0})
    assert inner.told == [("a", {METRIC: 4.0}, False)]


def test_a_point_of_which_all_seeds_failed_is_told_as_an_error():
    inner = Counting()
    searcher = repeated(inner, 0, 1)
    for name in "ab":
        searcher.suggest(name)
        searcher.on_trial_complete(name, None if name == "a" else {}, error=True)
    assert inner.told == [("a", None, True)]


def test_a_failed_trial_that_is_tried_again_counts_once():
    inner = Counting()
    searcher = repeated(inner, 0, 1)
    searcher.suggest("a")
    searcher.on_trial_complete("a", error=True)
    searcher.suggest("b")
    searcher.on_trial_complete("a", {METRIC: 1.0})  # --resume tries it again
    assert inner.told == []
    searcher.on_trial_complete("b", {METRIC: 3.0})
    assert inner.told == [("a", {METRIC: 2.0}, False)]
    searcher.on_trial_complete("b", {METRIC: 9.0})
    assert len(inner.told) == 1


def play(searcher, names, values, ends):
    """Ask for each name's settings, tell of those whose turn has come, and give back what was asked for."""
    asked = []
    for index, name in enumerate(names):
        asked.append(searcher.suggest(name))
        for other in ends.get(index, []):
            searcher.on_trial_complete(other, values.get(other), error=other not in values)
    return asked


orders = st.integers(1, 3).flatmap(
    lambda seeds: st.tuples(
        st.just(seeds), st.permutations(range(6)), st.lists(st.floats(0, 9) | st.none(), min_size=6, max_size=6)
    )
)


@given(orders, st.integers(1, 6))
def test_resumed_anywhere_it_asks_and_tells_as_if_undisturbed(tmp_path_factory, order, cut):
    seeds, turns, values = order
    names = [str(number) for number in range(6)]
    found = {name: {METRIC: value} for name, value in zip(names, values, strict=True) if value is not None}
    ends: dict[int, list[str]] = {}
    for name, turn in zip(names, turns, strict=True):
        ends.setdefault(max(int(name), turn), []).append(name)
    undisturbed, inner = Counting(), Counting()
    whole = play(repeated(undisturbed, *range(seeds)), names, found, ends)
    first = repeated(Counting(), *range(seeds))
    asked = play(first, names[:cut], found, ends)
    second = restored(first, repeated(inner, *range(seeds)), tmp_path_factory.mktemp("searcher"))
    later = {index - cut: done for index, done in ends.items() if index >= cut}
    assert asked + play(second, names[cut:], found, later) == whole
    assert inner.told == undisturbed.told


def test_listed_trials_are_the_points_with_their_seeds():
    made = sweep(RATES, samples=3, seeds=[0, 1])
    trials = trials_of(made)
    assert trials.count == 6
    assert [trials.searcher.suggest(str(number)) for number in range(6)] == listed(made)


def test_a_population_is_drawn_by_tune():
    trials = trials_of(sweep(RATES, samples=3, scheduler={"name": "pbt"}))
    assert isinstance(trials.searcher, BasicVariantGenerator)
    assert trials.count == 3
    assert trials.space.keys() == RATES.keys()


def test_a_population_begins_with_values_of_the_space_each_grid_point_as_often_as_it_is_sampled():
    space = {LR: {"quniform": [1, 5, 1]}, "generator_optimizer.lr": {"grid_search": [1e-3, 1e-2]}}
    trials = trials_of(sweep(space, samples=4, scheduler={"name": "pbt"}))
    assert trials.count == 8
    experiment = Experiment("x", lambda config: None, config=trials.space, num_samples=trials.count)
    trials.searcher.add_configurations([experiment])
    begun = [trials.searcher.next_trial().config for _ in range(8)]
    assert trials.searcher.next_trial() is None
    assert all(type(config[LR]) is int and config[LR] in range(1, 6) for config in begun)
    assert [config["generator_optimizer.lr"] for config in begun] == [1e-3, 1e-2] * 4


EVEN = {
    "whole steps": ({"quniform": [1, 5, 1]}, [1, 2, 3, 4, 5]),
    "steps of parts": ({"quniform": [0.1, 0.7, 0.1]}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
    "steps through 0": ({"quniform": [-4, 4, 4]}, [-4, 0, 4]),
    "whole numbers": ({"randint": [2, 6]}, [2, 3, 4, 5]),
    "options": ({"choice": ["a", 1, None]}, ["a", 1, None]),
}
KEYS, POINTS_OF_KEYS = 100, 100


def at_random(space):
    return points(space, POINTS_OF_KEYS, 1)


def by_optuna(made):
    searcher = trials_of(made).searcher
    return [searcher.suggest(str(number)) for number in range(POINTS_OF_KEYS)]


@needs_optuna
@pytest.mark.parametrize("searcher", ["random", "optuna"])
@pytest.mark.parametrize(("domain", "values"), EVEN.values(), ids=EVEN)
def test_both_searchers_draw_each_value_as_often(domain, values, searcher):
    space = {f"k{number}": domain for number in range(KEYS)}
    search = {"name": "optuna", "startup": POINTS_OF_KEYS, "seed": 1}
    made = checked({"space": space, "samples": POINTS_OF_KEYS, "search": search}, Sweep)
    found = by_optuna(made) if searcher == "optuna" else at_random(made.space)
    drawn = [point[key] for point in found for key in space]
    assert len(drawn) == 10_000
    assert {(value, type(value)) for value in drawn} == {(value, type(value)) for value in values}
    assert chisquare([drawn.count(value) for value in values]).pvalue > 1e-3


@needs_optuna
@pytest.mark.parametrize("searcher", ["random", "optuna"])
@pytest.mark.parametrize(("domain", "scale"), [({"uniform": [1.0, 3.0]}, float), ({"loguniform": [1e-4, 1e-2]}, log)])
def test_both_searchers_draw_intervals_evenly(domain, scale, searcher):
    space = {f"k{number}": domain for number in range(KEYS)}
    search = {"name": "optuna", "startup": POINTS_OF_KEYS, "seed": 1}
    made = checked({"space": space, "samples": POINTS_OF_KEYS, "search": search}, Sweep)
    found = by_optuna(made) if searcher == "optuna" else at_random(made.space)
    ends = [scale(end) for end in next(iter(domain.values()))]
    parts, _ = np.histogram([scale(point[key]) for point in found for key in space], bins=10, range=ends)
    assert parts.sum() == 10_000
    assert chisquare(parts).pvalue > 1e-3


ALIKE = [
    ({"loguniform": [1e-4, 1e-3]}, {"uniform": [1e-3, 1e-2]}),
    ({"choice": [1e-4, 1e-3]}, {"choice": [1e-4, 1e-3, 1e-2]}),
    ({"choice": [1e-4, 1e-3]}, {"quniform": [1e-3, 3e-3, 1e-3]}),
]


@needs_optuna
@pytest.mark.parametrize("below", ALIKE, ids=["scales", "lists", "kinds"])
def test_optuna_takes_the_same_key_with_other_values_below_another_option(below):
    space = {"schedule": {"choice": {name: {LR: it} for name, it in zip(("serial", "parallel"), below, strict=True)}}}
    asked = asked_of(trials_of(sweep(space, samples=16, search={"name": "optuna"})).searcher, map(str, range(16)))
    assert {point["schedule"] for point in asked} == {"serial", "parallel"}
    assert all(point.keys() == {"schedule", LR} for point in asked)


BRANCHES = {
    "aggregation.name": {
        "choice": {"mean": None, "clipped_mean": {"aggregation.max_norm": {"loguniform": [0.1, 10.0]}}}
    },
    "device_optimizer.lr": {"loguniform": [1e-4, 1e-2]},
    "device_steps": {"randint": [1, 4]},
}


def optuna_sweep():
    return sweep(BRANCHES, samples=12, seeds=[0, 1], search={"name": "optuna", "seed": 3, "startup": 4})


def asked_of(searcher, names, sign=1):
    """Settings of trials that are played one after another; each is as good as its rate is small (-1: great)."""
    asked = []
    for name in names:
        asked.append(searcher.suggest(name))
        searcher.on_trial_complete(name, {METRIC: sign * asked[-1]["device_optimizer.lr"]})
    return asked


@needs_optuna
def test_optuna_chooses_points_that_can_be_played_and_repeats_itself():
    names = [str(number) for number in range(24)]
    one, other = (asked_of(trials_of(optuna_sweep()).searcher, names) for _ in range(2))
    assert one == other
    for index in range(0, 24, 2):
        assert one[index] | {"seed": 1} == one[index + 1]
    assert {"mean", "clipped_mean"} == {point["aggregation.name"] for point in one}
    for point in one:
        assert ("aggregation.max_norm" in point) == (point["aggregation.name"] == "clipped_mean")
        optuna_sweep().config_of(point)
    opposite = asked_of(trials_of(optuna_sweep()).searcher, names, sign=-1)
    assert one[:8] == opposite[:8], "four points of two seeds come before it learns"
    assert one[8:] != opposite[8:]


@needs_optuna
@pytest.mark.parametrize("cut", [1, 9, 10, 15])
def test_optuna_resumed_goes_on_as_if_undisturbed(cut, tmp_path):
    names = [str(number) for number in range(20)]
    whole = asked_of(trials_of(optuna_sweep()).searcher, names)
    first = trials_of(optuna_sweep()).searcher
    asked = asked_of(first, names[:cut])
    second = restored(first, trials_of(optuna_sweep()).searcher, tmp_path)
    assert asked + asked_of(second, names[cut:]) == whole


@needs_optuna
def test_optuna_takes_a_failed_point_as_one():
    searcher = trials_of(sweep(RATES, CONFIG, samples=3, search={"name": "optuna"})).searcher
    searcher.suggest("a")
    searcher.on_trial_complete("a", error=True)
    assert searcher.suggest("b")["device_optimizer.lr"] > 0

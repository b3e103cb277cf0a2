"""FeGAN's balanced sampling: by hand, and how even the classes come out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raygan.channel.selection import Balanced
from raygan.config.simulation import Balanced as Settings


def selection_of(counts, count):
    selection = Balanced(Settings(count=count), len(counts))
    selection.reported(np.array(counts))
    return selection


def rounds_of(selection, rounds, missing=()):
    """Who is chosen, where some of them always miss the round."""
    for round in range(1, rounds + 1):
        chosen = selection.choose(round, np.ones(selection.devices), np.random.default_rng(0))
        selection.served(np.array([one for one in chosen if one not in missing], np.int64), np.empty(0))
        yield chosen.tolist()


def test_turns_by_hand():
    """Class 1 falls behind by 10 with each turn of device 0 or 1; device 2 alone has it, 20 times."""
    selection = selection_of([[10, 0], [10, 0], [0, 20]], 1)
    assert list(rounds_of(selection, 6)) == [[0], [2], [1], [0], [2], [1]]


def test_within_a_round_each_choice_counts_for_the_next():
    assert list(rounds_of(selection_of([[9, 0], [9, 0], [0, 9], [0, 9]], 2), 3)) == [[0, 2], [1, 3], [0, 2]]


def test_when_all_holders_are_chosen_the_next_class_decides():
    assert list(rounds_of(selection_of([[5, 0, 0], [50, 5, 0], [50, 0, 5]], 3), 1)) == [[0, 1, 2]]
    assert list(rounds_of(selection_of([[1, 0], [0, 100], [0, 100]], 2), 2)) == [[0, 1], [0, 2]]


def test_who_misses_the_round_has_trained_nothing():
    missing = rounds_of(selection_of([[10, 0], [0, 10], [0, 10]], 1), 4, missing=[0])
    assert list(missing) == [[0], [0], [0], [0]], "class 0 stays behind"


@given(
    counts=arrays(np.int64, (6, 4), elements=st.integers(0, 20)).filter(lambda counts: counts.sum(axis=1).all()),
    count=st.integers(1, 6),
)
def test_count_different_devices_are_chosen(counts, count):
    for chosen in rounds_of(selection_of(counts, count), 5):
        assert len(set(chosen)) == len(chosen) == count
        assert set(chosen) <= set(range(6))


def test_a_rare_class_is_trained_as_often_as_the_others():
    """One device in ten has class 1: chosen uniformly it would make a tenth of what is trained."""
    counts = np.array([[10, 0]] * 9 + [[0, 10]])
    selection = selection_of(counts, 1)
    trained = sum(counts[chosen].sum(axis=0) for chosen in rounds_of(selection, 100))
    assert trained.tolist() == [500, 500]

"""The front of a cost and a quality."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygan.report.pareto import pareto_front


@pytest.mark.parametrize(
    ("x", "y", "mode", "front"),
    [
        ([], [], "min", []),
        ([5.0], [5.0], "min", [0]),
        ([3, 1, 2], [1, 3, 2], "min", [1, 2, 0]),
        ([3, 1, 2], [1, 3, 2], "max", [1]),
        ([1, 2, 3], [3, 3, 1], "min", [0, 2]),  # as good, later: beaten
        ([1, 1, 2], [3, 2, 2], "min", [1]),
        ([1, 1, 2], [2, 2, 1], "min", [0, 1, 2]),  # equals stand together
        ([1, 2, 3], [1, 2, 3], "max", [0, 1, 2]),
    ],
)
def test_the_front_of_a_few_points_is_known(x, y, mode, front):
    assert pareto_front(x, y, mode) == front


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30), st.sampled_from(["min", "max"]))
def test_nothing_beats_a_member_of_the_front_and_a_member_beats_each_other_point(points, mode):
    front = pareto_front([x for x, _ in points], [y for _, y in points], mode)

    def beats(one, other):
        (x, y), (u, v) = points[one], points[other]
        as_good = y <= v if mode == "min" else y >= v
        return x <= u and as_good and (x, y) != (u, v)

    assert not any(beats(one, member) for member in front for one in range(len(points)))
    assert all(any(beats(member, other) for member in front) for other in set(range(len(points))) - set(front))
    assert [points[member][0] for member in front] == sorted(points[member][0] for member in front)

"""How values are written, placed on axes and grouped."""

import numpy as np
import pandas as pd

from raygan.report.sweep.results import shown_value
from raygan.report.sweep.scales import axis_of, groups_of


def test_values_are_written_short():
    values = [None, float("nan"), True, np.False_, 3, 2.0, 16384, 0.0002, 31.41592, "mean", 1e9, float("inf"), -0.5]
    written = ["-", "-", "true", "false", "3", "2", "16384", "0.0002", "31.42", "mean", "1e+09", "inf", "-0.5"]
    assert [shown_value(value) for value in values] == written


def test_numbers_over_decades_have_a_log_axis_and_what_does_not_apply_a_place_below():
    axis = axis_of(pd.Series([1e-4, 1e-2, np.nan, 1e-3]))
    assert axis.labels == ["-", "0.0001", "0.001", "0.01"]
    assert axis.ticks[1:] == [-4, -3, -2]
    assert axis.places == [-4, -2, axis.ticks[0], -3]
    assert axis.ends[0] < axis.ticks[0] < -4 < -2 < axis.ends[1]
    assert axis_of(pd.Series([1, 2, 30])).places == [1, 2, 30]
    assert axis_of(pd.Series([7, 7])).ends[0] < 7 < axis_of(pd.Series([7, 7])).ends[1]
    many = axis_of(pd.Series(np.geomspace(1e-5, 1e-2, 20)))
    assert {"0.0001", "0.001"} <= set(many.labels)
    assert len(many.labels) < 9


def test_names_switches_and_what_never_applies_stand_side_by_side():
    axis = axis_of(pd.Series(["b", None, "a", "b"]))
    assert (axis.labels, axis.places) == (["-", "a", "b"], [2, 0, 1, 2])
    assert axis_of(pd.Series([True, False, None], dtype=object)).labels == ["-", "false", "true"]
    assert axis_of(pd.Series([None, np.nan], dtype=float)).labels == ["-"]
    assert axis_of(pd.Series(["auto", 3], dtype=object)).labels == ["3", "auto"]


def test_groups_are_equal_values_or_neighbouring_numbers():
    few = groups_of(pd.Series([10, np.nan, 2, 10]))
    assert few.names == ["10", "-", "2", "10"]
    assert list(few.colours) == ["2", "10", "-"]
    many = groups_of(pd.Series([*range(100), None], dtype=object))
    assert list(many.colours) == ["0 to 19", "20 to 39", "40 to 59", "60 to 79", "80 to 99", "-"]
    assert many.names[21] == "20 to 39"
    assert list(groups_of(pd.Series(["b", "a"])).colours) == ["a", "b"]

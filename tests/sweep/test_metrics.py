"""What trials are measured by."""

from math import inf

import pytest

from raygan.measures import measured
from raygan.sweep.metrics import evaluated, scores
from tests.helpers import tiny


def rows(*values):
    """Ten rounds between evaluations, each of 2 s and 3 MB."""
    made = []
    for round in range(10 * (len(values) - 1) + 1):
        row = {"round": round, "wall_s": 1.5 * round, "sim_s": 2.0 * round}
        if round:
            row |= {"bytes_up": 1_000_000, "bytes_down": 2_000_000, "bytes_swap": 0, "d_loss": 0.5, "g_loss": 0.25}
        if round % 10 == 0:
            row |= {"fd_clf": values[round // 10], "classes_found": 7, "eval_samples": 50}
        made.append(row)
    return made


def test_scores_are_those_of_the_last_evaluation_and_all_that_was_sent():
    assert scores(rows(100.0, 60.0, 40.0), "fd_clf", None) == {
        "round": 20,
        "sim_s": 40.0,
        "megabytes": 60.0,
        "wall_s": 30.0,
        "d_loss": 0.5,
        "g_loss": 0.25,
        "fd_clf": 40.0,
        "classes_found": 7.0,
    }


COSTS = [
    ("rounds_to_target", 60, 10.0),
    ("sim_s_to_target", 60, 20.0),
    ("megabytes_to_target", 60, 30.0),
    ("rounds_to_target", 50, 15.0),  # half of the way from 60 to 40
    ("sim_s_to_target", 70, 15.0),  # three quarters of the way from 100 to 60
    ("megabytes_to_target", 100, 0.0),
    ("rounds_to_target", 39, inf),
]


@pytest.mark.parametrize(("metric", "target", "cost"), COSTS)
def test_the_cost_of_a_target_is_read_from_the_curve(metric, target, cost):
    assert scores(rows(100.0, 60.0, 40.0), metric, {"fd_clf": target})[metric] == cost


def test_a_target_once_reached_stays_reached():
    curve = rows(100.0, 60.0, 80.0)
    assert scores(curve, "rounds_to_target", {"fd_clf": 60})["rounds_to_target"] == 10
    assert scores(curve, "rounds_to_target", {"fd_clf": 60})["fd_clf"] == 80


def test_rounds_between_evaluations_are_not_counted():
    assert scores(rows(100.0, 60.0, 40.0)[:18], "fd_clf", None)["round"] == 10
    assert evaluated(rows(100.0, 60.0, 40.0)[:18]) == [0, 10]


def test_what_is_measured_depends_on_the_data_and_on_what_is_asked_for(tmp_path):
    assert measured(tiny("eval.metrics=[frechet,classes]")) == (
        "fd_clf",
        "classes_found",
        "fd_clf_raw",
        "classes_found_raw",
    )
    mixture = tiny("data.name=gaussians", "gan.generator=mlp", "gan.discriminator=mlp", "eval.metrics=[sliced]")
    assert measured(mixture)[:4] == ("reverse_kl", "modes_found", "high_quality", "sliced_wasserstein")
    weights = tmp_path / "weights.pth"
    weights.touch()
    assert {"fid_raw", "kid", "kd_clf"} <= set(
        measured(tiny(f"eval.inception_weights={weights}", "eval.metrics=[frechet,kernel]"))
    )

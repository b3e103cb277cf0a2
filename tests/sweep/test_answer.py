"""What a sweep came to."""

import json
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

from raygan.config import dump_config, load_config
from raygan.report.sweep.results import summary
from raygan.sweep.answer import ranked, varied_keys, write_answer
from raygan.sweep.trial import LAST
from tests.sweep.helpers import CONFIG, RATES, sweep

LR = "device_optimizer.lr"


class Grid(list):
    """As Tune's ResultGrid."""


def trial(folder, number, settings, values, *, done=True, last=True, error=None, config=None, **more):
    """A trial's result, with its run folder: an evaluation every two rounds."""
    name = f"{number:05d}"
    (root := folder / "runs" / name).mkdir(parents=True)
    rows = []
    for round in range(2 * len(values) + 1):
        row = {"round": round, "wall_s": 1.0 * round, "sim_s": 2.0 * round, "bytes_up": 1_000_000 * bool(round)}
        if round and round % 2 == 0:
            row |= {"fd_clf": values[round // 2 - 1], "eval_samples": 50}
        rows.append(row)
    (root / "rounds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if config is not None:
        (root / "config.yaml").write_text(dump_config(config))
    metrics = {}
    if values:
        metrics = {"round": 2 * len(values), "fd_clf": values[-1], "sim_s": 4.0 * len(values), LAST: last, "done": done}
        metrics |= {"megabytes": 2.0 * len(values), "wall_s": 1.0} | more
    return SimpleNamespace(path=str(folder / "tune" / name), metrics=metrics, config=settings, error=error)


def table_of(asked, folder, *results):
    return ranked(asked, folder, Grid(results)).table


def test_points_are_ranked_by_their_means_and_their_trials_by_their_own(tmp_path):
    asked = sweep(RATES, samples=2, seeds=[0, 1])
    values = [(1e-3, 0, [9.0, 5.0]), (1e-3, 1, [9.0, 1.0]), (1e-2, 0, [2.0, 2.5]), (1e-2, 1, [9.0, 2.0])]
    results = [trial(tmp_path, n, {LR: lr, "seed": seed}, found) for n, (lr, seed, found) in enumerate(values)]
    table = table_of(asked, tmp_path, *results)
    assert list(table["trial"]) == ["00003", "00002", "00001", "00000"]
    assert list(table["rank"]) == [1, 2, 3, 4]
    assert list(table["point"]) == [2, 2, 1, 1]
    assert list(table["seed"]) == [1, 0, 1, 0]
    assert list(table["fd_clf"]) == [2.0, 2.5, 1.0, 5.0]
    assert list(table["best fd_clf"]) == [2.0, 2.0, 1.0, 5.0]
    assert set(table["status"]) == {"finished"}
    assert list(table.columns) == [
        *("rank", "trial", "point", "status", LR, "seed", "round", "fd_clf", "best fd_clf"),
        *("sim_s", "megabytes", "wall_s", "run", "error"),
    ]


def test_the_greatest_is_first_where_that_is_better(tmp_path):
    asked = sweep(RATES, samples=2, mode="max")
    results = [trial(tmp_path, n, {LR: 0.1 + n}, [value, 4.0 + n]) for n, value in enumerate((9.0, 1.0))]
    table = table_of(asked, tmp_path, *results)
    assert list(table["fd_clf"]) == [5.0, 4.0]
    assert list(table["best fd_clf"]) == [5.0, 9.0]


def test_failed_trials_are_last_with_the_reason(tmp_path):
    asked = sweep(RATES, samples=3)
    error = RuntimeError("traceback\n\nray.exceptions.RayTaskError: it has diverged\n")
    results = [
        trial(tmp_path, 0, {LR: 0.1}, [], error=error),
        trial(tmp_path, 1, {LR: 0.2}, [0.5], last=False, done=False, error=error),
        trial(tmp_path, 2, {LR: 0.3}, [9.0], last=False),
        trial(tmp_path, 3, {LR: 0.4}, [9.5], last=False, done=False),
    ]
    table = table_of(asked, tmp_path, *results)
    assert list(zip(table["trial"], table["status"], strict=True)) == [
        *[("00002", "stopped"), ("00003", "unfinished")],
        *[("00000", "failed"), ("00001", "failed")],
    ]
    assert list(table["error"]) == ["", "", *["ray.exceptions.RayTaskError: it has diverged"] * 2]
    assert pd.isna(table["fd_clf"][2])


def test_a_failed_seed_does_not_speak_against_its_point(tmp_path):
    asked = sweep(RATES, samples=2, seeds=[0, 1])
    results = [
        trial(tmp_path, 0, {LR: 0.1, "seed": 0}, [3.0]),
        trial(tmp_path, 1, {LR: 0.1, "seed": 1}, [], error=RuntimeError("no")),
        trial(tmp_path, 2, {LR: 0.2, "seed": 0}, [4.0]),
        trial(tmp_path, 3, {LR: 0.2, "seed": 1}, [4.0]),
    ]
    assert list(table_of(asked, tmp_path, *results)["trial"]) == ["00000", "00001", "00002", "00003"]


def test_a_target_that_was_not_reached_is_blank_and_behind(tmp_path):
    asked = sweep(RATES, samples=3, metric="sim_s_to_target", target={"fd_clf": 3})
    results = [
        trial(tmp_path, 0, {LR: 0.1}, [9.0, 8.0], sim_s_to_target=float("inf")),
        trial(tmp_path, 1, {LR: 0.2}, [9.0, 2.0], sim_s_to_target=7.0),
        trial(tmp_path, 2, {LR: 0.3}, [9.0, 4.0], sim_s_to_target=float("inf")),
    ]
    table = table_of(asked, tmp_path, *results)
    assert list(table["trial"]) == ["00001", "00002", "00000"], "who misses it is ranked by how near it came"
    assert table["sim_s_to_target"].isna().tolist() == [False, True, True]
    assert list(table["fd_clf"]) == [2.0, 4.0, 8.0]
    results = [trial(tmp_path / "none", 0, {LR: 0.1}, [9.0], sim_s_to_target=float("inf"))]
    assert summary(ranked(asked, tmp_path / "none", Grid(results)))[0].startswith(
        "No trial has a value of sim_s_to_tar"
    )


def test_every_member_of_a_population_is_a_point(tmp_path):
    asked = sweep(RATES, samples=2, scheduler={"name": "pbt"})
    results = [trial(tmp_path, n, {LR: 0.1}, [3.0 - n]) for n in range(2)]  # the same rate, in the end
    table = table_of(asked, tmp_path, *results)
    assert list(table["point"]) == [2, 1]
    assert list(table["trial"]) == ["00001", "00000"]


def test_a_key_of_another_branch_is_empty_and_lists_are_text(tmp_path):
    space = {
        "data.partition.name": {
            "grid_search": {"iid": None, "dirichlet": {"data.partition.alpha": {"grid_search": [0.1]}}}
        },
        "compute.device_flops": {"grid_search": [[1e9, 1e9, 2e9]]},
    }
    asked = sweep(space)
    assert varied_keys(asked) == ["data.partition.name", "data.partition.alpha", "compute.device_flops"]
    given = {"compute.device_flops": [1e9, 1e9, 2e9]}
    results = [
        trial(tmp_path, 0, given | {"data.partition.name": "iid"}, [3.0]),
        trial(tmp_path, 1, given | {"data.partition.name": "dirichlet", "data.partition.alpha": 0.1}, [2.0]),
    ]
    table = table_of(asked, tmp_path, *results)
    assert table["data.partition.alpha"].isna().tolist() == [False, True]
    assert table["compute.device_flops"][0] == "[1000000000.0, 1000000000.0, 2000000000.0]"


def test_what_tune_has_not_heard_of_is_not_counted(tmp_path):
    result = trial(tmp_path, 0, {LR: 0.1}, [3.0, 1.0])
    result.metrics |= {"round": 2, "fd_clf": 3.0}
    table = table_of(sweep(RATES, samples=1), tmp_path, result)
    assert table[["round", "fd_clf", "best fd_clf"]].iloc[0].tolist() == [2, 3.0, 3.0]


def test_the_best_config_is_the_run_of_the_best_trial_and_says_so(tmp_path):
    asked = sweep(RATES, samples=2)
    configs = [asked.config_of({LR: lr}) for lr in (1e-3, 1e-2)]
    results = [
        trial(tmp_path, n, {LR: config.device_optimizer.lr}, [3.0 - n], config=config)
        for n, config in enumerate(configs)
    ]
    write_answer(asked, tmp_path, Grid(results))
    text = (tmp_path / "best.yaml").read_text()
    assert text.startswith(
        "# trial 00001: fd_clf 2 after round 2\n# Best point of 2: fd_clf 2 at device_optimizer.lr = "
    )
    assert load_config(tmp_path / "best.yaml") == configs[1]
    assert pd.read_csv(tmp_path / "results.csv")["rank"].tolist() == [1, 2]
    assert (tmp_path / "report.html").exists()


def test_the_best_whose_run_folder_is_there_is_the_best_to_train_with(tmp_path):
    asked = sweep(RATES, samples=2)
    config = asked.config_of({LR: 1e-3})
    results = [trial(tmp_path, n, {LR: 1e-3 + n}, [3.0 - n], config=config) for n in range(2)]
    shutil.rmtree(tmp_path / "runs" / "00001")  # the best one's
    table = write_answer(asked, tmp_path, Grid(results)).table
    assert table["trial"].tolist() == ["00001", "00000"]
    assert (tmp_path / "best.yaml").read_text().startswith("# trial 00000: ")
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("results", [[], ["failed"]], ids=["none", "all failed"])
def test_a_sweep_of_which_nothing_came_leaves_a_table_and_no_best(results, tmp_path):
    asked = sweep(RATES, CONFIG, samples=1)
    made = [trial(tmp_path, 0, {LR: 0.1}, [], error=RuntimeError("no")) for _ in results]
    answer = write_answer(asked, tmp_path, Grid(made))
    assert len(answer.table) == len(results)
    assert (tmp_path / "results.csv").read_text().startswith("rank,trial,point,status,")
    assert not (tmp_path / "best.yaml").exists()
    lines = summary(answer)
    assert lines[0] == ("No trial has begun." if not results else "No trial has a value of fd_clf. 1 trial: 1 failed.")

"""Whole sweeps, from their file to their answer; killed, interrupted and resumed."""

import os
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from ray.tune import ResultGrid
from rich.console import Console

import raygan
from raygan.config import load_config
from raygan.record.folder import RunFolder
from raygan.sweep.live import SweepDisplay
from raygan.sweep.load import load_sweep
from raygan.sweep.tune import _stopping, tune
from raygan.sweep.tuner import Namer
from tests.errors import raises
from tests.sweep.helpers import CONFIG, RATES, sweep
from tests.sweep.playing import (
    COMMAND,
    Playing,
    check_it_trains_to_the_same,
    most_at_once,
    name_of,
    played,
    played_here,
    table_of,
    written,
)

TINY = Path(__file__).parents[2] / "tune_configs" / "tiny.yaml"


def generators(folder):
    return {path.parent.name: path.read_bytes() for path in folder.glob("runs/*/generator.safetensors")}


@pytest.mark.ray
def test_a_sweep_from_python_gives_tunes_grid_and_its_best_config_trains_to_the_same_bytes(tmp_path, cluster):
    import ray

    grid = raygan.tune(sweep(question="Which one?"), tmp_path / "sweep")
    assert isinstance(grid, ResultGrid)
    assert [result.config["schedule"] for result in grid] == ["serial", "parallel"]
    assert all(result.metrics["round"] == 4 for result in grid)
    table = pd.read_csv(tmp_path / "sweep" / "results.csv", dtype={"trial": str})
    assert sorted(table["trial"]) == ["00000", "00001"]
    assert set(table["status"]) == {"finished"}
    assert "Which one?" in (tmp_path / "sweep" / "report.html").read_text()
    again = raygan.train(load_config(tmp_path / "sweep" / "best.yaml"), tmp_path / "again")
    assert again.generator.read_bytes() == generators(tmp_path / "sweep")[table["trial"][0]]
    assert ray.is_initialized(), "a Ray that the sweep did not start is not ended by it"
    with raises("--out", "exists", "--resume"):
        tune(sweep(), tmp_path / "sweep")
    with raises("--resume", "mismatch"):
        tune(sweep(RATES), tmp_path / "sweep", resume=True)


WRONG = [
    (
        {"concurrent": 2, "space": RATES, "samples": 2, "scheduler": {"name": "pbt"}},
        ("concurrent", "conflict"),
    ),
    (
        {"config": CONFIG | {"engine": {"executor": "ray", "cpus_per_device": 99.0}}},
        ("space", "resources", "schedule=serial"),
    ),
]


@pytest.mark.ray
@pytest.mark.parametrize(("keys", "about"), WRONG, ids=["a limited population", "too large"])
def test_a_sweep_that_cannot_be_played_leaves_nothing(keys, about, tmp_path, cluster):
    with raises(*about):
        tune(sweep(**keys), tmp_path / "deep" / "sweep")
    assert list(tmp_path.iterdir()) == []


def test_time_is_kept_in_the_main_thread_only(tmp_path):
    timed = sweep(stop={"hours": 1.0})
    with (
        ThreadPoolExecutor(1) as beside,
        raises("stop.hours", "conflict"),
    ):
        beside.submit(tune, timed, tmp_path / "sweep").result()
    assert list(tmp_path.iterdir()) == []


def test_only_a_folder_will_do(tmp_path):
    with raises("--out", "value", "s3://bucket/sweep"):
        tune(sweep(), "s3://bucket/sweep")
    with raises("--resume", "missing", tmp_path / "none"):
        tune(sweep(), tmp_path / "none", resume=True)
    (tmp_path / "mine").write_text("")
    with raises("--out", "exists", tmp_path / "mine"):
        tune(sweep(), tmp_path / "mine")


def test_a_trial_gets_a_number_behind_all_that_there_are(tmp_path):
    Namer.runs = tmp_path
    assert [Namer()(None) for _ in range(3)] == ["00000", "00001", "00002"]
    (tmp_path / "00000").rmdir()
    (tmp_path / ".scratch").mkdir()
    (tmp_path / "00001 copy").mkdir()
    assert [Namer()(None) for _ in range(2)] == ["00003", "00004"]


def test_time_that_is_up_before_tune_listens_is_not_lost():
    heard = threading.Event()
    before = signal.getsignal(signal.SIGUSR1)
    with _stopping(1e-9) as wish:
        time.sleep(0.2)
        assert wish.signal is None, "nobody listens yet"
        signal.signal(signal.SIGUSR1, lambda number, frame: heard.set())
        assert heard.wait(5)
        assert wish.signal == signal.SIGALRM
    assert signal.getsignal(signal.SIGUSR1) == before


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_live_table_has_trials_without_a_value_behind_those_with_one(mode):
    display = SweepDisplay(sweep(RATES, mode=mode), 3, Console(file=StringIO()))
    results = ({}, {"fd_clf": 3.0}, {"fd_clf": float("nan")}, {"fd_clf": 1.0})
    trials = [SimpleNamespace(status="RUNNING", last_result=result) for result in results]
    found = [trial.last_result.get("fd_clf") for trial in sorted(trials, key=display._order)]
    assert found[:2] == ([1.0, 3.0] if mode == "min" else [3.0, 1.0])


def test_time_that_is_not_up_ends_nothing():
    with _stopping(1.0) as wish:
        signal.signal(signal.SIGUSR1, lambda number, frame: pytest.fail("ended"))
    assert wish.signal is None


@pytest.fixture(scope="module")
def inline(tmp_path_factory, cluster):
    out = tmp_path_factory.mktemp("tiny") / "sweep"
    return out, played_here(TINY, "--out", out)


@pytest.mark.slow
def test_the_tiny_sweep_says_what_it_does_and_leaves_an_answer(inline):
    out, playing = inline
    assert sorted(playing.told("started with schedule=(serial|parallel), seed=[01]$")) == [f"0000{n}" for n in range(4)]
    assert sorted(playing.told(r"round 2, fd_clf [\d.]+$")) == [f"0000{n}" for n in range(4)]
    assert sorted(playing.told("finished$")) == [f"0000{n}" for n in range(4)]
    assert "Best point of 2: fd_clf " in "\n".join(playing.lines)
    assert f"open this page: {out / 'report.html'}" in playing.lines[-1]
    assert sorted(path.name for path in out.iterdir()) == [
        *("best.yaml", "report.html", "results.csv", "runs", "sweep.yaml", "tune")
    ]
    table = table_of(out)
    assert sorted(zip(table["schedule"], table["seed"], strict=True)) == [
        *(("parallel", 0), ("parallel", 1), ("serial", 0), ("serial", 1))
    ]
    check_it_trains_to_the_same(load_config(out / "best.yaml"), out / table["run"][0], out.parent / "alone")


@pytest.mark.slow
def test_trials_with_actors_of_their_own_come_to_the_same_bytes_two_at_once(inline, tmp_path):
    """With a Ray of its own, which ends with all its processes."""
    words = ["engine.executor=ray", "engine.devices_per_actor=3", "concurrent=2", "seeds=[1]"]
    playing = played(TINY, *words, "--out", tmp_path / "sweep")
    assert most_at_once(playing.lines) == 2
    assert playing.ours
    expected = generators(inline[0])
    assert generators(tmp_path / "sweep") == {"00000": expected["00001"], "00001": expected["00003"]}


ASHA = {
    "config": CONFIG | {"rounds": 80, "eval": CONFIG["eval"] | {"every": 10}},
    "samples": 12,
    "scheduler": {"name": "asha", "reduction_factor": 2},
}


def state_of(run):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_sweep_whose_driver_is_killed_goes_on_and_plays_nothing_twice(tmp_path):
    out = tmp_path / "sweep"
    playing = Playing(written(tmp_path, **ASHA), "--out", out)
    playing.until(lambda lines: len(playing.told("finished|stopped")) >= 4)
    over = playing.told("finished|stopped")
    time.sleep(2.5)  # Tune saves what it knows once a second
    playing.process.kill()
    assert playing.end() == -signal.SIGKILL
    assert len(playing.told("finished|stopped")) < 12, "it was killed in mid-sweep"
    before = {trial: state_of(out / "runs" / trial) for trial in over}
    begun = {folder.name for folder in (out / "runs").glob("[0-9]*")}
    again = played("--out", out, "--resume")
    assert not set(over) & {line[:5] for line in again.lines}
    assert {trial: state_of(out / "runs" / trial) for trial in over} == before
    table = table_of(out)
    assert sorted(table["point"]) == list(range(1, 13)), "each once"
    forgotten = begun - set(table["trial"])  # begun since Tune saved, so that their points are other trials' now
    assert len(forgotten) <= 2, "as many as there are at once"
    assert sorted({*table["trial"], *forgotten}) == [f"{n:05d}" for n in range(12 + len(forgotten))]
    assert set(table["status"]) == {"finished", "stopped"}, table.to_string()
    check_it_trains_to_the_same(load_config(out / "best.yaml"), out / table["run"][0], tmp_path / "alone")
    for line in [line for line in again.lines if "goes on after round" in line][:1]:  # what ran may not have reported
        run, round = RunFolder(out / "runs" / line[:5]), int(line.split()[5])
        check_it_trains_to_the_same(run.read_config(), run.root, tmp_path / "undisturbed", round)


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.nightly),
    ],
)
def test_an_interrupted_sweep_says_how_to_go_on_and_can_elsewhere(number, status, tmp_path, cluster):
    out = tmp_path / "sweep"
    config = CONFIG | {"rounds": 200, "eval": CONFIG["eval"] | {"every": 20}}
    playing = Playing(written(tmp_path, config=config, samples=2), "--out", out)
    playing.until(lambda lines: playing.told("round 20,"))
    playing.process.send_signal(number)
    assert (playing.end(), playing.errors) == (status, "")
    assert "Interrupted; what the trials last reported is saved. Go on with:" in playing.lines
    assert playing.lines[-1].endswith(f"raygan tune --out {out} --resume")
    assert "unfinished" in set(table_of(out)["status"])
    again = played_here("--out", out := out.rename(tmp_path / "moved"), "--resume")
    assert again.told("goes on after round")
    assert set(table_of(out)["status"]) == {"finished"}
    for run in (out / "runs").iterdir():
        check_it_trains_to_the_same(RunFolder(run).read_config(), run, tmp_path / "alone" / run.name)


@pytest.mark.nightly
def test_when_its_time_is_up_a_sweep_can_go_on_elsewhere(tmp_path, monkeypatch):
    config = CONFIG | {"rounds": 200, "eval": CONFIG["eval"] | {"every": 4}, "method": "tests.own:sleeps"}
    monkeypatch.setenv("OWN_SLEEP", "0.3")
    out = tmp_path / "sweep"
    begun = played(written(tmp_path, config=config, samples=2, stop={"hours": 0.014}), "--out", out)
    assert "stop.hours are over; what the trials last reported is saved. Go on with:" in begun.lines
    assert set(table_of(out)["status"]) == {"unfinished"}
    monkeypatch.setenv("OWN_SLEEP", "0")
    again = played("--out", out.rename(tmp_path / "moved"), "--resume")
    assert again.told("goes on after round")
    assert set(table_of(tmp_path / "moved")["status"]) == {"finished"}


@pytest.mark.nightly
def test_a_member_of_a_population_that_went_on_from_another_is_the_run_of_its_config(tmp_path, monkeypatch):
    out = tmp_path / "sweep"
    config = CONFIG | {"rounds": 24, "eval": CONFIG["eval"] | {"every": 4}, "method": "tests.own:sleeps"}
    monkeypatch.setenv("OWN_SLEEP", "0.1")  # so that all four are under way at once
    pbt = {"name": "pbt", "quantile_fraction": 0.5, "resample_probability": 0.5}
    played(written(tmp_path, config=config, samples=4, scheduler=pbt, concurrent=4), "--out", out)
    assert set(table_of(out)["status"]) == {"finished"}
    monkeypatch.delenv("OWN_SLEEP")
    runs = [RunFolder(path) for path in sorted((out / "runs").iterdir())]
    cloned = [run for run in runs if run.read_config().device_optimizer.lr_steps]
    assert cloned
    for run in cloned[:2]:
        check_it_trains_to_the_same(run.read_config(), run.root, tmp_path / "alone" / run.root.name)
        assert [row["round"] for row in run.log.rows()] == list(range(25))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("optuna") is None, reason="optuna is not installed")
def test_optuna_ends_with_seeds_branches_and_one_trial_at_a_time(tmp_path, cluster):
    out = tmp_path / "sweep"
    space = RATES | {
        "aggregation.name": {
            "choice": {"mean": None, "clipped_mean": {"aggregation.max_norm": {"loguniform": [0.1, 10.0]}}}
        }
    }
    search = {"name": "optuna", "startup": 2}
    path = written(tmp_path, space=space, samples=4, seeds=[0, 1], search=search, concurrent=1)
    playing = played_here(path, "--out", out)
    assert most_at_once(playing.lines) == 1
    table = table_of(out)
    assert table.groupby("point")["seed"].agg(sorted).tolist() == [[0, 1]] * 4
    assert (table["aggregation.max_norm"].notna() == (table["aggregation.name"] == "clipped_mean")).all()
    assert set(table["status"]) == {"finished"}


@pytest.mark.slow
def test_a_trial_that_diverges_fails_alone_is_counted_and_is_tried_again_in_its_turn(tmp_path, cluster):
    out = tmp_path / "sweep"
    gan = CONFIG["gan"] | {"loss": "least_squares", "discriminator_norm": "none"}
    config = CONFIG | {"rounds": 30, "gan": gan, "device_optimizer": {"name": "sgd"}}
    config |= {"eval": CONFIG["eval"] | {"every": 10}}
    space = {"device_optimizer.lr": {"grid_search": [1e-3, 1e4, 1e-2, 2e4]}}
    playing = played_here(written(tmp_path, config=config, space=space, concurrent=1), "--out", out, expected=1)
    assert playing.told("failed") == ["00001", "00003"]
    assert "2 of 4 trials failed. Try again with:" in playing.lines
    table = table_of(out)
    assert list(table["status"]) == ["finished", "finished", "failed", "failed"]
    assert sorted(table["device_optimizer.lr"])[-2:] == [1e4, 2e4]
    assert "the update has diverged" in table["error"].iloc[-1]
    assert any("trial 00001 failed: " in line and "has diverged" in line for line in playing.lines)
    for trial in ("00000", "00001"):  # of one that is over, and of one that will be tried again
        shutil.rmtree(out / "runs" / trial)
    again = played_here("--out", out, "--resume", expected=1)
    assert sorted(again.told("failed")) == ["00001", "00003"]
    assert most_at_once(again.lines) == 1
    assert (out / "best.yaml").read_text().startswith("# trial 00002: "), "the other one's folder is gone"


@pytest.mark.nightly
def test_a_trial_whose_device_dies_comes_to_the_same_bytes(tmp_path):
    out = tmp_path / "sweep"
    config = CONFIG | {"rounds": 120, "eval": CONFIG["eval"] | {"every": 10}}
    config |= {"engine": {"executor": "ray", "devices_per_actor": 3}}
    playing = Playing(written(tmp_path, config=config), "concurrent=1", "--out", out)
    playing.until(lambda lines: any(": round " in line for line in lines))
    (victim,) = [process for process in playing.ours if name_of(process).startswith("ray::WorkerActor")]
    victim.kill()
    assert (playing.end(), playing.errors) == (0, "")
    assert set(table_of(out)["status"]) == {"finished"}
    for run in (out / "runs").iterdir():
        config = load_config(run / "config.yaml", ["engine.executor=inline"])
        check_it_trains_to_the_same(config, run, tmp_path / "alone" / run.name)


@pytest.mark.nightly
def test_a_trial_that_no_machine_holds_is_one_line_and_leaves_nothing(tmp_path):
    words = ["engine.executor=ray", "engine.gpus_per_device=0.5", "--out", str(tmp_path / "sweep")]
    env = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*COMMAND, str(TINY), *words], capture_output=True, text=True, timeout=120, env=env, check=False
    )
    assert (done.returncode, done.stdout) == (2, "starting Ray\n")
    assert done.stderr.count("\n") == 1
    assert (
        "space: a trial with schedule=serial, seed=0 does not fit: engine: 3 device actors of 1 CPU and 0.5 GPU"
        in done.stderr
    )
    assert list(tmp_path.iterdir()) == []
    assert load_sweep(TINY)

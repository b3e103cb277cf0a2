"""What runs inside a trial."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune import Checkpoint

import raygan
from raygan.record.folder import RunFolder
from raygan.sweep.trial import going_on, run_trial
from raygan.tracking.tracking import _SINKS
from tests.helpers import tiny
from tests.sweep.helpers import CONFIG, RATES, sweep

D, G = "device_optimizer.lr", "generator_optimizer.lr"


def steps_of(config):
    return tuple(
        [(step.round, step.lr) for step in optimizer.lr_steps]
        for optimizer in (config.device_optimizer, config.generator_optimizer)
    )


def test_a_rate_that_is_the_same_changes_nothing():
    config = tiny()
    assert going_on(config, {D: config.device_optimizer.lr, "devices": 9}, 2) == config
    stepped = tiny("device_optimizer.lr_steps=[{round: 3, lr: 0.5}]")
    assert going_on(stepped, {D: 0.5}, 2) == stepped
    assert going_on(stepped, {D: 0.5}, 4) == stepped
    assert going_on(stepped, {D: stepped.device_optimizer.lr}, 1) == stepped


def test_a_new_rate_is_a_step_behind_the_round():
    config = going_on(tiny(), {D: 0.5, G: 0.25}, 2)
    assert steps_of(config) == ([(3, 0.5)], [(3, 0.25)])
    assert config.device_optimizer.lr == tiny().device_optimizer.lr
    assert going_on(config, {D: 0.5, G: 0.125}, 6) == tiny(
        f"{D}_steps=[{{round: 3, lr: 0.5}}]", f"{G}_steps=[{{round: 3, lr: 0.25}}, {{round: 7, lr: 0.125}}]"
    )


def test_steps_of_rounds_that_were_not_played_are_dropped():
    later = tiny("device_optimizer.lr_steps=[{round: 2, lr: 0.1}, {round: 3, lr: 0.2}, {round: 9, lr: 0.3}]")
    assert steps_of(going_on(later, {D: 0.5}, 2)) == ([(2, 0.1), (3, 0.5)], [])


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0.1, 0.2, 0.4])), max_size=6))
def test_a_course_of_rates_is_what_was_asked_for(course):
    config, round, wanted = tiny(), 0, {}
    for rounds, lr in course:
        wanted |= dict.fromkeys(range(round + 1, round + rounds + 1), lr)
        config = going_on(config, {D: lr}, round) if round else tiny(f"{D}={lr}")
        round += rounds
    assert {round: config.device_optimizer.lr_at(round) for round in wanted} == wanted


class KilledError(BaseException):
    """As Tune ends a process, or somebody else."""


class Tune:
    """Stands for ray.tune in one trial's process; dies at the report of a round."""

    Checkpoint = Checkpoint

    def __init__(self, name, checkpoint=None, dies_at=None, keep=None):
        self.name, self.checkpoint, self.dies_at, self.keep, self.reports = name, checkpoint, dies_at, keep, []

    def get_context(self):
        return SimpleNamespace(get_trial_name=lambda: self.name)

    def get_checkpoint(self):
        return self.checkpoint

    def report(self, metrics, *, checkpoint):
        self.reports.append(metrics)
        kept = self.keep / f"{self.name}-{metrics['round']}"
        shutil.copytree(checkpoint.path, kept, dirs_exist_ok=True)
        self.newest = Checkpoint.from_directory(kept)
        if metrics["round"] == self.dies_at:
            raise KilledError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Plays a trial of a sweep, and says what was reported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a trial adds to it
    for name in ("runs/00000", "runs/00001", "kept"):
        (tmp_path / name).mkdir(parents=True)

    def run(asked, settings, name="00000", **fate):
        tune = Tune(name, keep=tmp_path / "kept", **fate)
        monkeypatch.setattr("raygan.sweep.trial.tune", tune)
        with suppress(KilledError):
            run_trial(asked, tmp_path / "runs", str(Path.cwd()), settings)
        return tune

    return run


def result(folder):
    return RunFolder(folder).generator.read_bytes()


def test_a_trial_reports_each_of_its_evaluations_with_its_state_and_is_the_run_of_its_config(run, tmp_path):
    settings = {"schedule": "parallel"}
    tune = run(sweep(), settings)
    assert [(report["round"], report["last"]) for report in tune.reports] == [(2, False), (4, True)]
    rows = RunFolder(tmp_path / "runs" / "00000").log.rows()
    assert [report["fd_clf"] for report in tune.reports] == [rows[2]["fd_clf"], rows[4]["fd_clf"]]
    alone = raygan.train(sweep().config_of(settings), tmp_path / "alone")
    assert result(tmp_path / "runs" / "00000") == alone.generator.read_bytes()
    assert RunFolder(tmp_path / "kept" / "00000-2").log.last_round() == 2
    assert not (tmp_path / "kept" / "00000-2" / "generator.safetensors").exists()
    assert not list((tmp_path / "runs").glob(".*")), "no scratch is left"


STEPS = {"device_optimizer": {"lr_steps": [{"round": 3, "lr": 0.01}]}}


@pytest.mark.parametrize("config", [CONFIG, CONFIG | STEPS], ids=["one rate", "a rate that changes"])
def test_a_trial_that_died_goes_on_from_its_last_report_to_the_same_bytes(config, run, tmp_path):
    asked = sweep(RATES, config | {"rounds": 6})
    settings = {D: 1e-3}
    died = run(asked, settings, dies_at=4)
    again = run(asked, settings, checkpoint=died.newest)
    assert [report["round"] for report in again.reports] == [6]
    alone = raygan.train(asked.config_of(settings), tmp_path / "alone")
    assert result(tmp_path / "runs" / "00000") == alone.generator.read_bytes()
    assert RunFolder(tmp_path / "runs" / "00000").read_config() == asked.config_of(settings)


def test_a_trial_that_died_before_its_first_report_begins_anew(run, tmp_path):
    (tmp_path / "runs" / "00000" / "rounds.jsonl").write_text("half a li")
    assert [report["round"] for report in run(sweep(), {"schedule": "serial"}).reports] == [2, 4]


def test_a_trial_that_was_over_without_tunes_knowledge_is_not_played_again(run, tmp_path):
    done = run(sweep(), {"schedule": "serial"}, dies_at=4)
    shutil.rmtree(tmp_path / "kept" / "00000-4")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    again = run(sweep(), {"schedule": "serial"}, checkpoint=Checkpoint.from_directory(tmp_path / "kept" / "00000-2"))
    assert again.reports == done.reports[1:]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*") if path.is_file()} == before


def test_a_trial_that_exploits_another_goes_on_from_it_with_its_own_rates_and_its_config_says_all(run, tmp_path):
    asked = sweep(RATES, CONFIG | {"rounds": 6}, samples=2, scheduler={"name": "pbt"})
    better = run(asked, {D: 1e-3}, dies_at=2)
    run(asked, {D: 5e-3}, name="00001", dies_at=4)
    exploits = run(asked, {D: 2e-3}, name="00001", checkpoint=better.newest)
    assert [report["round"] for report in exploits.reports] == [4, 6]
    config = RunFolder(tmp_path / "runs" / "00001").read_config()
    assert (config.device_optimizer.lr, steps_of(config)[0]) == (1e-3, [(3, 2e-3)])
    alone = raygan.train(config, tmp_path / "alone")
    assert result(tmp_path / "runs" / "00001") == alone.generator.read_bytes()


def test_trials_are_runs_of_one_experiment_of_a_tracker(run, tmp_path, monkeypatch):
    monkeypatch.setattr("raygan.tracking.tracking.find_spec", lambda name: True)
    monkeypatch.setitem(_SINKS, "mlflow", "tests.sweep.test_trial:begun")
    BEGUN.clear()
    asked = sweep(RATES, CONFIG | {"track": ["mlflow"]})
    for name in ("00000", "00001"):
        run(asked, {D: 1e-3}, name=name)
    assert [("00000", tmp_path.name), ("00001", tmp_path.name)] == BEGUN


BEGUN = []


def begun(folder, experiment):
    BEGUN.append((folder.root.name, experiment))
    raise ConnectionError("no server")

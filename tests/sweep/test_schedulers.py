"""A sweep that is resumed knows what its trials had reported."""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, PopulationBasedTraining, TrialScheduler

from raygan.sweep.schedulers import RememberingAsha, scheduler_of
from tests.sweep.helpers import CONFIG, RATES, sweep

EVERY, ROUNDS = 2, 16
LR = "device_optimizer.lr"


@dataclass
class Trial:
    """What a scheduler sees of one."""

    trial_id: str
    last_result: dict = field(default_factory=dict)

    def __str__(self):
        return f"run-{self.trial_id}"


def asha(runs, mode="min", **keys):
    config = CONFIG | {"rounds": ROUNDS, "eval": CONFIG["eval"] | {"every": EVERY}}
    made = sweep(RATES, config, samples=9, mode=mode, scheduler={"name": "asha", "reduction_factor": 2, **keys})
    scheduler = scheduler_of(made)
    scheduler.runs = runs
    assert scheduler.set_search_properties("fd_clf", mode)
    return scheduler


class Played:
    """Trials of a sweep, their run folders, and what a scheduler has said to each report."""

    def __init__(self, runs, values):
        self.runs, self.values = runs, values
        self.trials = [Trial(str(number)) for number in range(len(values))]
        self.alive = set(range(len(values)))

    def begin(self, scheduler):
        for trial in self.trials:
            scheduler.on_trial_add(None, trial)

    def report(self, scheduler, number):
        """The trial's next evaluation; what is decided. All that is over stays so."""
        trial, values = self.trials[number], self.values[number]
        round = trial.last_result.get("round", 0) + EVERY
        rows = [{"round": round - 1, "wall_s": 1.0, "sim_s": 0.5 * (round - 1), "bytes_up": 1_000_000}]
        rows.append(rows[0] | {"round": round, "sim_s": 0.5 * round, "eval_samples": 9})
        rows[1]["fd_clf"] = values[round // EVERY - 1]
        folder = self.runs / str(trial)
        folder.mkdir(exist_ok=True)
        with (folder / "rounds.jsonl").open("a") as file:
            if round == EVERY:
                first = {"round": 0, "wall_s": 0.0, "sim_s": 0.0, "fd_clf": 9e9, "eval_samples": 9}
                file.write(json.dumps(first) + "\n")
            file.writelines(json.dumps(row) + "\n" for row in rows)
        trial.last_result = {"round": round, "fd_clf": rows[1]["fd_clf"], "sim_s": 0.5 * round, "megabytes": round}
        if round == ROUNDS:
            scheduler.on_trial_complete(None, trial, trial.last_result)
            self.alive.discard(number)
            return "OVER"
        decision = scheduler.on_trial_result(None, trial, trial.last_result)
        if decision == TrialScheduler.STOP:
            scheduler.on_trial_complete(None, trial, trial.last_result)
            self.alive.discard(number)
        return decision

    def play(self, scheduler, order):
        return [(number, self.report(scheduler, number)) for number in order if number in self.alive]


ATTRIBUTES = [{}, {"time_attr": "sim_s", "grace_period": 1, "max_t": 8}, {"grace_period": 3, "max_t": 10}]


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 9).map(float), min_size=8, max_size=8), min_size=2, max_size=5),
    st.lists(st.integers(0, 4), max_size=40),
    st.integers(0, 40),
    st.sampled_from(["min", "max"]),
    st.sampled_from(ATTRIBUTES),
)
def test_a_resumed_one_decides_as_the_one_that_lived(tmp_path_factory, values, order, cut, mode, keys):
    order = [number % len(values) for number in order]
    lived, resumed = (Played(tmp_path_factory.mktemp("runs"), values) for _ in range(2))
    scheduler = asha(lived.runs, mode, **keys)
    lived.begin(scheduler)
    lived.play(scheduler, order[:cut])
    before = asha(resumed.runs, mode, **keys)
    resumed.begin(before)
    resumed.play(before, order[:cut])
    for trial in resumed.trials:  # a row that Tune has not heard of, as after a kill
        if trial.last_result.get("round", 0):
            (folder := resumed.runs / str(trial)).mkdir(exist_ok=True)
            next_round = trial.last_result["round"] + 1
            with (folder / "rounds.jsonl").open("a") as file:
                row = {"round": next_round, "wall_s": 1.0, "sim_s": 99.0, "fd_clf": -1.0, "eval_samples": 9}
                file.write(json.dumps(row) + "\n")
    after = asha(resumed.runs, mode, **keys)
    resumed.begin(after)
    rungs = [sorted(recorded.items()) for _, recorded in after._brackets[0]._rungs]
    assert rungs == [sorted(recorded.items()) for _, recorded in scheduler._brackets[0]._rungs]
    for trial in resumed.trials:  # which goes on from its last report
        path = resumed.runs / str(trial) / "rounds.jsonl"
        if path.exists():
            lines = path.read_text().splitlines()[: trial.last_result["round"] + 1]
            path.write_text("".join(line + "\n" for line in lines))
    assert resumed.play(after, order[cut:]) == lived.play(scheduler, order[cut:])


def test_one_that_forgot_would_decide_otherwise(tmp_path):
    played = Played(tmp_path, [[1.0] * 8, [2.0] * 8, [9.0] * 8])
    scheduler = asha(tmp_path)
    played.begin(scheduler)
    played.play(scheduler, [0, 1])
    remembering, forgetful = asha(tmp_path), asha(tmp_path / "nowhere")
    for other in (remembering, forgetful):
        played.begin(other)
    last = played.trials[2]
    result = {"round": 2, "fd_clf": 9.0}
    assert remembering.on_trial_result(None, last, result) == TrialScheduler.STOP
    assert forgetful.on_trial_result(None, last, result) == TrialScheduler.CONTINUE


def test_rungs_begin_at_the_first_evaluation_and_end_with_the_rounds(tmp_path):
    rungs = [milestone for milestone, _ in asha(tmp_path)._brackets[0]._rungs]
    assert rungs == [16, 8, 4, 2]


def test_a_sweep_asks_for_tunes_schedulers(tmp_path):
    assert isinstance(scheduler_of(sweep(RATES)), FIFOScheduler)
    assert isinstance(asha(tmp_path), RememberingAsha)
    pbt = scheduler_of(sweep(RATES, samples=4, scheduler={"name": "pbt"}))
    assert isinstance(pbt, PopulationBasedTraining)
    assert pbt._perturbation_interval == 2, "at every evaluation"


class Controller:
    """As Tune's, of which a scheduler asks who there is."""

    def __init__(self):
        self.trials = []

    def get_trials(self):
        return self.trials

    def add(self, scheduler, trial_id):
        self.trials.append(Trial(trial_id))
        self.trials[-1].status = TuneTrial.PENDING
        self.trials[-1].set_status = lambda status, trial=self.trials[-1]: setattr(trial, "status", status)
        scheduler.on_trial_add(self, self.trials[-1])

    def most_at_once(self, scheduler):
        """As Tune plays: all that are pending begin, then whom the scheduler names; the first ends."""
        most, order = 0, []
        while any(trial.status != TuneTrial.TERMINATED for trial in self.trials):
            while (chosen := scheduler.choose_trial_to_run(self)) is not None:
                chosen.status = TuneTrial.RUNNING
                order.append(chosen.trial_id)
            running = [trial for trial in self.trials if trial.status == TuneTrial.RUNNING]
            most = max(most, len(running))
            assert running, "nobody waits for nothing"
            running[0].status = TuneTrial.TERMINATED
        return most, order


@pytest.mark.parametrize("name", ["fifo", "asha"])
@pytest.mark.parametrize(("concurrent", "most"), [(1, 1), (2, 2), (None, 5)])
def test_trials_that_a_resumed_sweep_begins_with_are_no_more_at_once_than_are_allowed(name, concurrent, most, tmp_path):
    scheduler = scheduler_of(sweep(RATES, samples=9, concurrent=concurrent, scheduler={"name": name}))
    scheduler.runs = tmp_path
    scheduler.set_search_properties("fd_clf", "min")
    controller = Controller()
    for number in range(5):
        controller.add(scheduler, str(number))
    assert controller.most_at_once(scheduler) == (most, ["0", "1", "2", "3", "4"])


OTHER = "generator_optimizer.lr"
SPACES = {
    "range": ({"loguniform": [1e-4, 1e-2]}, lambda value: 1e-4 <= value <= 1e-2),
    "even": ({"uniform": [0.5, 0.9]}, lambda value: 0.5 <= value <= 0.9),
    "steps": ({"quniform": [0.1, 0.7, 0.1]}, lambda value: value in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
    "whole steps": ({"quniform": [2, 8, 2]}, lambda value: type(value) is int and value in (2, 4, 6, 8)),
    "whole numbers": ({"randint": [1, 9]}, lambda value: type(value) is int and 1 <= value < 9),
    "choice": ({"choice": [1e-3, 1e-2, 5e-2]}, lambda value: value in (1e-3, 1e-2, 5e-2)),
    "grid": ({"grid_search": [1e-3, 1e-2]}, lambda value: value in (1e-3, 1e-2)),
}


@pytest.mark.parametrize("again", [0.0, 0.25, 1.0])
@pytest.mark.parametrize(("domain", "holds"), SPACES.values(), ids=SPACES)
def test_a_population_stays_in_its_space_however_often_it_moves(domain, holds, again):
    made = sweep(RATES | {OTHER: domain}, samples=2, scheduler={"name": "pbt", "resample_probability": again})
    pbt = scheduler_of(made)
    trial = Trial("a")
    trial.config = made.config | {LR: 1e-3, OTHER: made.space[OTHER].one(np.random.default_rng(0))}
    seen = []
    for _ in range(2000):
        new, _ = pbt._get_new_config(Trial("b"), trial)  # as Tune asks for it at an exploit
        assert 1e-4 <= new[LR] <= 1e-2
        assert holds(new[OTHER]), new[OTHER]
        assert new.keys() == trial.config.keys()
        seen.append(new[OTHER])
        trial.config = new
    assert len(set(seen)) > 1
    if "quniform" in domain or "randint" in domain:
        low, high = made.space[OTHER].ends
        assert {low, high} <= set(seen), "no step is too small to be taken"


def test_a_move_is_a_fifth_where_there_is_room():
    made = sweep(RATES, samples=2, scheduler={"name": "pbt", "resample_probability": 0.0})
    pbt, trial = scheduler_of(made), Trial("a")
    trial.config = {LR: 1e-3}
    found = {pbt._get_new_config(Trial("b"), trial)[0][LR] for _ in range(50)}
    assert found == {1e-3 * 0.8, 1e-3 * 1.2}


# Tune's Gaussian process warns of its own call of SciPy, and of its kernel's bounds.
@pytest.mark.filterwarnings("ignore:scipy.optimize. The `disp`:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_pb2_is_given_the_ends_of_the_ranges_and_stays_between_them():
    made = sweep(
        RATES | {OTHER: {"quniform": [0.1, 0.7, 0.1]}},
        samples=4,
        scheduler={"name": "pb2", "perturbation_interval": 4},
    )
    pb2 = scheduler_of(made)
    assert pb2._hyperparam_bounds == {LR: [1e-4, 1e-2], OTHER: [0.1, 0.7]}
    assert pb2._perturbation_interval == 4
    assert pb2.set_search_properties("fd_clf", "min")
    trials = [Trial(str(number)) for number in range(4)]
    for trial, lr in zip(trials, (1e-4, 1e-3, 5e-3, 1e-2), strict=True):
        trial.config = {LR: lr, OTHER: 0.4}
        pb2._trial_state[trial.trial_id] = SimpleNamespace()
    for turn in range(1, 9):
        for number, trial in enumerate(trials):
            value = {"round": 4.0 * turn, "fd_clf": 10.0 * number - turn * (number + 1) ** 2}
            pb2._save_trial_state(pb2._trial_state[trial.trial_id], 4 * turn, value, trial)
        new, _ = pb2._get_new_config(trials[turn % 3], trials[3])
        assert 1e-4 <= new[LR] <= 1e-2
        assert new[OTHER] in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
        if turn > 1:
            assert pb2.data.iloc[-1][[LR, OTHER]].tolist() == [new[LR], new[OTHER]], "its history goes on from there"
        trials[turn % 3].config = new
    assert turn == 8

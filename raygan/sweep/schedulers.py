"""Tune's schedulers, as a sweep asks for them."""

from collections.abc import Iterable
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, PopulationBasedTraining, TrialScheduler

from raygan.config.tree import Config
from raygan.record.folder import RunFolder
from raygan.sweep.metrics import evaluated, scores
from raygan.sweep.ranges import Settings
from raygan.sweep.spec import Asha, Fifo, Pbt, Sweep, rungs


def scheduler_of(sweep: Sweep) -> TrialScheduler:
    """Tune's scheduler for a sweep."""
    asked, plain = sweep.scheduler, sweep.config_of({})
    if isinstance(asked, Fifo):
        return InTurn(sweep.concurrent)
    if isinstance(asked, Asha):
        return RememberingAsha(sweep, asked, plain)
    times: dict[str, Any] = {
        "time_attr": "round",
        "perturbation_interval": asked.perturbation_interval or plain.eval.every,
    }
    if isinstance(asked, Pbt):
        return PopulationBasedTraining(
            **times, quantile_fraction=asked.quantile_fraction, custom_explore_fn=Exploring(sweep, asked)
        )
    from raygan.sweep.pb2 import BoundedPb2  # imports scikit-learn

    return BoundedPb2(sweep, **times, quantile_fraction=asked.quantile_fraction)


class Exploring:
    """How a member of a population comes to other settings than those that it was copied from.

    As Tune's own exploring, but that every value stays in the space: Tune multiplies numbers again and again, so that
    they leave their range, and the steps in it.
    """

    def __init__(self, sweep: Sweep, asked: Pbt) -> None:
        self._space = sweep.space
        self._again = asked.resample_probability
        self._random = np.random.default_rng(sweep.search.seed)

    def __call__(self, config: Settings) -> Settings:
        """Settings with each value drawn anew or moved."""
        moved = dict(config)
        for key, domain in self._space.items():
            if self._random.random() < self._again:
                moved[key] = domain.one(self._random)
            else:
                moved[key] = domain.move(config[key], self._random)
        return moved


class InTurn(FIFOScheduler):
    """Tune's FIFO, with at most so many trials at once, also of those that a resumed sweep begins with.

    Tune's searchers hold back new trials only: all that failed before would be tried again at once.
    """

    def __init__(self, most: int | None = None, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._most = most or inf

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Let those wait for whom there is no room."""
        super().on_trial_add(tune_controller, trial)
        if self._most == inf:
            return
        others = [one for one in tune_controller.get_trials() if one is not trial]
        if trial.status == Trial.PENDING and _under_way(others) >= self._most:
            trial.set_status(Trial.PAUSED)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Who is to begin, or may once somebody else is over."""
        trials: list[Trial] = tune_controller.get_trials()
        for trial in trials:
            if trial.status == Trial.PENDING:
                return trial
        waiting = [trial for trial in trials if trial.status == Trial.PAUSED]
        return waiting[0] if waiting and _under_way(trials) < self._most else None


def _under_way(trials: Iterable[Trial]) -> int:
    return sum(trial.status in (Trial.PENDING, Trial.RUNNING) for trial in trials)


class RememberingAsha(InTurn, ASHAScheduler):
    """Tune's ASHA, which knows its rungs again when a sweep is resumed.

    Tune saves trials and searchers but no schedulers: without this, every trial that goes on would be compared with
    the few that come after it.
    """

    runs: ClassVar[Path]
    """Of the sweep that is played: nothing that Tune keeps in a file may hold it, for a sweep may be moved."""

    def __init__(self, sweep: Sweep, asked: Asha, plain: Config) -> None:
        first, last = rungs(asked, plain)
        options: dict[str, Any] = {"grace_period": first, "max_t": last, "reduction_factor": asked.reduction_factor}
        super().__init__(sweep.concurrent, time_attr=asked.time_attr, **options, stop_last_trials=False)
        self._sweep = sweep

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Also play back what a restored trial had reported."""
        super().on_trial_add(tune_controller, trial)
        reported = (trial.last_result or {}).get("round", 0)
        rows = RunFolder(self.runs / str(trial)).log.rows()[: reported + 1]
        for round in evaluated(rows):
            if round:
                self.on_trial_result(tune_controller, trial, scores(rows[: round + 1], self._sweep.metric, None))

"""Tune's schedulers, configured by a sweep."""

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
    """Returns Tune's scheduler for a sweep."""
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
    from raygan.sweep.pb2 import BoundedPb2  # it imports scikit-learn

    return BoundedPb2(sweep, **times, quantile_fraction=asked.quantile_fraction)


class Exploring:
    """The perturbation of a population member's settings after it was copied from another.

    It is Tune's exploration with every value kept in the space: Tune multiplies numbers repeatedly, so that they leave
    their range and its steps.
    """

    def __init__(self, sweep: Sweep, asked: Pbt) -> None:
        self._space = sweep.space
        self._again = asked.resample_probability
        self._random = np.random.default_rng(sweep.search.seed)

    def __call__(self, config: Settings) -> Settings:
        """Returns settings with each value redrawn or moved."""
        moved = dict(config)
        for key, domain in self._space.items():
            if self._random.random() < self._again:
                moved[key] = domain.one(self._random)
            else:
                moved[key] = domain.move(config[key], self._random)
        return moved


class InTurn(FIFOScheduler):
    """Tune's FIFO with a limit on concurrent trials, which also holds for the first trials of a resumed sweep.

    Tune's searchers limit new trials only: all trials that failed before would be retried at once.
    """

    def __init__(self, most: int | None = None, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._most = most or inf

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Make trials beyond the limit wait."""
        super().on_trial_add(tune_controller, trial)
        if self._most == inf:
            return
        others = [one for one in tune_controller.get_trials() if one is not trial]
        if trial.status == Trial.PENDING and _under_way(others) >= self._most:
            trial.set_status(Trial.PAUSED)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Returns the next trial to start, or one that may start after another has ended."""
        trials: list[Trial] = tune_controller.get_trials()
        for trial in trials:
            if trial.status == Trial.PENDING:
                return trial
        waiting = [trial for trial in trials if trial.status == Trial.PAUSED]
        return waiting[0] if waiting and _under_way(trials) < self._most else None


def _under_way(trials: Iterable[Trial]) -> int:
    return sum(trial.status in (Trial.PENDING, Trial.RUNNING) for trial in trials)


class RememberingAsha(InTurn, ASHAScheduler):
    """Tune's ASHA, with rungs that are restored when a sweep is resumed.

    Tune saves trials and searchers but not schedulers: without this, a resumed trial would only be compared with the
    few trials after it.
    """

    runs: ClassVar[Path]
    """The run folders of the current sweep. No object that Tune saves may hold the path, as a sweep may be moved."""

    def __init__(self, sweep: Sweep, asked: Asha, plain: Config) -> None:
        first, last = rungs(asked, plain)
        options: dict[str, Any] = {"grace_period": first, "max_t": last, "reduction_factor": asked.reduction_factor}
        super().__init__(sweep.concurrent, time_attr=asked.time_attr, **options, stop_last_trials=False)
        self._sweep = sweep

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Also replay the reports of a restored trial."""
        super().on_trial_add(tune_controller, trial)
        reported = (trial.last_result or {}).get("round", 0)
        rows = RunFolder(self.runs / str(trial)).log.rows()[: reported + 1]
        for round in evaluated(rows):
            if round:
                self.on_trial_result(tune_controller, trial, scores(rows[: round + 1], self._sweep.metric, None))

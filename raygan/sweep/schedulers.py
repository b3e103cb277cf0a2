"""Tune's schedulers, as a sweep asks for them."""

from pathlib import Path
from typing import Any, ClassVar

from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, PopulationBasedTraining, TrialScheduler

from raygan.config.tree import Config
from raygan.run_folder import RunFolder
from raygan.sweep.metrics import evaluated, scores
from raygan.sweep.space import Options, Range
from raygan.sweep.spec import Asha, Fifo, Pb2, Pbt, Sweep, rungs


def scheduler_of(sweep: Sweep) -> TrialScheduler:
    """Tune's scheduler for a sweep."""
    asked, plain = sweep.scheduler, sweep.config_of({})
    if isinstance(asked, Fifo):
        return FIFOScheduler()
    if isinstance(asked, Asha):
        return RememberingAsha(sweep, asked, plain)
    interval = asked.perturbation_interval or plain.eval.every
    if isinstance(asked, Pbt):
        return PopulationBasedTraining(
            time_attr="round",
            perturbation_interval=interval,
            hyperparam_mutations={key: _mutation(domain) for key, domain in sweep.space.items()},
            quantile_fraction=asked.quantile_fraction,
            resample_probability=asked.resample_probability,
        )
    return _pb2(sweep, asked, interval)


def _mutation(domain: Any) -> Any:
    """As PBT wants it: a domain to be drawn from, or a list whose neighbours are near each other."""
    return [value for value, _ in domain.options] if isinstance(domain, Options) else domain.in_tune()


def _pb2(sweep: Sweep, asked: Pb2, interval: int) -> TrialScheduler:
    from ray.tune.schedulers.pb2 import PB2  # imports scikit-learn

    return PB2(
        time_attr="round",
        perturbation_interval=interval,
        hyperparam_bounds={key: list(domain.ends) for key, domain in sweep.space.items() if isinstance(domain, Range)},
        quantile_fraction=asked.quantile_fraction,
    )


class RememberingAsha(ASHAScheduler):
    """Tune's ASHA, which knows its rungs again when a sweep is resumed.

    Tune saves trials and searchers but no schedulers: without this, every trial that goes on would be compared with
    the few that come after it.
    """

    runs: ClassVar[Path]
    """Of the sweep that is played: nothing that Tune keeps in a file may hold it, for a sweep may be moved."""

    def __init__(self, sweep: Sweep, asked: Asha, plain: Config) -> None:
        first, last = rungs(asked, plain)
        options: dict[str, Any] = {"grace_period": first, "max_t": last, "reduction_factor": asked.reduction_factor}
        super().__init__(time_attr=asked.time_attr, **options, stop_last_trials=False)
        self._sweep = sweep

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Also play back what a restored trial had reported."""
        super().on_trial_add(tune_controller, trial)
        reported = (trial.last_result or {}).get("round", 0)
        rows = RunFolder(self.runs / str(trial)).rows()[: reported + 1]
        for round in evaluated(rows):
            if round:
                self.on_trial_result(tune_controller, trial, scores(rows[: round + 1], self._sweep.metric, None))

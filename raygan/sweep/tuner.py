"""Tune's `Tuner` for a sweep: its arguments, and its restoration from files."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ray import tune as ray_tune
from ray.tune import CheckpointConfig, RunConfig, TuneConfig, Tuner
from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback

from raygan.cluster.nodes import all_nodes
from raygan.sweep.live import Relay
from raygan.sweep.resources import resources_here
from raygan.sweep.schedulers import scheduler_of
from raygan.sweep.searchers import trials_of
from raygan.sweep.spec import Pb2, Pbt, Sweep
from raygan.sweep.trial import LAST, run_trial

TUNE = "tune"
"""Tune's own folder below the sweep's."""


def new_tuner(sweep: Sweep, folder: Path) -> Tuner:
    """Returns the Tuner of a new sweep, with its files in `folder`."""
    trials = trials_of(sweep)
    population = isinstance(sweep.scheduler, Pbt | Pb2)
    return Tuner(
        _trainable(sweep, folder),
        param_space=trials.space,
        tune_config=TuneConfig(
            metric=sweep.metric,
            mode=sweep.mode,
            num_samples=trials.count,
            reuse_actors=True,  # reuse processes that have done the imports; a trial ends everything it has started
            search_alg=trials.searcher,
            scheduler=scheduler_of(sweep),
            max_concurrent_trials=None if population else sweep.concurrent,
            trial_name_creator=Namer(),
            trial_dirname_creator=str,
        ),
        run_config=RunConfig(
            name=TUNE,
            storage_path=str(folder),
            stop=_Stopping(sweep),
            callbacks=[JsonLoggerCallback(), CSVLoggerCallback(), Relay()],
            checkpoint_config=CheckpointConfig(num_to_keep=None if population else 2),  # a population copies older ones
            verbose=0,
        ),
    )


def restored_tuner(sweep: Sweep, folder: Path) -> Tuner:
    """Returns the Tuner of a resumed sweep, which retries failed trials."""
    return Tuner.restore(str(folder / TUNE), trainable=_trainable(sweep, folder), resume_errored=True)


def _trainable(sweep: Sweep, folder: Path) -> Any:
    runs, home = folder / "runs", str(Path.cwd())

    def trial(config: dict[str, Any]) -> None:
        run_trial(sweep, runs, home, config)

    before = all_nodes()
    return ray_tune.with_resources(trial, lambda config: resources_here(sweep, config, before))


class Namer:
    """Numbers trials in the order of their creation, by their run folders: Tune copies this object."""

    runs: ClassVar[Path]
    """The run folders of the current sweep. No object that Tune saves may hold the path, as a sweep may be moved."""

    def __call__(self, trial: Any) -> str:
        taken = [int(path.name) for path in self.runs.iterdir() if path.name.isdecimal()]
        name = f"{max(taken, default=-1) + 1:05d}"  # not the count: some may have been deleted
        (self.runs / name).mkdir()
        return name


class _Stopping:
    """Stops trials that are over, and those that a `stop` criterion ends early."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep

    def __call__(self, trial_id: str, result: Mapping[Any, Any]) -> bool:
        sweep, stop = self._sweep, self._sweep.stop
        value = result[sweep.metric]
        return bool(
            result[LAST]
            or (sweep.target is not None and math.isfinite(value))
            or (stop.value is not None and (value <= stop.value if sweep.mode == "min" else value >= stop.value))
            or (stop.sim_s is not None and result["sim_s"] >= stop.sim_s)
            or (stop.megabytes is not None and result["megabytes"] >= stop.megabytes)
        )

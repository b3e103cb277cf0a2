"""The points of a sweep, provided as Tune's searchers."""

import json
import math
import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan, nan
from pathlib import Path
from statistics import fmean
from typing import Any

from ray.tune.search import Searcher
from ray.tune.search.basic_variant import BasicVariantGenerator

from raygan.sweep.load import listed, seeds_of
from raygan.sweep.ranges import Settings
from raygan.sweep.space import domains, population, suggest
from raygan.sweep.spec import Optuna, Pb2, Pbt, Sweep


@dataclass(frozen=True)
class Trials:
    """The source of a sweep's trials, in the form of a `Tuner`'s arguments."""

    searcher: Any
    space: dict[str, Any]
    count: int


def trials_of(sweep: Sweep) -> Trials:
    """Returns the trials of a sweep, whose points are listed, drawn for a population, or chosen by Optuna."""
    if isinstance(sweep.scheduler, Pbt | Pb2):
        return _population(sweep)
    if isinstance(sweep.search, Optuna):
        return Trials(Repeated(_optuna(sweep, sweep.search), sweep), {}, sweep.samples * len(seeds_of(sweep)))
    points = listed(sweep)
    return Trials(Listed(points), {}, len(points))


def _population(sweep: Sweep) -> Trials:
    """Returns members that start like the points of a random search, by Tune's generator: PBT takes no searcher."""
    from ray import tune

    members = population(sweep.space, sweep.samples, sweep.search.seed)
    known = {key: tune.choice([member[key] for member in members]) for key in sweep.space}
    return Trials(BasicVariantGenerator(points_to_evaluate=members), known, len(members))


def _optuna(sweep: Sweep, asked: Optuna) -> Searcher:
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=asked.seed, n_startup_trials=asked.startup)
    space = partial(suggest, sweep.space)  # no lambda: Tune pickles it
    return OptunaSearch(space, metric=sweep.metric, mode=sweep.mode, sampler=sampler)


class _Limited(Searcher):
    """A searcher that limits the number of concurrent trials itself.

    Tune's limiter forgets running trials when a sweep is resumed, and hides the end of the search.
    """

    most = math.inf

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._begun: set[str] = set()
        """The running trials."""
        self._failed: set[str] = set()
        """The trials that will be retried if the sweep is resumed."""

    def set_search_properties(self, metric: str | None, mode: str | None, config: Any, **spec: Any) -> bool:
        """Do nothing: the properties are known already."""
        return True

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Accept the limit, which is implemented here."""
        self.most = max_concurrent
        return True

    @property
    def _is_full(self) -> bool:
        return len(self._begun) >= self.most

    def _note_end(self, trial_id: str, error: bool) -> None:
        self._begun.discard(trial_id)
        if error:
            self._failed.add(trial_id)
        else:
            self._failed.discard(trial_id)

    def _to_come(self) -> list[str]:
        """Returns the trials that will run when the sweep is resumed: those running now, and those that failed."""
        return sorted(self._begun | self._failed)


class Listed(_Limited):
    """A searcher over points that are known beforehand."""

    def __init__(self, points: Sequence[Settings]) -> None:
        super().__init__()
        self._points = points
        self._given = 0

    def suggest(self, trial_id: str) -> Any:
        """Returns the next point."""
        if self._given == len(self._points):
            return Searcher.FINISHED
        if self._is_full:
            return None
        self._given += 1
        self._begun.add(trial_id)
        return dict(self._points[self._given - 1])

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Record only that another trial may start."""
        self._note_end(trial_id, error)

    def save(self, checkpoint_path: str) -> None:
        """Save how many points were returned, and which of them have not finished."""
        Path(checkpoint_path).write_text(json.dumps([self._given, self._to_come()]))

    def restore(self, checkpoint_path: str) -> None:
        """Continue after the saved points."""
        self._given, begun = json.loads(Path(checkpoint_path).read_text())
        self._begun = set(begun)


class Repeated(_Limited):
    """Runs every point of another searcher once with each seed, and reports the mean to it.

    It replaces Tune's `Repeater`, which does not save pending trials and so cannot be resumed.
    """

    def __init__(self, searcher: Searcher, sweep: Sweep) -> None:
        super().__init__(metric=sweep.metric, mode=sweep.mode)
        self._searcher = searcher
        self._seeds = seeds_of(sweep)
        self._keys = {key for key, _ in domains(sweep.space)}
        self._points: dict[str, Settings] = {}
        """The points of the other searcher, by the first trial of each."""
        self._first_of: dict[str, str] = {}
        """The first trial of every trial's point."""
        self._found: dict[str, dict[str, float]] = {}
        """The values of each point so far by trial; NaN for a failed trial."""

    def suggest(self, trial_id: str) -> Any:
        """Returns the newest point with its next seed, or a new point."""
        if self._is_full:
            return None
        first = next(reversed(self._points), None)
        played = list(self._first_of.values()).count(first) if first is not None else 0
        if first is None or played == len(self._seeds):
            point = self._searcher.suggest(trial_id)
            if not isinstance(point, dict):  # no point now, or no more points
                return point
            first, played = trial_id, 0
            self._points[first] = {key: value for key, value in point.items() if key in self._keys}
            self._found[first] = {}
        self._first_of[trial_id] = first
        self._begun.add(trial_id)
        return {**self._points[first], **self._seeds[played]}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Report a point to the other searcher once it has been run with every seed; later retries are not reported."""
        self._note_end(trial_id, error)
        first = self._first_of[trial_id]
        found = self._found[first]
        told = len(found) == len(self._seeds)
        found[trial_id] = float((result or {}).get(self.metric, nan))
        if len(found) == len(self._seeds) and not told:
            values = [value for value in found.values() if not isnan(value)]
            mean = {self.metric: fmean(values)} if values else None
            self._searcher.on_trial_complete(first, mean, error=not values)

    def save(self, checkpoint_path: str) -> None:
        """Both searchers."""
        with tempfile.TemporaryDirectory() as scratch:
            inner = Path(scratch) / "inner"
            self._searcher.save(str(inner))
            state = (self._points, self._first_of, self._found, self._to_come(), inner.read_bytes())
        Path(checkpoint_path).write_bytes(pickle.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        """Both searchers."""
        state = pickle.loads(Path(checkpoint_path).read_bytes())  # Tune's own folder, all of which are pickles
        self._points, self._first_of, self._found, begun, kept = state
        self._begun = set(begun)
        with tempfile.TemporaryDirectory() as scratch:
            inner = Path(scratch) / "inner"
            inner.write_bytes(kept)
            self._searcher.restore(str(inner))

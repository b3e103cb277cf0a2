"""A trial: a run of raygan that reports every evaluation, with its state, to Tune."""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ray import tune

from raygan.cluster.nodes import all_nodes
from raygan.cluster.shortage import shortage_in_group
from raygan.config.gan import CHANGING
from raygan.config.load import check_config, merge
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.record.folder import RunFolder
from raygan.record.log import Row
from raygan.run.train import train
from raygan.sweep.metrics import scores
from raygan.sweep.ranges import Settings
from raygan.sweep.resources import needs_of_trial
from raygan.sweep.snapshot import clear, put_back, take
from raygan.sweep.space import tree_of
from raygan.sweep.spec import Pb2, Pbt, Sweep

IMPORTED_BY_TRIALS = (
    __name__,
    "raygan.run.session",
    "raygan.executors.in_process",
    "raygan.executors.ray_actors",
    "raygan.evaluation.recorder",
)
"""What a trial's process, and those that it starts, import sooner or later."""
LAST = "last"
"""Key in a report that says that the run is over."""


def run_trial(sweep: Sweep, runs: Path, home: str, settings: Settings) -> None:
    """Run a trial in the run folder `runs`/NAME, with paths relative to `home`, where the sweep was started.

    A restarted trial continues from its last report, and one that exploits another from the other's report. In both
    cases the run folder is restored to that state.
    """
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "60"  # a stopped trial must end before another takes its process
    if Path(home).is_dir():  # it may be missing on another node
        os.chdir(home)
    if home not in sys.path:
        sys.path.append(home)  # custom modules
    folder = RunFolder(runs / tune.get_context().get_trial_name())
    checkpoint = tune.get_checkpoint()
    own = checkpoint is None or checkpoint.get_metadata()["trial"] == folder.root.name
    if own and folder.generator.exists():  # the trial was over when the sweep was lost, but Tune had not recorded it
        config = folder.read_config()
    elif checkpoint is None:
        config = sweep.config_of(settings)
        if config.engine.executor == "ray" and (problem := shortage_in_group(needs_of_trial(config), all_nodes())):
            raise InputError(problem, code="resources")  # it was drawn during the sweep, and got less than it needs
        clear(folder)
        train(config, folder.root, watchers=[_Reporter(sweep, folder, config.rounds)], experiment=runs.parent.name)
    else:
        with checkpoint.as_directory() as kept:
            round = put_back(Path(kept), folder)
        config = folder.read_config()
        if isinstance(sweep.scheduler, Pbt | Pb2):  # only a population changes settings during a run
            config = going_on(config, settings, round)
        watchers = [_Reporter(sweep, folder, config.rounds)]
        train(config, folder.root, resume=True, watchers=watchers, experiment=runs.parent.name)
    _report(sweep, folder, config.rounds, last=True)


def going_on(config: Config, settings: Settings, round: int) -> Config:
    """Returns the config of a run that continues after `round` with these settings.

    It differs only in learning rates that a population has changed. Each change becomes a step of the rate, so that the
    config describes the whole run and can repeat it.
    """
    changed: dict[str, object] = {}
    for key in set(CHANGING) & settings.keys():
        section = key.split(".")[0]
        optimizer, lr = getattr(config, section), float(settings[key])
        if optimizer.lr_at(round + 1) != lr:
            steps = [step.model_dump() for step in optimizer.lr_steps if step.round <= round]
            changed[f"{section}.lr_steps"] = [*steps, {"round": round + 1, "lr": lr}]
    return check_config(merge(config.model_dump(mode="json"), tree_of(changed), Config))


class _Reporter:
    """A watcher that reports each evaluation except the last once the state after it is saved.

    The last is reported when the run is over and everything is written: Tune may end the process at a report.
    """

    def __init__(self, sweep: Sweep, folder: RunFolder, rounds: int) -> None:
        self._sweep = sweep
        self._folder = folder
        self._rounds = rounds
        self._reported = folder.log.last_round()

    def on_phase(self, text: str) -> None:
        """Do nothing: Tune does not need it."""

    def on_event(self, text: str) -> None:
        """As `on_phase`."""

    def on_round(self, row: Row) -> None:
        """As `on_phase`."""

    def on_evaluation(self, round: int, metrics: Row) -> None:
        """One half of a report."""
        self._report_if_whole(round)

    def on_checkpoint(self, round: int) -> None:
        """The other half."""
        self._report_if_whole(round)

    def _report_if_whole(self, round: int) -> None:
        saved = (self._folder.checkpoints / f"round_{round:06d}").is_dir()
        measured = self._folder.log.last_evaluation() >= round
        if saved and measured and self._reported < round < self._rounds:  # a run may replay reported rounds
            _report(self._sweep, self._folder, round, last=False)
            self._reported = round


def _report(sweep: Sweep, folder: RunFolder, round: int, last: bool) -> None:
    measured: Mapping[str, float] = scores(folder.log.rows()[: round + 1], sweep.metric, sweep.target)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder.root.parent) as scratch:
        take(folder, round, Path(scratch))
        checkpoint = tune.Checkpoint.from_directory(scratch)
        checkpoint.set_metadata({"trial": folder.root.name})
        tune.report({**measured, LAST: last}, checkpoint=checkpoint)

"""Running a whole sweep, from its file to its answer."""

import os
import shutil
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune import ResultGrid, Tuner
from rich.console import Console

from raygan.cluster.connection import Connection
from raygan.cluster.forking import forking
from raygan.cluster.joining import refuse_ray_client
from raygan.config.load import check_config, checked
from raygan.errors import InputError, RunError
from raygan.files import is_uri, make_folder, unmake_folder, write_whole
from raygan.report.sweep.results import SweepResults
from raygan.signals import StopWish, stop_wish
from raygan.sweep.answer import write_answer
from raygan.sweep.live import SweepDisplay
from raygan.sweep.load import SWEEP, check_sweep, dump_sweep, reload_sweep, tried_out
from raygan.sweep.resources import cpus_for_sweep, wait_until_trials_fit
from raygan.sweep.schedulers import RememberingAsha
from raygan.sweep.searchers import trials_of
from raygan.sweep.spec import Pb2, Pbt, Sweep
from raygan.sweep.trial import IMPORTED_BY_TRIALS
from raygan.sweep.tuner import TUNE, Namer, new_tuner, restored_tuner

__all__ = ["ResultGrid", "SweepOutcome", "tune"]

_SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths in a config refer to the user's folder
    "TUNE_GLOBAL_CHECKPOINT_S": "1",  # finished trials are recorded at any time the sweep may be lost
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # every run folder has TensorBoard files already
    "RAY_AIR_NEW_OUTPUT": "0",  # which writes even with verbose=0
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # raygan's handler also handles SIGTERM
}


@dataclass(frozen=True)
class SweepOutcome:
    """The outcome of a sweep."""

    folder: Path
    grid: ResultGrid
    results: SweepResults
    stopped_by: signal.Signals | None
    """The signal that ended the sweep early, if any; SIGALRM at the end of its time."""

    @property
    def interrupted(self) -> bool:
        """Whether the sweep was interrupted."""
        return self.stopped_by not in (None, signal.SIGALRM)

    @property
    def failed(self) -> int:
        """The number of failed trials, which the answer lacks."""
        return int((self.results.table["status"] == "failed").sum())

    @property
    def best(self) -> Path | None:
        """The best trial's config, or None if no trial has a value."""
        path = self.folder / "best.yaml"
        return path if path.exists() else None


def tune(sweep: Sweep, out: str | Path, *, resume: bool = False, console: Console | None = None) -> SweepOutcome:
    """Run a sweep into the folder `out`.

    It writes run folders to `out`/runs, Tune's files to `out`/tune, and sweep.yaml, results.csv, best.yaml and
    report.html. Ctrl-C or SIGTERM ends it with the last reported states of the trials; `resume` continues from these
    and retries failed trials. Progress is shown on the `console`, if given.

    Raises:
        InputError: the sweep or the folder is invalid, or a trial cannot fit; nothing has been changed.
    """
    if is_uri(out):
        raise InputError(
            f"--out: {out} is a URI, but a sweep needs a folder (on a cluster, one that every node sees)", code="value"
        )
    if sweep.stop.hours is not None and threading.current_thread() is not threading.main_thread():
        raise InputError("stop.hours: works only if the sweep runs in the main thread; leave it out", code="conflict")
    sweep = checked(sweep.model_dump(mode="json"), Sweep).on_its_own()  # it may have changed since it was loaded
    refuse_ray_client(sweep.address)
    check_sweep(sweep)
    folder = Path(out).resolve()
    _check_folder(sweep, folder, resume)
    tried = tried_out(sweep)

    def tell(text: str) -> None:
        if console is not None:
            console.print(text, highlight=False, soft_wrap=True)

    with _settings():
        tell("starting Ray")
        runtime_env = _forking(sweep, tell)
        connection = Connection(sweep.address, cpus_for_sweep(sweep, tried), runtime_env, idle_workers=not runtime_env)
        try:
            wait_until_trials_fit(sweep, tried, connection.may_grow, tell, connection.ask)
            if sweep.concurrent and isinstance(sweep.scheduler, Pbt | Pb2) and not connection.started:
                raise InputError(
                    f"concurrent: on a cluster that was there before, {sweep.scheduler.name} plays as many trials at "
                    "once as fit; leave it out",
                    code="conflict",
                )
            with _begun(sweep, folder, resume), ExitStack() as stack:
                tuner = restored_tuner(sweep, folder) if resume else new_tuner(sweep, folder)
                if console is not None:
                    stack.enter_context(SweepDisplay(sweep, trials_of(sweep).count, console))
                wish = stack.enter_context(_stopping(sweep.stop.hours))
                grid = _fit(tuner, folder)
        finally:
            connection.close()
    return SweepOutcome(folder, grid, write_answer(sweep, folder, grid), wish.signal)


def _forking(sweep: Sweep, tell: Callable[[str], None]) -> Mapping[str, Any]:
    """Returns the runtime environment of trials and all that they start, as `engine.workers` says."""
    found = forking(check_config(sweep.tree()).engine.workers, IMPORTED_BY_TRIALS)
    if found.why_not:
        tell(f"trials are not forked (engine.workers): {found.why_not}")
    return found.runtime_env


def _fit(tuner: Tuner, folder: Path) -> ResultGrid:
    try:
        return tuner.fit()
    except Exception as error:
        if not Tuner.can_restore(str(folder / TUNE)):
            raise RunError(f"the sweep could not begin: {type(error).__name__}: {error}", code="failed") from error
        path = folder / "error.txt"
        path.write_text(traceback.format_exc(), encoding="utf-8")
        raise RunError(
            f"{type(error).__name__}: {error} (what the trials last reported is kept, go on with --resume; the "
            f"traceback is in {path})",
            code="failed",
        ) from error


def _check_folder(sweep: Sweep, folder: Path, resume: bool) -> None:
    """Check the folder before Ray is started, which takes seconds."""
    if resume and not Tuner.can_restore(str(folder / TUNE)):
        raise InputError(f"--resume: {folder} holds no sweep that had begun; start it without --resume", code="missing")
    if resume and reload_sweep(folder) != sweep:
        raise InputError(
            f"--resume: the sweep is not the one in {folder / SWEEP}; leave its file and words out", code="mismatch"
        )
    if not resume:
        unmake_folder(folder, make_folder(folder, folder / SWEEP))


@contextmanager
def _begun(sweep: Sweep, folder: Path, resume: bool) -> Iterator[None]:
    """Create the folder of a new sweep, and remove it if the sweep does not start."""
    made = [] if resume else make_folder(folder, folder / SWEEP)
    Namer.runs = RememberingAsha.runs = folder / "runs"
    Namer.runs.mkdir(exist_ok=True)
    for scratch in Namer.runs.glob(".*"):  # left by trials that were killed while they reported
        shutil.rmtree(scratch)
    write_whole(folder / SWEEP, lambda aside: aside.write_text(dump_sweep(sweep), encoding="utf-8"))
    try:
        yield
    finally:
        if not Tuner.can_restore(str(folder / TUNE)):
            unmake_folder(folder, made)


@contextmanager
def _settings() -> Iterator[None]:
    """Set the options that Tune takes from the environment only."""
    before = {name: os.environ.get(name) for name in _SETTINGS}
    os.environ.update(_SETTINGS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _stopping(hours: float | None) -> Iterator[StopWish]:
    """Inside the block, the first SIGINT or SIGTERM, or the end of the time, stops Tune; a second ends at once."""
    with stop_wish(_let_tune_end) as wish:
        over = threading.Event()

        def when_time_is_up() -> None:
            if over.wait((hours or 0) * 3600):
                return
            while not callable(signal.getsignal(signal.SIGUSR1)):  # Tune is not running yet, and would miss it
                if over.wait(0.05):
                    return
            wish.signal = signal.SIGALRM
            _let_tune_end()

        before = signal.getsignal(signal.SIGUSR1)
        if hours is not None:
            threading.Thread(target=when_time_is_up, daemon=True).start()
        try:
            yield wish
        finally:
            over.set()
            if signal.getsignal(signal.SIGUSR1) != before:  # Tune leaves its handler
                signal.signal(signal.SIGUSR1, before)


def _let_tune_end() -> None:
    """Stop Tune, which saves its state at SIGUSR1 once it runs; before that there is nothing to save."""
    if not callable(signal.getsignal(signal.SIGUSR1)):
        raise KeyboardInterrupt
    os.kill(os.getpid(), signal.SIGUSR1)

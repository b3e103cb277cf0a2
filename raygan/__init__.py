"""raygan: simulate the distributed training of GANs on Ray.

Importing it is cheap: torch, Ray, metrics and plots are imported on first use.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from raygan.config import Config, load_config, preset_names
from raygan.errors import InputError, RunError

if TYPE_CHECKING:
    from raygan.evaluation.trained import TrainedGenerator
    from raygan.record.generator_file import Weights
    from raygan.run.ledger import Watcher
    from raygan.run.result import Result
    from raygan.sweep.spec import Sweep
    from raygan.sweep.tune import ResultGrid

__all__ = [
    "Config",
    "InputError",
    "RunError",
    "load_config",
    "load_generator",
    "load_sweep",
    "open_run",
    "preset_names",
    "train",
    "tune",
]


def train(
    config: Config | str | Path,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    watchers: "Iterable[Watcher] | None" = None,
) -> "Result":
    """Train as `config` says (a config, a preset's name or the path of a YAML file), into the run folder `out`.

    Without `out`, a new folder below `runs` is made. Progress and a summary are shown, in a notebook too, unless
    `watchers` are given; `watchers=[]` is silent. See `raygan.run.train.train` for the other arguments.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM (`raygan.errors.Terminated`) ended the run after a round. Its state is
            saved: `resume=True` continues it, and `open_run` returns the result so far. Raised after the last round,
            too, when everything is written, so that a loop over runs ends.
    """
    from raygan.record.folder import new_folder
    from raygan.run.train import train as run

    source = None if isinstance(config, Config) else config
    read = config if isinstance(config, Config) else load_config(config)
    into = out or new_folder(source, read)
    if watchers is not None:
        return _whole(run(read, into, resume=resume, watchers=watchers))
    from rich.console import Console

    from raygan.report.progress import ProgressDisplay
    from raygan.summary import summarise

    console = Console()
    with ProgressDisplay(read.rounds, console) as display:
        result = run(read, into, resume=resume, watchers=[display])
    summarise(result, console)
    return _whole(result)


def _whole(result: "Result") -> "Result":
    """Raise if the run was interrupted, so that a script, or the other cells of a notebook, end with it."""
    from raygan.errors import Terminated

    if result.stopped_by is not None:
        raise KeyboardInterrupt if result.stopped_by.name == "SIGINT" else Terminated
    return result


def open_run(out: str | Path) -> "Result":
    """Returns the result of an existing run, in the folder or at the URI `out`.

    Raises:
        InputError: `out` is not a run folder, or cannot be reached.
    """
    from raygan.run.result import reopened

    return reopened(out)


def load_generator(path: str | Path, weights: "Weights" = "ema", generator: str | None = None) -> "TrainedGenerator":
    """Returns a trained generator as a torch module; see `raygan.evaluation.trained.load_trained`."""
    from raygan.evaluation.trained import load_trained

    return load_trained(path, weights, generator)


def load_sweep(source: str | Path, words: Iterable[str] = ()) -> "Sweep":
    """Read a sweep file; see `raygan.sweep.load.load_sweep`."""
    from raygan.sweep.load import load_sweep as load

    return load(source, words)


def tune(sweep: "Sweep | str | Path", out: str | Path, *, resume: bool = False) -> "ResultGrid":
    """Run a sweep, given as such or as a file, into the folder `out`; returns Tune's ResultGrid.

    See `raygan.sweep.tune.tune`. Ctrl-C raises KeyboardInterrupt, once the state to resume from is saved.
    """
    from raygan.sweep.tune import tune as run

    outcome = run(load_sweep(sweep) if isinstance(sweep, str | Path) else sweep, out, resume=resume)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome.grid

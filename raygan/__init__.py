"""raygan: simulate the distributed training of GANs on Ray.

Importing it is cheap: torch, Ray, metrics and plots load where they are first used.
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
    """Train as `config` says (a preset's name and a YAML file's path will do), into the run folder `out`.

    Without `out`, into a new folder below `runs`. Progress is shown, in a notebook too, and what came out, unless
    `watchers` are given: `watchers=[]` is silent. See `raygan.run.train.train` for the rest.

    Raises:
        KeyboardInterrupt: the run was ended by Ctrl-C or SIGTERM (`raygan.errors.Terminated`) after a round, its state
            saved: `resume=True` goes on, and `open_run` has what there is. After the last round, too, when all is
            written: a loop over runs is to end.
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
    """Raise if it was to end early: a script, or a notebook's other cells, are to end with it."""
    from raygan.errors import Terminated

    if result.stopped_by is not None:
        raise KeyboardInterrupt if result.stopped_by.name == "SIGINT" else Terminated
    return result


def open_run(out: str | Path) -> "Result":
    """The result of a run that was played before, in the folder or at the URI `out`.

    Raises:
        InputError: it is not a run folder, or cannot be reached.
    """
    from raygan.run.result import reopened

    return reopened(out)


def load_generator(path: str | Path, weights: "Weights" = "ema", generator: str | None = None) -> "TrainedGenerator":
    """A trained generator as a torch module; see `raygan.evaluation.trained.load`."""
    from raygan.evaluation.trained import load

    return load(path, weights, generator)


def load_sweep(source: str | Path, words: Iterable[str] = ()) -> "Sweep":
    """Read a sweep file; see `raygan.sweep.load.load_sweep`."""
    from raygan.sweep.load import load_sweep as load

    return load(source, words)


def tune(sweep: "Sweep | str | Path", out: str | Path, *, resume: bool = False) -> "ResultGrid":
    """Play a sweep, or the one in a file, into the folder `out`; returns Tune's own ResultGrid.

    See `raygan.sweep.tune.tune`. Ctrl-C raises KeyboardInterrupt, once what can be resumed is saved.
    """
    from raygan.sweep.tune import tune as run

    outcome = run(load_sweep(sweep) if isinstance(sweep, str | Path) else sweep, out, resume=resume)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome.grid

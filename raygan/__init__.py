"""raygan: simulate the distributed training of GANs on Ray.

Importing it is cheap: torch, Ray, metrics and plots load where they are first used.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from raygan.config import Config, load_config, preset_names
from raygan.errors import InputError, RunError

if TYPE_CHECKING:
    from raygan.engine.ledger import Watcher
    from raygan.engine.result import Result
    from raygan.sweep.spec import Sweep
    from raygan.sweep.tune import ResultGrid

__all__ = ["Config", "InputError", "RunError", "load_config", "load_sweep", "preset_names", "train", "tune"]


def train(config: Config, out: str | Path, *, resume: bool = False, watchers: "Iterable[Watcher]" = ()) -> "Result":
    """Train as `config` says, into the run folder `out`; see `raygan.engine.train.train`."""
    from raygan.engine.train import train as run

    return run(config, out, resume=resume, watchers=watchers)


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

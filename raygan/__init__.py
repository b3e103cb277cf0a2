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

__all__ = ["Config", "InputError", "RunError", "load_config", "preset_names", "train"]


def train(config: Config, out: str | Path, *, resume: bool = False, watchers: "Iterable[Watcher]" = ()) -> "Result":
    """Train as `config` says, into the run folder `out`; see `raygan.engine.train.train`."""
    from raygan.engine.train import train as run

    return run(config, out, resume=resume, watchers=watchers)

"""Sweeps small enough to do many of."""

from typing import Any

from raygan.config.load import checked
from raygan.sweep.load import check_sweep
from raygan.sweep.spec import Sweep

CONFIG = {
    "devices": 3,
    "rounds": 4,
    "batch_size": 8,
    "generator_batch_size": 8,
    "data": {"limit": 200},
    "gan": {"latent": 8, "generator_width": 4, "discriminator_width": 4},
    "engine": {"executor": "inline"},
    "eval": {"every": 2, "samples": 50, "classifier_epochs": 1, "metrics": ["frechet", "classes"]},
}
SCHEDULES = {"schedule": {"grid_search": ["serial", "parallel"]}}
RATES = {"device_optimizer.lr": {"loguniform": [1e-4, 1e-2]}}


def sweep(space: Any = SCHEDULES, config: Any = CONFIG, **keys: Any) -> Sweep:
    """A checked one, of runs of a second on 200 digits."""
    made = checked({"config": config, "space": space, **keys}, Sweep)
    check_sweep(made)
    return made

"""What a trial asks Ray for, and how many trials fit."""

import os
from collections.abc import Iterable

from ray.tune import PlacementGroupFactory

from raygan.config.tree import Config
from raygan.engine.cluster import Needs, needs_of, shortage
from raygan.errors import InputError
from raygan.report.sweep_results import shown
from raygan.sweep.space import Settings
from raygan.sweep.spec import Sweep


def resources_for(config: Config) -> PlacementGroupFactory:
    """The placement group of a trial: all that its run starts, in the bundles where the engine puts it.

    A trial with actors asks for nothing beside them, as the driver of a single run does not; played inline, it does
    all the work itself.
    """
    bundles = needs_of_trial(config).bundles
    return PlacementGroupFactory(bundles if config.engine.executor == "inline" else [{}, *bundles])


def resources_here(sweep: Sweep, settings: Settings) -> PlacementGroupFactory:
    """As `resources_for`. A trial that can never be held, or is wrong, gets a CPU: to fail with, instead of waiting."""
    try:
        config = sweep.config_of(settings)
        fits = shortage(needs_of_trial(config), in_one_group=True) is None
    except InputError:
        fits = False
    return resources_for(config) if fits else PlacementGroupFactory([{"CPU": 1}])


def needs_of_trial(config: Config) -> Needs:
    """What a trial asks for; inline, a logical CPU per thread."""
    if config.engine.executor == "inline":
        threads = max(config.engine.threads_per_device, config.engine.server_threads)
        return Needs(hosts=0, per_host={}, server={"CPU": threads}, recorder={})
    return needs_of(config)


def cpus_to_start(sweep: Sweep, tried: Iterable[Settings]) -> float:
    """Logical CPUs of a Ray started for a sweep: so many that `concurrent` of its largest trials fit.

    Left open, that is as many trials as there are cores for, and one at least, its actors taking turns.
    """
    largest: float = max(needs_of_trial(sweep.config_of(settings)).total["CPU"] for settings in tried)
    return sweep.concurrent * largest if sweep.concurrent else max(os.cpu_count() or 1, largest)


def check_that_trials_fit(sweep: Sweep, tried: Iterable[Settings]) -> None:
    """Refuse a sweep with a trial that the cluster as it is could never hold.

    Raises:
        InputError: names the settings and what is missing.
    """
    for settings in tried:
        if problem := shortage(needs_of_trial(sweep.config_of(settings)), in_one_group=True):
            given = ", ".join(f"{key}={shown(value)}" for key, value in settings.items())
            raise InputError(f"a trial with {given} does not fit: {problem}")

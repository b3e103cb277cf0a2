"""What a trial asks Ray for, and how many trials fit."""

import os
from collections.abc import Iterable, Sequence

from ray.tune import PlacementGroupFactory

from raygan.cluster.connection import all_nodes
from raygan.cluster.layout import Node, shortage_in_group
from raygan.cluster.resources import Needs, needs_of
from raygan.cluster.waiting import Ask, Tell, directly, wait_for_group
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.report.sweep.results import shown
from raygan.sweep.ranges import Settings
from raygan.sweep.spec import Sweep


def resources_for(config: Config) -> PlacementGroupFactory:
    """The placement group of a trial: all that its run starts, in the bundles where the engine puts it.

    A trial with actors asks for nothing beside them, as the driver of a single run does not; played inline, it does
    all the work itself.
    """
    bundles = needs_of_trial(config).bundles
    return PlacementGroupFactory(bundles if config.engine.executor == "inline" else [{}, *bundles])


def resources_here(sweep: Sweep, settings: Settings, before: Sequence[Node]) -> PlacementGroupFactory:
    """As `resources_for`. A trial that can never be held, or is wrong, gets a CPU: to fail with, instead of waiting.

    What nodes there were `before`, when the sweep began, may come again.
    """
    try:
        config = sweep.config_of(settings)
        needs = needs_of_trial(config)
        fits = any(shortage_in_group(needs, nodes) is None for nodes in (all_nodes(), before))
    except InputError:
        fits = False
    return resources_for(config) if fits else PlacementGroupFactory([{"CPU": 1}])


def needs_of_trial(config: Config) -> Needs:
    """What a trial asks for; inline, a logical CPU per thread."""
    if config.engine.executor == "inline":
        threads = max(config.engine.threads_per_device, config.engine.server_threads)
        return Needs(workers=0, per_worker={}, server={"CPU": threads}, recorder={})
    return needs_of(config)


def cpus_to_start(sweep: Sweep, tried: Iterable[Settings]) -> float:
    """Logical CPUs of a Ray started for a sweep: so many that `concurrent` of its largest trials fit.

    Left open, that is as many trials as there are cores for, and one at least, its actors taking turns.
    """
    largest: float = max(needs_of_trial(sweep.config_of(settings)).total["CPU"] for settings in tried)
    return sweep.concurrent * largest if sweep.concurrent else max(os.cpu_count() or 1, largest)


def wait_until_trials_fit(
    sweep: Sweep, tried: Iterable[Settings], may_grow: bool, tell: Tell, ask: Ask = directly
) -> None:
    """Refuse a sweep with a trial that the cluster cannot hold, now or when the nodes that may be coming are there.

    Raises:
        InputError: names the settings and what is missing.
        RunError: the cluster has ended.
    """
    for settings in tried:
        config = sweep.config_of(settings)
        try:
            wait_for_group(needs_of_trial(config), config.engine.nodes_timeout_s if may_grow else 0.0, tell, ask)
        except InputError as problem:
            given = ", ".join(f"{key}={shown(value)}" for key, value in settings.items())
            raise InputError(f"a trial with {given} does not fit: {problem}") from problem

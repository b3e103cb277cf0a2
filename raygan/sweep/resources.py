"""Resource requests of trials, and the number of trials that fit."""

import os
from collections.abc import Iterable, Sequence

from ray.tune import PlacementGroupFactory

from raygan.cluster.layout import Node
from raygan.cluster.nodes import all_nodes
from raygan.cluster.resources import Needs, needs_of
from raygan.cluster.shortage import shortage_in_group
from raygan.cluster.waiting import Ask, Tell, directly, wait_for_group
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.report.sweep.results import shown_value
from raygan.run.train import with_devices
from raygan.sweep.ranges import Settings
from raygan.sweep.spec import Sweep


def resources_for(config: Config) -> PlacementGroupFactory:
    """Returns the placement group of a trial: everything that its run starts, in the bundles where the engine puts it.

    A trial with actors requests nothing for itself, like the driver of a single run. An inline trial does all the work
    itself.
    """
    bundles = needs_of_trial(config).bundles
    return PlacementGroupFactory(bundles if config.engine.executor == "inline" else [{}, *bundles])


def resources_here(sweep: Sweep, settings: Settings, before: Sequence[Node]) -> PlacementGroupFactory:
    """As `resources_for`, but a trial that can never fit, or is invalid, gets a CPU, and fails instead of waiting.

    Nodes that existed `before`, when the sweep started, may come back.
    """
    try:
        config = sweep.config_of(settings)
        needs = needs_of_trial(config)
        fits = any(shortage_in_group(needs, nodes) is None for nodes in (all_nodes(), before))
    except InputError:
        fits = False
    return resources_for(config) if fits else PlacementGroupFactory([{"CPU": 1}])


def needs_of_trial(config: Config) -> Needs:
    """Returns the needs of a trial; inline, a logical CPU per thread."""
    if config.engine.executor == "inline":
        threads = max(config.engine.threads_per_device, config.engine.server_threads)
        return Needs(workers=0, per_worker={}, server={"CPU": threads}, recorder={})
    return needs_of(with_devices(config)[0])


def cpus_for_sweep(sweep: Sweep, tried: Iterable[Settings]) -> float:
    """Returns the logical CPUs of a Ray started for a sweep: enough for `concurrent` of its largest trials.

    By default, as many trials as fit on the cores, and at least one, whose actors then share them.
    """
    largest: float = max(needs_of_trial(sweep.config_of(settings)).total["CPU"] for settings in tried)
    return sweep.concurrent * largest if sweep.concurrent else max(os.cpu_count() or 1, largest)


def wait_until_trials_fit(
    sweep: Sweep, tried: Iterable[Settings], may_grow: bool, tell: Tell, ask: Ask = directly
) -> None:
    """Raise if the cluster cannot hold a trial, now or with nodes that may still come.

    Raises:
        InputError: a trial does not fit; names its settings and what is missing.
        RunError: the cluster has ended.
    """
    for settings in tried:
        config = sweep.config_of(settings)
        try:
            wait_for_group(needs_of_trial(config), config.engine.nodes_timeout_s if may_grow else 0.0, tell, ask)
        except InputError as problem:
            given = ", ".join(f"{key}={shown_value(value)}" for key, value in settings.items())
            raise InputError(f"space: a trial with {given} does not fit: {problem}", code="resources") from problem

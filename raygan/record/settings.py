"""The config keys that a run's numbers depend on, which must not change when it is resumed."""

from collections.abc import Mapping
from typing import Any

from raygan.config import Config
from raygan.errors import InputError

FlatConfig = Mapping[str, Any]
"""Keys of a config by their whole dotted paths, with plain values."""

_FREE = ("rounds", "checkpoint", "eval", "engine", "track")  # may differ when a run is resumed ...
_BOUND = {  # ... but these change numbers (what a policy leaves out ends a run under another, so they may differ)
    "engine.threads_per_device",
    "engine.stacked",
    "engine.server_threads",
    "engine.gpus_per_device",
    "engine.server_gpus",
}
_MOVABLE = {"data.root"}  # where the data lies; what it is, its digest tells
_STEPS = ("device_optimizer.lr_steps", "generator_optimizer.lr_steps")


def lasting(config: Config) -> FlatConfig:
    """Returns the keys that a run's numbers depend on, which must not change when it is resumed."""
    flat = flatten(config.model_dump(mode="json"))
    bound = {key: value for key, value in flat.items() if key in _BOUND or key.split(".")[0] not in _FREE}
    return {key: value for key, value in bound.items() if key not in _MOVABLE}


def check_same_run(before: FlatConfig, config: Config, played: int) -> None:
    """Raise if a config would change the numbers of a resumed run; `before` are the `lasting` keys of the run.

    Learning rates after the round `played`, the last one that is kept, may differ.

    Raises:
        InputError: names the keys that differ.
    """
    then, now = _in_force(before, played), _in_force(lasting(config), played)
    differ = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    if differ:
        changes = ", ".join(f"{key} ({then.get(key)} before, {now.get(key)} now)" for key in differ)
        raise InputError(
            f"--resume: the run was started with other values of {changes}; put them back, in config.yaml too, or "
            "start a new run for them",
            code="conflict",
        )


def _in_force(settings: FlatConfig, played: int) -> FlatConfig:
    """Returns the settings with the rates in force up to a round.

    A key that older checkpoints lack has its default: defaults of new keys leave numbers as they were.
    """
    settings = {**lasting(Config()), **{key: value for key, value in settings.items() if key not in _MOVABLE}}
    begun = {key: [step for step in settings.get(key, []) if step["round"] <= played] for key in _STEPS}
    return {**settings, **begun}


def flatten(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Returns the values of nested sections by their whole dotted paths."""
    flat: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat

"""Loading and checking of sweeps from a YAML file and `key=value` words. Starts nothing."""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raygan.config.gan import CHANGING
from raygan.config.load import checked, merge
from raygan.config.running import Eval
from raygan.config.source import Tree, dump, parse_word, read
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.measures import measured
from raygan.sweep.ranges import NumberRange, Settings
from raygan.sweep.space import Alternatives, GridSearch, Space, corners, domains, points
from raygan.sweep.spec import Asha, Optuna, Pb2, Pbt, Random, Sweep, rungs

SWEEP = "sweep.yaml"
"""The file in a sweep's folder with the sweep itself."""
_MOST_CORNERS = 1000


def load_sweep(source: str | Path, words: Iterable[str] = ()) -> Sweep:
    """Load a sweep file. `key=value` words set its keys, or else a config key of all trials.

    Raises:
        InputError: the file cannot be read, or the sweep cannot be run; names the key.
    """
    return _load(Path(source), words, begun=False)


def _load(source: Path, words: Iterable[str], begun: bool) -> Sweep:
    """Load a sweep. `begun`: the file is from a sweep's folder, where the base's keys are merged into the config."""
    if not source.is_file():
        raise InputError(f"{source}: no such sweep file", code="missing")
    tree = read(str(source))
    own: Tree = {}
    config: Tree = {}
    for word in words:
        parsed = parse_word(word)
        if next(iter(parsed)) in Sweep.model_fields:
            own = _laid_over(own, parsed)
        else:
            config = merge(config, parsed, Config)
    try:
        sweep = checked(_laid_over(tree, own), Sweep)
        if not begun:
            _check_set_once(sweep, sweep.config, "config")
        _check_set_once(sweep, config, "a word")
        based = sweep.on_its_own(source.parent, config)
        check_sweep(based)
    except InputError as error:
        raise InputError(f"{source}: {error}", code=error.code, key=error.key) from error
    return based


def reload_sweep(folder: Path, words: Iterable[str] = ()) -> Sweep:
    """Returns the sweep that was started in a folder; raises as `load_sweep`."""
    if not (folder / SWEEP).is_file():
        raise InputError(f"{folder}: not a sweep's folder (it has no {SWEEP})", code="missing")
    return _load(folder / SWEEP, words, begun=True)


def dump_sweep(sweep: Sweep) -> str:
    """Returns a sweep as YAML, which `load_sweep` reads back to an equal one."""
    return dump(sweep.model_dump(mode="json"))


def check_sweep(sweep: Sweep) -> None:
    """Raise if a sweep cannot be run.

    Raises:
        InputError: names the key.
    """
    plain = sweep.config_of({})
    _check_apart(sweep.space, ())
    for key, _ in domains(sweep.space):
        _check_key(key)
    for settings in tried_out(sweep):
        try:
            config = sweep.config_of(settings)
        except InputError as error:
            raise InputError(f"space: {error}", code=error.code) from error
        if (metric := sweep.quality) not in measured(config):
            raise InputError(f"metric: {metric} is not measured with {_measuring(config)}", code="unknown")
    _check_search(sweep)
    _check_scheduler(sweep, plain)


def _measuring(config: Config) -> str:
    """Returns the keys that determine the measures, and the measures."""
    keys = f"data.name={config.data.name}"
    if config.eval.metrics != Eval().metrics:
        keys += f" and eval.metrics=[{', '.join(config.eval.metrics)}]"
    return f"{keys}; {', '.join(measured(config)) or 'nothing is'}"


def listed(sweep: Sweep) -> list[Settings]:
    """Returns the points of a random or grid search, each with every seed in turn."""
    found = points(sweep.space, sweep.samples, sweep.search.seed)
    return [{**point, **seed} for point in found for seed in seeds_of(sweep)]


def seeds_of(sweep: Sweep) -> list[dict[str, int]]:
    """Returns the seeds of each point."""
    return [{"seed": seed} for seed in sweep.seeds] or [{}]


def tried_out(sweep: Sweep) -> list[Settings]:
    """Returns representative settings to check: the points, if they are known, or the corners of the space."""
    if isinstance(sweep.search, Random) and not isinstance(sweep.scheduler, Pbt | Pb2):
        return listed(sweep)
    return corners(sweep.space, _MOST_CORNERS)


def _laid_over(below: Tree, above: Tree) -> Tree:
    """Merge a sweep's keys over others. A section with another `name` starts fresh; a space is replaced whole."""
    merged = dict(below)
    for key, value in above.items():
        old: Any = merged.get(key)
        if key == "config":
            merged[key] = merge(old or {}, value, Config)
        elif key != "space" and isinstance(old, dict) and isinstance(value, dict):
            same = value.get("name", old.get("name")) == old.get("name")
            merged[key] = {**old, **value} if same else value
        else:
            merged[key] = value
    return merged


def _check_set_once(sweep: Sweep, tree: Tree, by: str) -> None:
    """Raise if a key is both set and varied for all trials; a key varied for some trials may be set for the others."""
    for key in _paths(tree):
        for varied in sweep.space:
            if _overlap(key, varied):
                raise InputError(
                    f"{key}: is set by {by}, but space varies {varied}; take one of them out", code="twice"
                )


def _paths(tree: Tree) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from (f"{key}.{below}" for below in _paths(value))
        else:
            yield key


def _check_apart(space: Space, above: tuple[str, ...]) -> None:
    """Raise if two keys would set the same value; below different options of a choice, keys may be equal."""
    for number, key in enumerate(space):
        for other in (*above, *list(space)[:number]):
            if _overlap(key, other):
                raise InputError(f"space: {other} and {key} set the same; vary one of them", code="twice")
    for domain in space.values():
        if isinstance(domain, Alternatives):
            for _, below in domain.options:
                _check_apart(below, (*above, *space))


def _overlap(one: str, other: str) -> bool:
    """Returns whether one key is the other, or a section that contains it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _check_key(key: str) -> None:
    if key.split(".")[0] == "checkpoint":
        raise InputError(
            f"space: {key} is not to be varied: a trial saves its state at every evaluation", code="conflict"
        )
    if key == "engine.address":
        raise InputError(
            "space: engine.address is not to be varied: all trials are played on one cluster", code="conflict"
        )


def _check_search(sweep: Sweep) -> None:
    grids = [key for key, domain in domains(sweep.space) if isinstance(domain, GridSearch)]
    if isinstance(sweep.search, Optuna):
        if grids:
            raise InputError(
                f"space.{grids[0]}: grid_search is for search.name=random; optuna takes choice", code="conflict"
            )
        _check_installed("optuna", "search.name: optuna", "raygan[optuna]")
    elif sweep.samples > 1 and len(grids) == len(list(domains(sweep.space))):
        raise InputError(
            f"samples: {sweep.samples}, but space is a grid, where nothing is drawn; to repeat it, give it seeds",
            code="conflict",
        )


def _check_installed(module: str, what: str, package: str) -> None:
    if find_spec(module) is None:
        raise InputError(f"{what} is not installed; install it with: pip install '{package}'", code="package")


def _check_scheduler(sweep: Sweep, plain: Config) -> None:
    scheduler = sweep.scheduler
    if isinstance(scheduler, Asha):
        if scheduler.time_attr != "round" and None in (scheduler.grace_period, scheduler.max_t):
            raise InputError(
                f"scheduler: grace_period and max_t must be set for scheduler.time_attr={scheduler.time_attr}",
                code="missing",
            )
        first, last = rungs(scheduler, plain)
        if first > last:
            raise InputError(
                f"scheduler.grace_period: the first rung, at {first:g}, lies behind the last, at {last:g}",
                code="conflict",
            )
    if isinstance(scheduler, Pb2):
        _check_installed("sklearn", "scheduler.name: pb2 needs scikit-learn, which", "scikit-learn")
    if isinstance(scheduler, Pbt | Pb2):
        _check_population(sweep, scheduler, plain)


def _check_population(sweep: Sweep, scheduler: Pbt | Pb2, plain: Config) -> None:
    name = scheduler.name
    for key, domain in sweep.space.items():
        if key not in CHANGING:
            raise InputError(
                f"space: {key} cannot change in mid-run, which {name} would do; {', '.join(CHANGING)} can",
                code="conflict",
            )
        if isinstance(scheduler, Pb2) and not isinstance(domain, NumberRange):
            raise InputError(f"space.{key}: pb2 needs a range, such as uniform or loguniform", code="value")
        section = key.split(".")[0]
        if getattr(plain, section).lr_steps:
            raise InputError(
                f"{section}.lr_steps: the rate would change at rounds of its own, and {name} changes it; take one out",
                code="conflict",
            )
    if sweep.seeds or isinstance(sweep.search, Optuna):
        raise InputError(
            f"scheduler.name: {name} makes one population of all trials: no seeds, and search.name=random",
            code="conflict",
        )
    if sweep.samples < 2:
        raise InputError(f"samples: {name} needs a population of at least 2, got {sweep.samples}", code="value")
    every = scheduler.perturbation_interval
    if every is not None and every % plain.eval.every:
        raise InputError(
            f"scheduler.perturbation_interval: {every} is not a multiple of eval.every={plain.eval.every}",
            code="conflict",
        )

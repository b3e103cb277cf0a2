"""The keys of a sweep file, typed as strictly as those of a config."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, Tag, model_validator

from raygan.components import UnknownNameError, nearest
from raygan.config import preset_names
from raygan.config.load import check_config, merge
from raygan.config.section import Count, Positive, Section, Seed, named
from raygan.config.source import Tree, read
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.measures import LOWER, MEASURES
from raygan.sweep.metrics import COSTS
from raygan.sweep.ranges import Settings
from raygan.sweep.space import Space, domains, tree_of

NO_KEYS: Tree = {}


class Fifo(Section):
    """Every trial runs to its end."""

    name: Literal["fifo"] = "fifo"


class Asha(Section):
    """Asynchronous successive halving (arXiv 1810.05934): trials that are worse than others at a rung stop there."""

    name: Literal["asha"] = "asha"
    grace_period: Positive | None = None
    """First rung (in `time_attr`; null: the first evaluation)."""
    reduction_factor: Annotated[float, Field(gt=1)] = 3.0
    """One in so many trials continues at a rung, and each rung is so many times as far as the one before."""
    time_attr: Literal["round", "sim_s", "megabytes"] = "round"
    """Unit of the rungs: rounds, simulated seconds or MB sent."""
    max_t: Positive | None = None
    """Upper bound of the rungs (in `time_attr`; null: the config's `rounds`)."""


class Pbt(Section):
    """Population-based training (arXiv 1711.09846): the worst members continue from copies of the best, with other
    learning rates."""

    name: Literal["pbt"] = "pbt"
    perturbation_interval: Count | None = None
    """How often a trial is compared with the population (rounds; null: at every evaluation)."""
    quantile_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """Share of the worst members, which continue from the best."""
    resample_probability: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Probability that a value is redrawn instead of moved by a fifth."""


class Pb2(Section):
    """Population-based bandits (arXiv 2002.02518): as `pbt`, with new rates chosen by a Gaussian process."""

    name: Literal["pb2"] = "pb2"
    perturbation_interval: Count | None = None
    """How often a trial is compared with the population (rounds; null: at every evaluation)."""
    quantile_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """Share of the worst members, which continue from the best."""


class Random(Section):
    """Random values, with every combination of the keys that are searched as a grid."""

    name: Literal["random"] = "random"
    seed: Seed = 0
    """Seed of the draws."""


class Optuna(Section):
    """Optuna's tree-structured Parzen estimator, which learns from finished trials; needs the `optuna` extra."""

    name: Literal["optuna"] = "optuna"
    seed: Seed = 0
    """Seed of the sampler. The order in which trials finish affects later draws, so only sequential trials repeat."""
    startup: Count = 10
    """Points drawn at random before the sampler begins to learn."""


class Stop(Section):
    """Criteria that end a trial, or the whole sweep, early. They are checked after each evaluation."""

    value: float | None = None
    """End a trial whose metric is this good."""
    sim_s: Positive | None = None
    """End a trial after so much simulated time (simulated seconds)."""
    megabytes: Positive | None = None
    """End a trial after so much traffic (MB, up, down and between devices)."""
    hours: Positive | None = None
    """End the whole sweep, as Ctrl-C does (hours since it was started or resumed)."""


_Schedulers = (
    Annotated[Fifo, Tag("<fifo>")]
    | Annotated[Asha, Tag("<asha>")]
    | Annotated[Pbt, Tag("<pbt>")]
    | Annotated[Pb2, Tag("<pb2>")]
)
Scheduler = Annotated[_Schedulers, Field(discriminator=named("fifo", _Schedulers))]
_Searches = Annotated[Random, Tag("<random>")] | Annotated[Optuna, Tag("<optuna>")]
Search = Annotated[_Searches, Field(discriminator=named("random", _Searches))]


class Sweep(Section):
    """A whole sweep."""

    question: str = ""
    """The question of the sweep; it heads the report."""
    base: str | None = None
    """The preset or config file that all trials start from (a file's path is relative to the sweep file; in Python, to
    the working folder)."""
    config: dict[str, Any] = NO_KEYS
    """Config keys over those of `base`."""
    space: Space
    """The varied config keys by their dotted paths, each with a domain."""
    metric: str = "fd_clf"
    """Ranking criterion of trials: a metric at the last evaluation; or `rounds_to_target`, `megabytes_to_target` or
    `sim_s_to_target`, the cost of falling to `target`."""
    mode: Literal["min", "max"] = "min"
    """Whether lower or higher is better."""
    target: dict[str, float] | None = None
    """For `..._to_target`: the metric and its value, as {fd_clf: 40}. A trial stops when it reaches the value."""
    samples: Count = 1
    """Number of random draws (points; multiplied by the combinations of the grids)."""
    seeds: tuple[Seed, ...] = ()
    """Each point is run once with each seed, and ranked by the mean (none: the config's seed)."""
    scheduler: Scheduler = Fifo()
    """Scheduler: which trials stop early, or continue from another trial's state."""
    search: Search = Random()
    """Source of the points."""
    stop: Stop = Stop()
    """Criteria that end trials early."""
    concurrent: Count | None = None
    """Maximum number of concurrent trials (null: as many as fit on the cores, or on the joined cluster). A Ray that is
    started here has as many logical CPUs as they need."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.space:
            raise ValueError("space: is empty; give at least one config key a domain")
        known = [*MEASURES, *COSTS]
        if self.metric not in known:
            raise UnknownNameError(f"metric: {self.metric} is not known; known: {', '.join(known)}")
        if MEASURES.get(self.metric) == "max" and "mode" not in self.model_fields_set:
            raise ValueError(f"mode: more of {self.metric} is better; say mode: max (or min, to rank the worst first)")
        if (self.metric in COSTS) != (self.target is not None):
            raise ValueError(f"target: is for metric {', '.join(COSTS)}, as {{fd_clf: 40}}; and they need it")
        if self.target is not None and (len(self.target) != 1 or next(iter(self.target)) not in LOWER):
            raise ValueError(f"target: one of {', '.join(LOWER)} and its value is needed, as {{fd_clf: 40}}")
        if self.metric in COSTS and not (self.mode == "min" and isinstance(self.scheduler, Fifo)):
            raise ValueError(f"metric: {self.metric} is known when it is over; use mode min and scheduler.name=fifo")
        if self.seeds and any(key == "seed" for key, _ in domains(self.space)):
            raise ValueError("seeds: the space varies seed already; take it out of one of them")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: each once, got {list(self.seeds)}")
        return self

    @property
    def quality(self) -> str:
        """The metric whose curves are drawn."""
        return next(iter(self.target)) if self.target is not None else self.metric

    def tree(self, folder: Path = Path()) -> Tree:
        """Returns the config keys of all trials: `config` over those of `base` (a path is relative to `folder`).

        Raises:
            InputError: `base` cannot be read.
        """
        return merge({} if self.base is None else _read_base(self.base, folder), self.config, Config)

    def on_its_own(self, folder: Path = Path(), words: Tree = NO_KEYS) -> Self:
        """Returns the same sweep with the keys of `base` merged into `config`, below `words`: it needs no other file.

        Raises:
            InputError: `base` cannot be read.
        """
        return self.model_copy(update={"base": None, "config": merge(self.tree(folder), words, Config)})

    def config_of(self, settings: Settings) -> Config:
        """Returns the config of a trial: it uses the Ray it runs on, and saves its state at every evaluation.

        Raises:
            InputError: a setting is not a config key, or its value is invalid.
        """
        tree: Tree = merge(self.tree(), tree_of(settings), Config)
        config = check_config(tree)
        given = {"checkpoint": {"every": config.eval.every}, "engine": {"address": None}}
        return check_config(merge(tree, given, Config))

    @property
    def address(self) -> str | None:
        """The cluster that the sweep runs on, from `engine.address`."""
        return check_config(self.tree()).engine.address


def _read_base(base: str, folder: Path) -> Tree:
    if base in preset_names():
        return read(base)
    path = folder / base
    if not (path.suffix or path.exists()):
        raise InputError(
            f"base: {path} is not there, and {base} is no preset; {nearest(base, preset_names())}", code="unknown"
        )
    return read(str(path))


def rungs(asked: Asha, plain: Config) -> tuple[float, float]:
    """Returns ASHA's first rung, and the upper bound of its last."""
    return asked.grace_period or plain.eval.every, asked.max_t or plain.rounds

"""`raygan plan`: the sizes of a run, its placement, and whether it fits. Starts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from raygan.cluster.joining import refuse_ray_client
from raygan.cluster.site import find
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.plan.described import described_site
from raygan.plan.fits import granted_to_actors, problems
from raygan.plan.found import site_of
from raygan.plan.places import place
from raygan.plan.prices import cost_lines, prices_of
from raygan.plan.sizes import make_plan
from raygan.plan.text import describe_places, describe_plan
from raygan.plan.unread import unread
from raygan.plan.words import PlanLine
from raygan.privacy.accountant import over_budget


@dataclass(frozen=True)
class Given:
    """What is said of data and money beside the config."""

    shape: str | None = None
    """The shape of a sample, if the data is not there."""
    samples: int | None = None
    """The number of samples, likewise."""
    prices: Sequence[str] = ()
    """What a node costs an hour, as KIND=NUMBER."""
    round_s: float | None = None
    """What a round takes in reality (seconds)."""


def plan_of(config: Config, specs: Sequence[str], given: Given = Given()) -> tuple[list[PlanLine], str | None]:
    """Plan a run on the described nodes, or on those it would use; returns the lines to print, and why it does not fit.

    Raises:
        InputError: the config, the data, a description or a price is wrong, or there is no cluster at `engine.address`.
    """
    if specs and config.engine.executor == "inline":
        raise InputError("--nodes: engine.executor=inline plays a run in one process; leave --nodes out, or that")
    if given.prices and config.engine.executor == "inline":
        raise InputError("--price: engine.executor=inline plays a run in one process; leave --price out, or that")
    if (given.shape is None) != (given.samples is None):
        raise InputError("--shape: it and --samples need each other, such as --shape 3x64x64 --samples 50000")
    if given.round_s is not None and not given.prices:
        raise InputError("--round-s: it is for the cost of a run; give the price of nodes, too (--price A10G=1.2)")
    prices = prices_of(given.prices)
    if config.engine.executor == "ray":
        refuse_ray_client(config.engine.address)
    described = described_site(specs) if specs else None
    images = unread(given.shape, given.samples, config) if given.shape and given.samples is not None else None
    plan = make_plan(config, images)
    spent = over_budget(plan.config, plan.accountant) if plan.accountant is not None else None
    if not plan.on_ray:
        return describe_plan(plan), spent
    places = place(plan, described or site_of(find(plan.config)))
    granted = granted_to_actors(plan, places.nodes)
    lines = [*describe_plan(plan, granted), *describe_places(plan, places)]
    if places.layout is not None:
        lines += cost_lines(places.site.machines, prices, plan.config.rounds, given.round_s)
    return lines, "; ".join([*([spent] if spent else []), *problems(plan, places)]) or None

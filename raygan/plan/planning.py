"""`raygan plan`: the sizes of a run, its placement, and whether it fits. Starts nothing."""

from collections.abc import Sequence

from raygan.cluster.joining import refuse_ray_client
from raygan.cluster.site import find
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.plan.described import described_site
from raygan.plan.fits import problems
from raygan.plan.found import site_of
from raygan.plan.places import place
from raygan.plan.sizes import make_plan
from raygan.plan.text import PlanLine, describe_places, describe_plan


def plan_of(config: Config, specs: Sequence[str]) -> tuple[list[PlanLine], str | None]:
    """Plan a run on the described nodes, or on those it would use; returns the lines to print, and why it does not fit.

    Raises:
        InputError: the config, the data or a description is wrong, or there is no cluster at `engine.address`.
    """
    if specs and config.engine.executor == "inline":
        raise InputError("--nodes: engine.executor=inline plays a run in one process; leave --nodes out, or that")
    if config.engine.executor == "ray":
        refuse_ray_client(config.engine.address)
    described = described_site(specs) if specs else None
    plan = make_plan(config)
    if not plan.on_ray:
        return describe_plan(plan), None
    places = place(plan, described or site_of(find(plan.config)))
    lines = [*describe_plan(plan), *describe_places(plan, places)]
    return lines, "; ".join(problems(plan, places)) or None

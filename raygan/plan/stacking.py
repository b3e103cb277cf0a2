"""The line of a plan about devices that update together (`engine.stacked`): how many there are, and how many fit."""

from raygan.plan.sizes import Plan
from raygan.plan.words import PlanLine, size
from raygan.round.lanes import most_together, told_of_stacking

GIGABYTE = 1e9


def stacking(plan: Plan, granted: float | None) -> list[PlanLine]:
    """Returns the line, or none: devices neither update together, nor could they on a GPU.

    `granted` is the GPU memory that an actor may take for tensors (bytes), None if it is unknown or there is no GPU.
    """
    if reason := told_of_stacking(plan.config, plan.shape):
        return [("stacking", reason)]
    sizes, asked = plan.footprint, plan.config.engine.stacked
    if sizes.each is None:
        return []
    now = "one device at a time"
    if asked > 1:
        now = f"{most_together(plan.config)} devices at a time, about {size(sizes.device.most)} of tensors"
    if granted is None:
        share, most = "a gigabyte", int(GIGABYTE / _each(plan))
        enough = f"is enough for {most:,}"
    else:
        share, most = f"the {size(granted)} of an actor's share of a GPU", most_on_gpu(plan, granted)
        enough = f"are enough for {f'all {plan.devices:,}' if most >= plan.devices else f'about {most:,}'}"
    keys = "engine.stacked" if plan.config.engine.stacked > 1 else "engine.stacked, engine.devices_per_actor"
    return [("stacking", f"{now}; {share} {enough} ({keys})")]


def most_on_gpu(plan: Plan, granted: float) -> int:
    """Returns how many devices may update at a time in so much memory (bytes), which has their actor's samples, too."""
    samples, together = plan.footprint.samples, min(plan.config.engine.devices_per_actor, plan.devices)
    beside = int((granted - samples) / _each(plan))
    if beside <= together:
        return max(1, beside)
    return max(together, int(granted / (_each(plan) + samples / together)))  # a larger actor, with more samples


def _each(plan: Plan) -> float:
    """Returns the tensors of each of several devices that update at a time (bytes)."""
    each = plan.footprint.each
    assert each is not None
    return each.most + each.passing * (plan.footprint.graphs and plan.config.engine.gpus_per_device > 0)

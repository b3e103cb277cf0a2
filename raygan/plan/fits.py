"""Checks whether a planned run fits the resources, without Ray."""

from collections.abc import Iterable, Iterator

from raygan.plan.footprint import CUDA_CONTEXT
from raygan.plan.places import NodePlan, Places
from raygan.plan.sizes import Plan


def problems(plan: Plan, places: Places) -> list[str]:
    """Returns why the run does not fit: a line for each resource that is short, about the worst node."""
    if places.shortage is not None:
        return [places.shortage]
    nodes = places.nodes
    return [*_memory(nodes), *_store(nodes), *_shares(plan, nodes), *_gpus(plan, nodes)]


def _memory(nodes: list[NodePlan]) -> Iterator[str]:
    worst = max(nodes, key=lambda node: node.memory - node.machine.memory)
    if worst.memory > worst.machine.memory:
        yield (
            f"engine: {worst.machine.node.name} would need about {worst.memory / 1e9:.1f} GB of memory, but has "
            f"{worst.machine.memory / 1e9:.1f} GB to give; raise engine.devices_per_actor (fewer processes), or take "
            "more or larger nodes"
        )


def _store(nodes: list[NodePlan]) -> Iterator[str]:
    worst = max(nodes, key=lambda node: node.stored - node.machine.store)
    if worst.stored > worst.machine.store:
        yield (
            f"engine: {worst.machine.node.name} would need about {worst.stored / 1e9:.2g} GB of object store, but has "
            f"{worst.machine.store / 1e9:.2g} GB; start Ray there with more (--object-store-memory), or lower "
            "data.limit or devices"
        )


def _shares(plan: Plan, nodes: list[NodePlan]) -> Iterator[str]:
    """Check GPU shares: the allocator of a process is limited to its share (`raygan.round.compute.torch_device`)."""
    engine, sizes = plan.config.engine, plan.footprint
    for key, share, tensors, there in (
        ("engine.gpus_per_device", engine.gpus_per_device, sizes.device_on_gpu, [one for one in nodes if one.workers]),
        ("engine.server_gpus", engine.server_gpus, sizes.server_on_gpu, [one for one in nodes if one.server]),
    ):
        known = [one.machine.gpu_memory for one in there if one.machine.gpu_memory is not None]
        if share and known and tensors > share * min(known):
            yield (
                f"{key}={share:g}: that is {share * min(known) / 1e9:.2g} GB of a GPU with {min(known) / 1e9:.3g} GB, "
                f"but about {tensors / 1e9:.2g} GB of tensors would be there; raise the share, or lower batch_size"
            )


def granted_to_actors(plan: Plan, nodes: Iterable[NodePlan]) -> float | None:
    """Returns what each device actor may take of the smallest GPU for tensors (bytes); None if that is unknown."""
    known = [one.machine.gpu_memory for one in nodes if one.workers and one.machine.gpu_memory is not None]
    share = plan.config.engine.gpus_per_device
    return share * min(known) if share and known else None


def _gpus(plan: Plan, nodes: list[NodePlan]) -> Iterator[str]:
    uses = [
        (use.memory(plan.footprint), node.machine.gpu_memory, use, node.machine.node.name)
        for node in nodes
        for use in node.gpus
        if node.machine.gpu_memory is not None
    ]
    if not uses:
        return
    taken, there, use, name = max(uses, key=lambda one: one[0] - one[1])
    if taken > there:
        yield (
            f"engine: the {use.actors} actors on one GPU of {name} would take about {taken / 1e9:.1f} GB of it, "
            f"{CUDA_CONTEXT / 1e9:.2g} GB each before any tensor, but it has {there / 1e9:.3g} GB; raise "
            "engine.gpus_per_device (fewer on each), or engine.devices_per_actor"
        )

"""The text of a plan: lines of (name, amount) for a person."""

import math
from collections.abc import Sequence
from statistics import fmean

from raygan.channel.stages import Stages
from raygan.cluster.capacity import fits
from raygan.cluster.layout import spread_of
from raygan.config.aggregation import secagg_of
from raygan.plan.fits import granted_to_actors
from raygan.plan.footprint import CUDA_CONTEXT, RAY
from raygan.plan.gpu_use import GpuUse
from raygan.plan.machines import Machine, Site
from raygan.plan.memory import process_memory, states, total_memory, worker_memory
from raygan.plan.network import worker_devices
from raygan.plan.places import NodePlan, Places
from raygan.plan.sizes import Plan
from raygan.plan.stacking import stacking
from raygan.plan.unread import CLASSES
from raygan.plan.words import PlanLine, size
from raygan.privacy.accountant import in_words
from raygan.round.checks import method_of


def describe_plan(plan: Plan, granted: float | None = None) -> list[PlanLine]:
    """Returns the lines about the sizes of a run. `granted`: what an actor may take of its GPU for tensors (bytes)."""
    config = plan.config
    low, middle, high = plan.shard_sizes
    fewest, usual, most = plan.classes_per_device
    phases = ", ".join(f"{name} {seconds:.3g}" for name, seconds in plan.phases_s.items() if seconds)
    ways = {"down": plan.bytes_down, "up": plan.bytes_up, "between devices": plan.bytes_swap}
    traffic = ", ".join(f"{count / 1e6:.2f} MB {way}" for way, count in ways.items() if count) or "nothing"
    asynchronous = config.schedule == "asynchronous"
    schedule = f", {config.schedule} schedule" if method_of(config).scheduled or asynchronous else ""
    where, own = "inline, in one process", ""
    if plan.on_ray:
        own = f", beside Ray's own processes ({size(RAY)} a node)"
        each = config.engine.devices_per_actor
        packing = "one device each" if each == 1 else f"up to {each} devices each"
        total = plan.needs.total
        where = (
            f"{plan.needs.workers} device actors ({packing}), a server and a recorder; "
            f"{total['CPU']:g} CPU, {total.get('GPU', 0):g} GPU asked of Ray"
        )
    return [
        ("method", f"{config.method}{schedule}, {config.rounds} rounds"),
        ("data", _data(plan)),
        ("devices", f"{plan.devices}, each with {low} / {middle} / {high} samples (least / median / most)"),
        ("classes", f"{fewest} / {usual} / {most} per device (least / median / most)"),
        (
            "networks",
            f"generator {plan.generator_parameters:,}, discriminator {plan.discriminator_parameters:,} parameters",
        ),
        ("processes", where),
        ("memory", f"about {total_memory(plan) / 1e9:.1f} GB in all{own}"),
        *stacking(plan, granted),
        ("traffic", f"{traffic} per round (simulated)"),
        *_secure(plan),
        *_privacy(plan),
        ("time", f"{plan.round_s:.3g} s per round (simulated){': ' if phases else ''}{phases}"),
        *([("versions", _versions(plan))] if asynchronous else []),
    ]


def _secure(plan: Plan) -> list[PlanLine]:
    """Returns the line about secure aggregation, for the largest round that is simulated."""
    settings, most = secagg_of(plan.config), max(len(round.cohort) for round in plan.rounds)
    return [("secagg", Stages(settings).described(most))] if settings is not None and most else []


def _privacy(plan: Plan) -> list[PlanLine]:
    """Returns the line about a private run's epsilon."""
    if plan.accountant is None:
        return []
    return [("privacy", in_words(plan.accountant.after(plan.config.rounds), plan.config.rounds))]


def _versions(plan: Plan) -> str:
    settings, ages = plan.config.asynchronous, [round.ages for round in plan.rounds]
    mean, most = (pick(one[name] for one in ages) for pick, name in ((fmean, "staleness"), (max, "staleness_max")))
    return (
        f"a round is one of {_counted(settings.buffer, 'update')}, with {settings.running or plan.devices} devices at "
        f"once; an update is {mean:.3g} versions old on average, {most:g} at most"
    )


def _data(plan: Plan) -> str:
    if plan.unread:
        return f"not read: {plan.samples} samples of shape {plan.shape}, assumed to be of {CLASSES} equal classes"
    return f"{plan.config.data.name}: {plan.samples} samples of shape {plan.shape}"


def describe_places(plan: Plan, places: Places) -> list[PlanLine]:
    """Returns the lines about the placement; without a layout, those about the room on each node."""
    if places.layout is None or places.network is None:
        return [("where", places.site.name), *_rooms(plan, places)]
    waits = "; others hold too much of it now, so that the run would wait for them" if places.waits else ""
    site, wait = places.site, plan.config.engine.nodes_timeout_s
    new = f", and {site.added} that its autoscaler would start ({site.types}; up to {wait:g} s of waiting)"
    where = f"{site.name}{new if site.added else ''}; {plan.config.engine.placement}: {spread_of(places.layout)}{waits}"
    return [
        ("where", where),
        *_nodes(plan, places.nodes),
        *_idle_gpus(plan, places.site),
        *_actor(plan, places.nodes),
        ("network", _network(places)),
    ]


def _rooms(plan: Plan, places: Places) -> list[PlanLine]:
    room = [(_kind(one), fits(one.node.room, plan.needs.per_worker)) for one in places.site.machines]
    lines = []
    for kind, count in dict.fromkeys(room):
        equal = room.count((kind, count))
        each = " each" if equal > 1 else ""
        holds = f"room for {_counted(count, 'device actor')}{each}, no more" if count else "no room for a device actor"
        lines.append((_counted(equal, "node"), f"{kind}: {holds}"))
    return lines


def _nodes(plan: Plan, nodes: Sequence[NodePlan]) -> list[PlanLine]:
    """Returns the lines about nodes, with equal nodes combined."""
    groups: dict[object, list[NodePlan]] = {}
    for node in nodes:
        key = (_kind(node.machine), node.machine.memory, node.workers, node.server, node.home, node.gpus)
        groups.setdefault(key, []).append(node)
    lines = []
    for equal in groups.values():
        node, more = equal[0], f" and {len(equal) - 1} more" if len(equal) > 1 else ""
        tenants = [
            name for name, here in (("driver", node.home), ("recorder", node.home), ("server", node.server)) if here
        ]
        if node.workers:
            tenants.append(f"{_counted(node.workers, 'device actor')}{' each' if more else ''}{_on_gpus(node.gpus)}")
        name = node.machine.node.name
        lines.append(
            (_counted(len(equal), "node"), f"{name}{more} ({_kind(node.machine)}): {', '.join(tenants) or '-'}")
        )
        fullest = max(equal, key=lambda one: one.memory)
        lines.append(("", _taken(plan, fullest)))
    return lines


def _idle_gpus(plan: Plan, site: Site) -> list[PlanLine]:
    if plan.needs.total.get("GPU", 0) or not any(one.node.room.get("GPU", 0) for one in site.machines):
        return []
    return [("GPUs", "none is used: engine.gpus_per_device and engine.server_gpus are 0")]


def _taken(plan: Plan, node: NodePlan) -> str:
    machine = node.machine
    parts = [f"memory {_of(node.memory, machine.memory)}", f"object store {_of(node.stored, machine.store)}"]
    if any(use.actors for use in node.gpus):
        fullest = max(use.memory(plan.footprint) for use in node.gpus)
        parts.append(f"the fullest GPU {_of(fullest, machine.gpu_memory)}")
    return f"about: {', '.join(parts)}"


def _on_gpus(gpus: Sequence[GpuUse]) -> str:
    """Returns how the device actors are spread over a node's GPUs."""
    each = [gpu.workers for gpu in gpus]
    if not any(each):
        return ""
    if len(each) == 1:
        return f", {each[0]} on its GPU"
    if len(set(each)) == 1:
        return f", {each[0]} on each of {len(each)} GPUs"
    return f", {' + '.join(map(str, each))} on its {len(each)} GPUs"


def _actor(plan: Plan, nodes: Sequence[NodePlan]) -> list[PlanLine]:
    """Returns what the largest device actor takes."""
    devices, sizes, share = worker_devices(plan.config, 0), plan.footprint, plan.config.engine.gpus_per_device
    tensors = f"networks and optimisers {size(sizes.device.kept)}, a step {size(sizes.device.passing)}"
    state = f"what its devices remember {size(states(plan, devices))}"
    process = f"process {size(process_memory(plan))}"
    inside = f"{process}, {state}" if share else f"{process}, {tensors}, {state}"
    samples = f"its samples, {size(float(sizes.samples))}, are in the object store"
    lines = [("an actor", f"about {size(worker_memory(plan, devices))}: {inside}; {samples}")]
    if share:
        granted = granted_to_actors(plan, nodes)
        grants = f"; its share, {share:g}, grants {size(granted)} for tensors" if granted else ""
        replayed = " and as much for its graph" if sizes.graphs else ""
        there = f"{tensors}{replayed}, samples {size(float(sizes.samples))}"
        lines.append(("on a GPU", f"about CUDA context {size(CUDA_CONTEXT)}, {there}{grants}"))
    return lines


def _network(places: Places) -> str:
    if len([node for node in places.nodes if node.workers or node.server or node.home]) == 1:
        return "nothing leaves the node"
    network = places.network
    assert network is not None
    ways = {"down": network.down, "up": network.up, "between device actors": network.swap}
    sent = ", ".join(f"{size(count)} {way}" for way, count in ways.items() if count)
    saved = size(network.checkpoint)
    return f"about {sent or 'nothing'} per round from node to node (real); {saved} to the driver's at a checkpoint"


def _kind(machine: Machine) -> str:
    room = machine.node.room
    gpus = room.get("GPU", 0)
    parts = [f"{gpus:g} x {machine.gpu or 'GPU'}" if gpus != 1 else machine.gpu or "GPU"] if gpus else []
    return ", ".join([*parts, f"{room.get('CPU', 0):g} CPU"])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _of(taken: float, there: float | None) -> str:
    return f"{size(taken)} of {'an unknown size' if there in (None, math.inf) else size(there)}"

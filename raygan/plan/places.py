"""The placement of a run, and the resources it takes on each node. Independent of Ray.

Memory is an estimate for the end of a run or its peak. `raygan.plan.footprint`, `raygan.plan.memory` and the code below
say where each part of it comes from.
"""

import math
from collections import Counter
from dataclasses import dataclass

from raygan.cluster.layout import Layout, choose, home_problem, lay_out
from raygan.cluster.routing import adds_up_on_nodes
from raygan.cluster.shortage import shortage
from raygan.plan.footprint import RAY
from raygan.plan.gpu_use import GpuUse, gpus_of
from raygan.plan.machines import Machine, Site
from raygan.plan.memory import (
    adding_up,
    driver_memory,
    recorder_memory,
    server_memory,
    shared_memory,
    states,
    under_way,
    worker_memory,
)
from raygan.plan.network import Network, messages_of, network_of, worker_devices
from raygan.plan.sizes import Plan

STORED_ROUNDS = 2
"""Rounds whose messages a store may hold: the current one, and the one before, which is not freed yet."""


@dataclass(frozen=True)
class NodePlan:
    """The plan of one node."""

    machine: Machine
    workers: int
    server: bool
    home: bool
    """Whether the driver and the recorder are here."""
    private: float
    """Memory of its processes, including Ray's own (bytes, about)."""
    stored: float
    """Peak of its object store (bytes, about)."""
    gpus: tuple[GpuUse, ...]

    @property
    def memory(self) -> float:
        """The total memory (bytes, about), with the object store, which is shared memory."""
        return self.private + self.stored


@dataclass(frozen=True)
class Places:
    """The placement of every process."""

    site: Site
    shortage: str | None
    """Why there is no layout; the other fields are then empty."""
    layout: Layout | None
    waits: bool
    """Whether it fits, but other runs hold too many resources now."""
    nodes: list[NodePlan]
    network: Network | None


def place(plan: Plan, site: Site) -> Places:
    """Place a run as the engine will."""
    needs, engine = plan.needs, plan.config.engine
    site, problem = _grown(plan, site)
    if problem:
        if (
            site.may_grow
            and not site.coming
            and engine.nodes_timeout_s
            and not home_problem(needs, site.nodes, site.home)
        ):
            problem += f" (the run would wait {engine.nodes_timeout_s:g} s for more nodes, engine.nodes_timeout_s)"
        return Places(site, problem, None, False, [], None)
    at_once = choose(needs, site.nodes, site.free, engine.placement, site.home, math.inf)
    layout = at_once or lay_out(needs, site.nodes, engine.placement, site.home)
    assert layout is not None  # otherwise there is a shortage
    network = network_of(plan.config, plan.footprint, plan.rounds, layout, site.home)
    return Places(site, None, layout, at_once is None, _nodes(plan, site, layout), network)


def _grown(plan: Plan, site: Site) -> tuple[Site, str | None]:
    """Returns the site with as many nodes added as the run needs, and why it does not fit even with all, or None."""
    needs = plan.needs
    problem = shortage(needs, site.nodes, site.home)
    if problem is None or not site.coming:
        return site, problem
    called = f"the cluster with all that its autoscaler may add ({site.types})"
    few, many = 0, len(site.coming)
    if problem := shortage(needs, site.with_added(many).nodes, site.home, called):
        return site, problem
    while many - few > 1:  # by halves
        middle = (few + many) // 2
        short = shortage(needs, site.with_added(middle).nodes, site.home)
        few, many = (middle, many) if short else (few, middle)
    return site.with_added(many), None


def _nodes(plan: Plan, site: Site, layout: Layout) -> list[NodePlan]:
    workers: dict[str, list[int]] = {machine.node.id: [] for machine in site.machines}
    for worker, node in enumerate(layout.workers):
        workers[node.id].append(worker)
    up = _messages_stored(plan, layout)
    return [
        _node(plan, machine, workers[machine.node.id], layout.server.id, site.home, up[machine.node.id])
        for machine in site.machines
    ]


def _node(plan: Plan, machine: Machine, workers: list[int], server_id: str, home_id: str, up: int) -> NodePlan:
    server, home = machine.node.id == server_id, machine.node.id == home_id
    count = int(machine.node.room.get("GPU", 0))
    gpus = gpus_of(plan.needs, count, workers=len(workers), server=server, recorder=home)
    return NodePlan(
        machine,
        workers=len(workers),
        server=server,
        home=home,
        private=_private(plan, workers, server, home),
        stored=_stored(plan, workers, server, home, up),
        gpus=tuple(gpus),
    )


def _private(plan: Plan, workers: list[int], server: bool, home: bool) -> float:
    sizes = Counter(worker_devices(plan.config, worker) for worker in workers)
    total = RAY + (shared_memory(plan) if workers or server or home else 0.0)
    total += sum(count * worker_memory(plan, devices) for devices, count in sizes.items())
    if server:
        total += server_memory(plan)
    elif len(workers) > 1 and adds_up_on_nodes(plan.config) and plan.footprint.adds_up:
        total += adding_up(plan, sum(sizes.elements()))
    return total + (driver_memory(plan) + recorder_memory(plan) if home else 0)


def _stored(plan: Plan, workers: list[int], server: bool, home: bool, up: int) -> float:
    """Returns the content of the object store: samples, messages down and up, and the parts of a checkpoint."""
    footprint = plan.footprint
    samples = float(plan.worker_samples[workers].sum())
    devices = sum(worker_devices(plan.config, worker) for worker in workers)
    if home:  # all samples are put here first; the recorder has a second copy, in the original order
        samples, devices = 2.0 * plan.image_bytes, plan.devices
    flying, versions = under_way(plan)
    down = footprint.down * (STORED_ROUNDS + versions) if workers or server else 0
    ahead = footprint.message * min(flying, sum(worker_devices(plan.config, worker) for worker in workers))
    saved = states(plan, devices) + (footprint.server_state if home or server else 0)
    return samples + down + up + ahead + saved


def _messages_stored(plan: Plan, layout: Layout) -> Counter[str]:
    """Returns the messages up by node (bytes): on the sender's node, and on the server's."""
    fullest = max(plan.rounds, key=lambda round: len(round.devices))
    stored: Counter[str] = Counter()
    for message in messages_of(plan.config, plan.footprint, fullest.devices, layout):
        stored[message.node] += (message.size + message.summands) * STORED_ROUNDS
        if message.node != layout.server.id:
            stored[layout.server.id] += message.size * STORED_ROUNDS
    return stored

"""Real network traffic between nodes, in float32, as opposed to the simulated bytes of a round. Independent of Ray."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from raygan.channel.clock import SimulatedRound
from raygan.cluster.layout import Layout
from raygan.cluster.routing import by_worker, senders
from raygan.config.tree import Config
from raygan.plan.footprint import Footprint


@dataclass(frozen=True)
class Network:
    """Bytes sent between nodes; those of a round are means over the rounds looked at."""

    down: float
    up: float
    swap: float
    checkpoint: int
    """Bytes of a checkpoint to the driver's node, once all devices have taken part."""


@dataclass(frozen=True)
class PlannedMessage:
    """A message to the server from one worker, or from several workers of one node."""

    node: str
    """The node that sends it."""
    size: int
    """Size of the message (bytes)."""
    summands: int
    """Bytes that are stored there to be added up, if several workers send together."""


def worker_devices(config: Config, worker: int) -> int:
    """Returns the number of devices of a worker."""
    together = config.engine.devices_per_actor
    return min(config.devices - worker * together, together)


def messages_of(config: Config, footprint: Footprint, devices: Sequence[int], layout: Layout) -> list[PlannedMessage]:
    """Returns the messages to the server in a round of these devices, as the executor sends them."""
    nodes, server = [node.id for node in layout.workers], layout.server.id
    chosen = by_worker(devices, config.engine.devices_per_actor)

    def of_worker(worker: int, far: bool) -> int:
        part = footprint.far_part if far else footprint.part
        return footprint.message if worker_devices(config, worker) == 1 else footprint.parts(len(chosen[worker]), part)

    messages = []
    adds_up = config.engine.pre_average and footprint.adds_up
    share = footprint.message / footprint.update if config.engine.devices_per_actor == 1 else 1.0
    for workers in senders(chosen, nodes, server, adds_up, footprint.slots, share):
        node = nodes[workers[0]]
        if len(workers) == 1:
            messages.append(PlannedMessage(node, of_worker(workers[0], node != server), 0))
        else:
            count = sum(len(chosen[worker]) for worker in workers)
            summands = sum(of_worker(worker, False) for worker in workers)
            messages.append(PlannedMessage(node, footprint.parts(count, footprint.far_part), summands))
    return messages


def network_of(
    config: Config, footprint: Footprint, rounds: Sequence[SimulatedRound], layout: Layout, home: str
) -> Network:
    """Count the traffic of a layout in these rounds."""
    nodes, server = [node.id for node in layout.workers], layout.server.id
    counted: list[tuple[int, int]] = []
    last: list[int] | None = None
    for round in rounds:
        if round.devices != last:  # most runs have the same devices in every round
            last, of_round = round.devices, _of_round(config, footprint, round.devices, layout)
        counted.append(of_round)
    away = sum(worker_devices(config, worker) for worker, node in enumerate(nodes) if node != home)
    return Network(
        down=fmean(down for down, _ in counted),
        up=fmean(up for _, up in counted),
        swap=fmean(_swapped(config, footprint, round.partners, nodes) for round in rounds),
        checkpoint=away * footprint.state + (footprint.server_state if server != home else 0),
    )


def _of_round(config: Config, footprint: Footprint, devices: Sequence[int], layout: Layout) -> tuple[int, int]:
    """Returns the bytes down, once to each node with a selected device, and the bytes up."""
    server = layout.server.id
    receivers = {layout.workers[worker].id for worker in by_worker(devices, config.engine.devices_per_actor)} - {server}
    up = sum(one.size for one in messages_of(config, footprint, devices, layout) if one.node != server)
    return len(receivers) * footprint.down, up


def _swapped(config: Config, footprint: Footprint, partners: Mapping[int, int], nodes: Sequence[str]) -> int:
    """Returns the bytes of swaps. An actor's states are one object, sent whole to each other node that needs a part."""
    together, total = config.engine.devices_per_actor, 0
    for giver, numbers in by_worker(partners.values(), together).items():
        takers = {nodes[receiver // together] for receiver, given in partners.items() if given // together == giver}
        total += len(takers - {nodes[giver]}) * len(numbers) * footprint.state
    return total

"""Real network traffic between nodes, in float32, as opposed to the simulated bytes of a round. Independent of Ray."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from raygan.channel.simulated import SimulatedRound
from raygan.cluster.layout import Layout
from raygan.cluster.routing import adds_up_on_nodes, by_worker, senders
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
        alone = len(chosen[worker]) == 1
        return footprint.message if alone else footprint.parts(len(chosen[worker]), part)

    messages = []
    adds_up = adds_up_on_nodes(config) and footprint.adds_up
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
    last: object = None
    for round in rounds:
        if (round.devices, round.staleness, round.ahead) != last:  # most runs have the same in every round
            last, of_round = (round.devices, round.staleness, round.ahead), _of_round(config, footprint, round, layout)
        counted.append(of_round)
    away = sum(worker_devices(config, worker) for worker, node in enumerate(nodes) if node != home)
    return Network(
        down=fmean(down for down, _ in counted),
        up=fmean(up for _, up in counted),
        swap=fmean(_swapped(config, footprint, round.partners, nodes) for round in rounds),
        checkpoint=away * footprint.state + (footprint.server_state if server != home else 0),
    )


def _of_round(config: Config, footprint: Footprint, round: SimulatedRound, layout: Layout) -> tuple[int, int]:
    """Returns the bytes down, once to each node with a device that starts, and the bytes up."""
    server, together = layout.server.id, config.engine.devices_per_actor
    starting = by_worker([*round.at_once, *round.ahead], together)
    receivers = {layout.workers[worker].id for worker in starting} - {server}
    sent = [one.size for one in messages_of(config, footprint, round.at_once, layout) if one.node != server]
    sent += [footprint.message for device in round.staleness if layout.workers[device // together].id != server]
    return len(receivers) * footprint.down, sum(sent)


def _swapped(config: Config, footprint: Footprint, partners: Mapping[int, int], nodes: Sequence[str]) -> int:
    """Returns the bytes of swaps. An actor's states are one object, sent whole to each other node that needs a part."""
    together, total = config.engine.devices_per_actor, 0
    for giver, numbers in by_worker(partners.values(), together).items():
        takers = {nodes[receiver // together] for receiver, given in partners.items() if given // together == giver}
        total += len(takers - {nodes[giver]}) * len(numbers) * footprint.state
    return total

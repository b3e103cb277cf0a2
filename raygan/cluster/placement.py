"""Placement of a run's actors on Ray: in its placement group, or on nodes once there is room."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from raygan.cluster.connection import group_of
from raygan.cluster.layout import Layout, Node, choose, lay_out, spread_of
from raygan.cluster.nodes import all_nodes
from raygan.cluster.resources import NODE_LABEL, Needs, Resources, on_node
from raygan.cluster.shortage import unused_gpus
from raygan.cluster.waiting import Patience, wait_for_room
from raygan.config.running import Engine

Where = Mapping[str, Any]
"""Ray options that bind an actor to a place."""


class Placing(ABC):
    """The placement of each actor."""

    @abstractmethod
    def server(self) -> Where:
        """Returns the placement of the server."""

    @abstractmethod
    def worker(self, worker: int) -> Where:
        """Returns the placement of a worker."""

    @abstractmethod
    def again(self, worker: int) -> Where:
        """Returns the new placement of a lost worker."""

    @abstractmethod
    def in_vain(self) -> set[int]:
        """Returns workers whose nodes are gone, as far as Ray knows."""

    @abstractmethod
    def recorder(self) -> Where:
        """Returns the placement of the recorder, which must be on the driver's node."""

    @abstractmethod
    def close(self) -> None:
        """Release the reserved resources."""


class InGroup(Placing):
    """Placement in the placement group that the run is in.

    Workers that request no resources have no bundle and go to the server's node.
    """

    def __init__(self, group: PlacementGroup) -> None:
        self._group = group

    def server(self) -> Where:
        """The first bundle."""
        return _in(self._group, 0)

    def worker(self, worker: int) -> Where:
        """A bundle each."""
        return _in(self._group, 1 + worker if 1 + worker < self._group.bundle_count else 0)

    def again(self, worker: int) -> Where:
        """The same one."""
        return self.worker(worker)

    def in_vain(self) -> set[int]:
        """None: Ray moves bundles whose node is gone."""
        return set()

    def recorder(self) -> Where:
        """The first bundle."""
        return _in(self._group, 0)

    def close(self) -> None:
        """Do nothing: the group does not belong to the run."""


@dataclass(frozen=True)
class _Seat:
    """An actor to be placed."""

    node: str
    asks: Resources


class OnNodes(Placing):
    """Placement on nodes chosen by `lay_out`, all reserved before the first actor starts: two runs never hold half."""

    def __init__(self, needs: Needs, engine: Engine, patience: Patience) -> None:
        """Wait for room: for nodes that are coming, or for resources that others hold.

        Raises:
            InputError: there is no room.
        """
        self._needs = needs
        self._engine = engine
        self._patience = patience
        self._home = str(ray.get_runtime_context().get_node_id())
        self._moved: dict[int, str] = {}
        """Workers that are on other nodes than those of the layout (by id)."""
        self.layout, self._reserved = wait_for_room(needs, engine, patience, self._home, self._reserve)
        if unused := unused_gpus(needs, all_nodes()):
            patience.report(unused)
        patience.tell(f"starting {spread_of(self.layout)} and a server")

    def _reserve(self, free: list[Node], waited: float) -> "tuple[Layout, _Reserved] | None":
        """Reserve a layout on the free resources."""
        layout = choose(self._needs, all_nodes(), free, self._engine.placement, self._home, waited)
        if layout is None or (reserved := _reserve(self._seats(layout))) is None:
            return None
        return layout, reserved

    def _seats(self, layout: Layout) -> list[_Seat]:
        """The server's, the recorder's, and each worker's."""
        workers = [_Seat(node.id, self._needs.per_worker) for node in layout.workers]
        return [_Seat(layout.server.id, self._needs.server), _Seat(self._home, self._needs.recorder), *workers]

    def server(self) -> Where:
        """As laid out."""
        return self._reserved.strategy(0)

    def recorder(self) -> Where:
        """The driver's node."""
        return self._reserved.strategy(1)

    def worker(self, worker: int) -> Where:
        """As laid out."""
        return self._reserved.strategy(2 + worker)

    def again(self, worker: int) -> Where:
        """Returns the old place, which is still reserved, or another with room if the node is gone."""
        self._moved.pop(worker, None)
        if worker not in self.in_vain():
            return self.worker(worker)
        one = replace(self._needs, workers=1, server={}, recorder={}, devices=None)

        def look(free: list[Node], waited: float) -> Layout | None:
            return lay_out(one, free, self._engine.placement, self._home)

        (node,) = wait_for_room(one, self._engine, self._patience, self._home, look).workers
        self._moved[worker] = node.id
        return on_node(node.id)

    def in_vain(self) -> set[int]:
        """Returns them by the layout and its later changes."""
        there = {node.id for node in all_nodes()}
        places = {worker: node.id for worker, node in enumerate(self.layout.workers)} | self._moved
        return {worker for worker, node in places.items() if node not in there}

    def close(self) -> None:
        """Release all reservations."""
        self._reserved.give_back()


class _Reserved:
    """A placement group with a bundle for each seat that requests resources."""

    def __init__(self, group: PlacementGroup, seats: list[_Seat]) -> None:
        self._group = group
        self._seats = seats
        self._bundles: dict[int, int] = {}
        for index, seat in enumerate(seats):
            if any(seat.asks.values()):
                self._bundles[index] = len(self._bundles)

    def strategy(self, seat: int) -> Where:
        """Returns the scheduling strategy of an actor."""
        if seat in self._bundles:
            return _in(self._group, self._bundles[seat])
        return on_node(self._seats[seat].node)

    def give_back(self) -> None:
        """Remove the group."""
        remove_placement_group(self._group)


def _reserve(seats: list[_Seat]) -> _Reserved | None:
    """Reserve all seats; returns None if others were faster."""
    asking = [seat for seat in seats if any(seat.asks.values())]
    group = placement_group(
        [{name: amount for name, amount in seat.asks.items() if amount} for seat in asking],
        "PACK",
        bundle_label_selector=[{NODE_LABEL: seat.node} for seat in asking],
    )
    if group.wait(_GRANTED_S):
        return _Reserved(group, seats)
    remove_placement_group(group)
    return None


_GRANTED_S = 5.0
"""Time to wait for a grant (seconds). Free resources are granted in a hundredth of that."""


def placing_of(needs: Needs, engine: Engine, patience: Patience) -> Placing:
    """Returns the placement for the run of this process.

    Raises:
        InputError: there is no room, or the placement group this process is in is another run's.
    """
    group = group_of(needs)
    return InGroup(group) if group is not None else OnNodes(needs, engine, patience)


def _in(group: PlacementGroup, bundle: int) -> Where:
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=bundle)}

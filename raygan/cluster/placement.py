"""Where a run's actors go on Ray: into the placement group it lives in, or to nodes, once there is room."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from raygan.cluster.connection import all_nodes, group_of
from raygan.cluster.layout import Layout, Node, choose, lay_out, spread_of
from raygan.cluster.resources import NODE_LABEL, Needs, Resources, on_node
from raygan.cluster.waiting import Patience, wait_for_room
from raygan.config.tree import Engine

Where = Mapping[str, Any]
"""The options of Ray that bind an actor to a place."""


class Placing(ABC):
    """Says of each actor where it goes."""

    @abstractmethod
    def server(self) -> Where:
        """Of the server."""

    @abstractmethod
    def worker(self, worker: int) -> Where:
        """Of a worker."""

    @abstractmethod
    def again(self, worker: int) -> Where:
        """Of a worker that was lost."""

    @abstractmethod
    def in_vain(self) -> set[int]:
        """Workers that were placed on nodes which are gone, as far as Ray knows by now."""

    @abstractmethod
    def recorder(self) -> Where:
        """Of the recorder, which must be on the driver's node."""

    @abstractmethod
    def close(self) -> None:
        """Give back what was reserved."""


class InGroup(Placing):
    """In the placement group that the run lives in.

    Workers that ask for nothing have no bundle, and go to the server's node.
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
        """Nothing: the group is somebody else's."""


@dataclass(frozen=True)
class _Seat:
    """An actor to be placed."""

    node: str
    asks: Resources


class OnNodes(Placing):
    """On nodes chosen by `lay_out`, all reserved before the first actor is started: two runs never take half each."""

    def __init__(self, needs: Needs, engine: Engine, patience: Patience) -> None:
        """Waits for room, for nodes that are coming or for what others hold.

        Raises:
            InputError: there is none.
        """
        self._needs = needs
        self._engine = engine
        self._patience = patience
        self._home = str(ray.get_runtime_context().get_node_id())
        self._moved: dict[int, str] = {}
        """Workers that are on other nodes than those of the layout (by id)."""
        self.layout, self._reserved = wait_for_room(needs, engine, patience, self._home, self._reserve)
        patience.tell(f"starting {spread_of(self.layout)} and a server")

    def _reserve(self, free: list[Node], waited: float) -> "tuple[Layout, _Reserved] | None":
        """A layout on what is free, and its room."""
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
        """Where it was, since that is still reserved; if the node is gone, where there is room for one."""
        self._moved.pop(worker, None)
        if worker not in self.in_vain():
            return self.worker(worker)
        one = replace(self._needs, workers=1, server={}, recorder={})

        def look(free: list[Node], waited: float) -> Layout | None:
            return lay_out(one, free, self._engine.placement, self._home)

        (node,) = wait_for_room(one, self._engine, self._patience, self._home, look).workers
        self._moved[worker] = node.id
        return on_node(node.id)

    def in_vain(self) -> set[int]:
        """By the layout, and what has moved since."""
        there = {node.id for node in all_nodes()}
        places = {worker: node.id for worker, node in enumerate(self.layout.workers)} | self._moved
        return {worker for worker, node in places.items() if node not in there}

    def close(self) -> None:
        """Give it all back."""
        self._reserved.give_back()


class _Reserved:
    """A placement group with a bundle for each seat that asks for anything."""

    def __init__(self, group: PlacementGroup, seats: list[_Seat]) -> None:
        self._group = group
        self._seats = seats
        self._bundles: dict[int, int] = {}
        for index, seat in enumerate(seats):
            if any(seat.asks.values()):
                self._bundles[index] = len(self._bundles)

    def strategy(self, seat: int) -> Where:
        """Where an actor goes."""
        if seat in self._bundles:
            return _in(self._group, self._bundles[seat])
        return on_node(self._seats[seat].node)

    def give_back(self) -> None:
        """End it."""
        remove_placement_group(self._group)


def _reserve(seats: list[_Seat]) -> _Reserved | None:
    """Reserve all seats, or None if others were faster."""
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
"""What is free is granted in a hundredth of that."""


def placing_of(needs: Needs, engine: Engine, patience: Patience) -> Placing:
    """Where the actors of this process's run go.

    Raises:
        InputError: there is no room, or the placement group this process is in is another run's.
    """
    group = group_of(needs)
    return InGroup(group) if group is not None else OnNodes(needs, engine, patience)


def _in(group: PlacementGroup, bundle: int) -> Where:
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=bundle)}

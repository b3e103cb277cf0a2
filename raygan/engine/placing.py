"""Where a run's actors go on Ray: into the placement group it lives in, or to nodes, once there is room."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from time import monotonic, sleep
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from raygan.config.tree import Engine
from raygan.engine.cluster import all_nodes, free_nodes, group_of
from raygan.engine.layout import (
    Layout,
    Node,
    Placement,
    can_hold,
    describe,
    fits,
    lay_out,
    shortage,
    shortage_in_group,
    spread_of,
)
from raygan.engine.needs import Needs
from raygan.errors import InputError

Tell = Callable[[str], None]
"""Says to who watches what goes on."""
Strategy = Any
"""A scheduling strategy of Ray's."""

_GIVEN_BACK_S = 3.0
"""Actors that were ended have given back what they held."""
_NOTICED_S = 0.3
"""What was given back is seen to be free after a tenth of that."""


class Placing(ABC):
    """Says of each actor where it goes."""

    @abstractmethod
    def server(self) -> Strategy:
        """Of the server."""

    @abstractmethod
    def host(self, host: int) -> Strategy:
        """Of a host."""

    @abstractmethod
    def again(self, host: int) -> Strategy:
        """Of a host that was lost."""

    @abstractmethod
    def recorder(self) -> Strategy:
        """Of the recorder, which must be on the driver's node."""


class InGroup(Placing):
    """In the placement group that the run lives in. Hosts that ask for nothing have no bundle, and go to the server."""

    def __init__(self, group: PlacementGroup) -> None:
        self._group = group

    def server(self) -> Strategy:
        """The first bundle."""
        return self._bundle(0)

    def host(self, host: int) -> Strategy:
        """A bundle each."""
        return self._bundle(1 + host if 1 + host < self._group.bundle_count else 0)

    def again(self, host: int) -> Strategy:
        """The same one, which Ray moves when its node is gone."""
        return self.host(host)

    def recorder(self) -> Strategy:
        """The first bundle."""
        return self._bundle(0)

    def _bundle(self, index: int) -> Strategy:
        return PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=index)


class OnNodes(Placing):
    """On nodes chosen by `lay_out`."""

    def __init__(self, needs: Needs, engine: Engine, may_grow: bool, tell: Tell) -> None:
        """Waits for room for all, for nodes that are coming or for what others hold, if there `may_grow` to be more.

        Raises:
            InputError: there is none.
        """
        self._engine = engine
        self._may_grow = may_grow
        self._tell = tell
        self._needs = needs
        self.layout = self._wait_for_room(needs, self._as_if_all_were_free)
        tell(f"starting {spread_of(self.layout)} and a server")

    def server(self) -> Strategy:
        """As laid out."""
        return _on(self.layout.server)

    def host(self, host: int) -> Strategy:
        """As laid out."""
        return _on(self.layout.hosts[host])

    def again(self, host: int) -> Strategy:
        """Where there is room for one."""
        one = replace(self._needs, hosts=1, server={}, recorder={})
        return _on(self._wait_for_room(one, self._on_what_is_free).hosts[0])

    def recorder(self) -> Strategy:
        """The driver's node."""
        return NodeAffinitySchedulingStrategy(_home(), soft=False)

    def _on_what_is_free(self, needs: Needs, free: list[Node], waited: float) -> Layout | None:
        return lay_out(needs, free, self._engine.placement, _home())

    def _as_if_all_were_free(self, needs: Needs, free: list[Node], waited: float) -> Layout | None:
        """Even, and as planned, if that is possible; a run that starts anew is given back its room within moments."""
        planned = lay_out(needs, all_nodes(), self._engine.placement, _home())
        if planned is not None and can_hold(needs, free, planned, _home()):
            return planned
        return self._on_what_is_free(needs, free, waited) if waited > _GIVEN_BACK_S else None

    def _wait_for_room(self, needs: Needs, choose: Callable[[Needs, list[Node], float], Layout | None]) -> Layout:
        """A layout for what is free, as soon as `choose` finds one."""
        began, told, home = monotonic(), "", _home()
        with _Wish(needs, self._engine.placement) as wish:
            while (layout := choose(needs, nodes := free_nodes(), monotonic() - began)) is None:
                problem = shortage(needs, all_nodes(), home)
                patience = self._patience(bool(problem))
                if monotonic() - began >= patience:
                    raise InputError(problem + _in_vain(patience) if problem else _held(needs, patience))
                if told != (told := _waiting(needs, nodes, patience)):
                    self._tell(told)
                wish.hold_on()
        return layout

    def _patience(self, missing: bool) -> float:
        """How long to wait (seconds): for nodes, if any are `missing`, or else for what others hold."""
        if not missing:
            return self._engine.ready_timeout_s
        return self._engine.nodes_timeout_s if self._may_grow else 0.0


def wait_for_group(needs: Needs, timeout_s: float, tell: Tell) -> None:
    """Wait until the nodes that are there could hold the placement group of these needs.

    Raises:
        InputError: they could not.
    """
    began, told = monotonic(), ""
    with _Wish(needs, "pack") as wish:
        while (problem := shortage_in_group(needs, nodes := all_nodes())) is not None:
            if monotonic() - began >= timeout_s:
                raise InputError(problem + _in_vain(timeout_s))
            if told != (told := _waiting(needs, nodes, timeout_s)):
                tell(told)
            wish.hold_on()


class _Wish:
    """Asks Ray for what is needed, all at once, for as long as it is waited for: an autoscaler starts nodes for it.

    A placement group, since Ray forgets it should this process be killed.
    """

    def __init__(self, needs: Needs, placement: Placement) -> None:
        self._needs = needs
        self._strategy = {"spread": "SPREAD", "pack": "PACK"}[placement]
        self._group: PlacementGroup | None = None

    def hold_on(self) -> None:
        """Wait for a second at most. What is granted is given back, since Ray puts it where it likes."""
        if self._group is None:
            self._group = placement_group(self._needs.bundles, self._strategy)
        if self._group.wait(1):
            self._drop()
            sleep(_NOTICED_S)

    def _drop(self) -> None:
        if self._group is not None:
            remove_placement_group(self._group)
            self._group = None

    def __enter__(self) -> "_Wish":
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()


def placing_of(needs: Needs, engine: Engine, may_grow: bool, tell: Tell) -> Placing:
    """Where the actors of this process's run go.

    Raises:
        InputError: there is no room, or the placement group this process is in is another run's.
    """
    group = group_of(needs)
    return InGroup(group) if group is not None else OnNodes(needs, engine, may_grow, tell)


def _home() -> str:
    """The driver's node."""
    return str(ray.get_runtime_context().get_node_id())


def _on(node: Node) -> Strategy:
    return NodeAffinitySchedulingStrategy(node.id, soft=False)


def _waiting(needs: Needs, nodes: list[Node], patience: float) -> str:
    fit = min(needs.hosts, sum(fits(node.room, needs.per_host) for node in nodes))
    there = f"{describe(nodes)} hold{'s' if len(nodes) == 1 else ''} {fit} of {needs.hosts} device actors"
    return f"waiting for room on the cluster, up to {patience:g} s: what is free of {there}"


def _in_vain(patience: float) -> str:
    return f" (no more came in {patience:g} s, engine.nodes_timeout_s)" if patience else ""


def _held(needs: Needs, patience: float) -> str:
    return (
        f"engine: {describe(all_nodes())} could hold the {needs.hosts} device actors, but others hold too much of it, "
        f"and did for {patience:g} s (engine.ready_timeout_s)"
    )

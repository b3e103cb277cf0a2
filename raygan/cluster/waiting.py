"""Waiting for room on a cluster: for nodes that are coming, or for resources that others hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic, sleep
from typing import Protocol, TypeVar

from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from raygan.cluster.layout import Node, Placement, home_problem
from raygan.cluster.nodes import all_nodes, free_nodes
from raygan.cluster.outlook import Outlook, is_free
from raygan.cluster.resources import Needs, Resources
from raygan.cluster.shortage import describe, shortage, shortage_in_group
from raygan.config.running import Engine
from raygan.errors import InputError, RunError

FoundRoom = TypeVar("FoundRoom")
Reply = TypeVar("Reply")
Tell = Callable[[str], None]
"""Reports progress to the watchers."""


class Ask(Protocol):
    """Calls a function that asks Ray's head, and returns its answer."""

    def __call__(self, question: Callable[[], Reply], /) -> Reply:
        """Call it; raises its exception, or RunError if no answer will come."""


def directly(question: Callable[[], Reply], /) -> Reply:
    """Call it in this thread."""
    return question()


@dataclass(frozen=True)
class Patience:
    """The settings of a wait: timeouts, messages, and how it can be interrupted."""

    may_grow: bool
    """Whether there may be more nodes later."""
    tell: Tell
    """Says what goes on."""
    report: Tell
    """Says what the user should know, once."""
    stopped: Callable[[], bool]
    """Returns whether the run has been interrupted."""
    ask: Ask = directly
    """Calls functions that ask Ray's head. Asking a dead head blocks, ignoring Ctrl-C, until Ray ends this process."""


def wait_for_room(
    needs: Needs, engine: Engine, patience: Patience, home: str, look: Callable[[list[Node], float], FoundRoom | None]
) -> FoundRoom:
    """Wait until `look` finds room in the free resources. It also gets the seconds waited for other runs so far.

    Raises:
        InputError: nodes did not come within `engine.nodes_timeout_s`, or others did not release resources within
            `engine.ready_timeout_s`, or no node that could come would help, or none can be started.
        RunError: the cluster is gone.
        KeyboardInterrupt: the run was interrupted.
    """
    began, told, lacking = monotonic(), "", False
    outlook = Outlook(needs, lambda nodes, called: shortage(needs, nodes, home, called))
    with _Wish([needs.server, needs.recorder, *[needs.per_worker] * needs.workers], engine.placement) as wish:
        while True:
            before = lacking
            lacking, why, limit = patience.ask(lambda: _reason(needs, engine, patience.may_grow, home))
            if lacking != before:  # the reason to wait has changed
                began = monotonic()
            waited = monotonic() - began
            if (found := patience.ask(partial(_looked, look, waited))) is not None:
                return found
            if patience.may_grow and limit:
                patience.ask(partial(_look_out, outlook, wish.name(), lacking))
                if not lacking and outlook.launching():  # what others hold may be replaced
                    limit = max(limit, engine.nodes_timeout_s)
            if monotonic() - began >= limit:
                raise InputError(_in_vain(why, outlook, lacking, limit))
            if told != (told := _waiting(why, outlook, lacking, limit)):
                patience.tell(told)
            if patience.stopped():
                raise KeyboardInterrupt
            patience.ask(wish.hold_on)


def _looked(look: Callable[[list[Node], float], FoundRoom | None], waited: float) -> FoundRoom | None:
    return look(free_nodes(), waited)


def _look_out(outlook: Outlook, wish: str | None, lacking: bool) -> None:
    nodes = all_nodes()
    outlook.look(nodes, lacking, is_free(nodes, free_nodes()), wish)


def _reason(needs: Needs, engine: Engine, may_grow: bool, home: str) -> tuple[bool, str, float]:
    """Returns whether nodes are missing, a message about it, and how long to wait (seconds)."""
    nodes = all_nodes()
    if problem := shortage(needs, nodes, home):
        hope = may_grow and not home_problem(needs, nodes, home)
        return True, problem, engine.nodes_timeout_s if hope else 0.0
    actors = f"{needs.workers} device actors and a server" if needs.server else "a device actor"
    held = f"engine: {describe(nodes)} could hold {actors}, but others hold too much"
    return False, held, engine.ready_timeout_s


def _waiting(why: str, outlook: Outlook, lacking: bool, limit: float) -> str:
    if lacking and (says := outlook.says()):
        return f"waiting for nodes, up to {limit:g} s: {says}"
    more = f"; more nodes are on their way: {launching}" if not lacking and (launching := outlook.launching()) else ""
    return f"waiting for room on the cluster, up to {limit:g} s: {why}{more}"


def _in_vain(why: str, outlook: Outlook, lacking: bool, limit: float) -> str:
    if not limit:
        return why
    if lacking:
        return f"{outlook.in_vain() or why} (for {limit:g} s, engine.nodes_timeout_s)"
    return f"{why} (for {limit:g} s, engine.ready_timeout_s)"


def wait_for_group(needs: Needs, timeout_s: float, tell: Tell, ask: Ask = directly) -> None:
    """Wait until the nodes of the cluster could hold the placement group of these needs.

    Raises:
        InputError: they cannot, or no node that could come would help, or none can be started.
    """
    began, told = monotonic(), ""
    outlook = Outlook(needs, lambda nodes, called: shortage_in_group(needs, nodes, called))
    with _Wish(needs.bundles, "pack") as wish:
        while (problem := shortage_in_group(needs, ask(all_nodes))) is not None:
            if timeout_s:
                ask(partial(_look_out, outlook, wish.name(), True))
            if monotonic() - began >= timeout_s:
                raise InputError(_in_vain(problem, outlook, True, timeout_s))
            if told != (told := _waiting(problem, outlook, True, timeout_s)):
                tell(told)
            ask(wish.hold_on)


class _Wish:
    """A request to Ray for all needs at once, held while the run waits: an autoscaler starts nodes for it.

    It is a placement group, because Ray removes that if this process is killed.
    """

    def __init__(self, bundles: Sequence[Resources], placement: Placement) -> None:
        asked = [{name: amount for name, amount in bundle.items() if amount} for bundle in bundles]
        self._bundles = [bundle for bundle in asked if bundle]
        self._strategy = {"spread": "SPREAD", "pack": "PACK"}[placement]
        self._group: PlacementGroup | None = None

    def name(self) -> str | None:
        """Returns Ray's id of the group, if there is one."""
        return self._group.id.hex() if self._group is not None else None

    def hold_on(self) -> None:
        """Wait for at most a second. A granted group is released, because Ray chooses its places."""
        if self._group is None:
            self._group = placement_group(self._bundles, self._strategy)
        if self._group.wait(_LOOK_S):
            self._drop()
            sleep(_NOTICED_S)

    def _drop(self) -> None:
        if self._group is not None:
            remove_placement_group(self._group)
            self._group = None

    def __enter__(self) -> "_Wish":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, RunError):  # a cluster that is gone cannot be asked
            self._drop()


_LOOK_S = 1.0
_NOTICED_S = 0.3
"""Time to wait after a release (seconds). Released resources appear as free after a tenth of that."""

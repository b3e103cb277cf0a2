"""Waiting for room on a cluster: for nodes that are coming, or for what others hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic, sleep
from typing import Protocol, TypeVar

from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from raygan.cluster.connection import all_nodes, free_nodes
from raygan.cluster.layout import Node, Placement, describe, home_problem, shortage, shortage_in_group
from raygan.cluster.resources import Needs, Resources
from raygan.config.tree import Engine
from raygan.errors import InputError, RunError

Found = TypeVar("Found")
Answer = TypeVar("Answer")
Tell = Callable[[str], None]
"""Says to who watches what goes on."""


class Ask(Protocol):
    """Calls a question, and returns its answer."""

    def __call__(self, question: Callable[[], Answer], /) -> Answer:
        """Raises what the question raises, or RunError if nobody will answer it."""


def directly(question: Callable[[], Answer], /) -> Answer:
    """In this thread."""
    return question()


@dataclass(frozen=True)
class Patience:
    """Who waits, and how."""

    may_grow: bool
    """Whether there may be more nodes later."""
    tell: Tell
    stopped: Callable[[], bool]
    """Whether somebody wishes that it ends."""
    ask: Ask = directly
    """Calls what asks Ray's head: who asks one that is gone waits, deaf to Ctrl-C, until Ray ends this process."""


def wait_for_room(
    needs: Needs, engine: Engine, patience: Patience, home: str, look: Callable[[list[Node], float], Found | None]
) -> Found:
    """Wait until `look` finds something on what is free; it is also told for how long others have been waited for (s).

    Raises:
        InputError: nodes did not come in `engine.nodes_timeout_s`, or others did not give back what they hold in
            `engine.ready_timeout_s`, or no node that could come would help.
        RunError: the cluster is gone.
        KeyboardInterrupt: somebody wished for the end.
    """
    began, told, lacking = monotonic(), "", False
    with _Wish([needs.server, needs.recorder, *[needs.per_worker] * needs.workers], engine.placement) as wish:
        while True:
            before = lacking
            lacking, why, limit = patience.ask(lambda: _reason(needs, engine, patience.may_grow, home))
            if lacking != before:  # what is waited for is another thing now
                began = monotonic()
            waited = monotonic() - began
            if (found := patience.ask(partial(_looked, look, waited))) is not None:
                return found
            if monotonic() - began >= limit:
                raise InputError(why + _in_vain(lacking, limit))
            if told != (told := f"waiting for room on the cluster, up to {limit:g} s: {why}"):
                patience.tell(told)
            if patience.stopped():
                raise KeyboardInterrupt
            patience.ask(wish.hold_on)


def _looked(look: Callable[[list[Node], float], Found | None], waited: float) -> Found | None:
    return look(free_nodes(), waited)


def _reason(needs: Needs, engine: Engine, may_grow: bool, home: str) -> tuple[bool, str, float]:
    """Whether nodes are lacking, what there is to say of it, and how long to wait (seconds)."""
    nodes = all_nodes()
    if problem := shortage(needs, nodes, home):
        hope = may_grow and not home_problem(needs, nodes, home)
        return True, problem, engine.nodes_timeout_s if hope else 0.0
    actors = f"{needs.workers} device actors and a server" if needs.server else "a device actor"
    held = f"engine: {describe(nodes)} could hold {actors}, but others hold too much"
    return False, held, engine.ready_timeout_s


def _in_vain(lacking: bool, limit: float) -> str:
    if not limit:
        return ""
    return f" (for {limit:g} s, {'engine.nodes_timeout_s' if lacking else 'engine.ready_timeout_s'})"


def wait_for_group(needs: Needs, timeout_s: float, tell: Tell, ask: Ask = directly) -> None:
    """Wait until the nodes that are there could hold the placement group of these needs.

    Raises:
        InputError: they could not.
    """
    began, told = monotonic(), ""
    with _Wish(needs.bundles, "pack") as wish:
        while (problem := shortage_in_group(needs, ask(all_nodes))) is not None:
            if monotonic() - began >= timeout_s:
                raise InputError(problem + _in_vain(True, timeout_s))
            if told != (told := f"waiting for room on the cluster, up to {timeout_s:g} s: {problem}"):
                tell(told)
            ask(wish.hold_on)


class _Wish:
    """Asks Ray for what is needed, all at once, for as long as it is waited for: an autoscaler starts nodes for it.

    A placement group, since Ray forgets it should this process be killed.
    """

    def __init__(self, bundles: Sequence[Resources], placement: Placement) -> None:
        asked = [{name: amount for name, amount in bundle.items() if amount} for bundle in bundles]
        self._bundles = [bundle for bundle in asked if bundle]
        self._strategy = {"spread": "SPREAD", "pack": "PACK"}[placement]
        self._group: PlacementGroup | None = None

    def hold_on(self) -> None:
        """Wait for a second at most. What is granted is given back, since Ray puts it where it likes."""
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
        if not isinstance(error, RunError):  # of a cluster that is gone nothing can be asked
            self._drop()


_LOOK_S = 1.0
_NOTICED_S = 0.3
"""What was given back is seen to be free after a tenth of that."""

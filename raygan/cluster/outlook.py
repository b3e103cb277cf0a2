"""The outlook of a run that waits for nodes: what the autoscaler does for it, and whether that can ever do."""

from collections import Counter
from collections.abc import Callable, Sequence

from raygan.cluster.autoscaler import Monitor, ask_monitor, ask_scaling
from raygan.cluster.layout import Node
from raygan.cluster.resources import Needs
from raygan.cluster.scaling import Failures, Scaling
from raygan.errors import InputError

Lacks = Callable[[Sequence[Node], str | None], str | None]
"""Says why nodes, called by this name, do not suffice."""
STATUS = "`ray status` on the head says more"


class Outlook:
    """What is known of an autoscaler during one wait."""

    def __init__(self, needs: Needs, lacks: Lacks) -> None:
        self._needs = needs
        self._lacks = lacks
        self._scaling: Scaling | None = None
        self._monitor: Monitor | None = None
        self._failures = Failures()
        self._nodes = 0
        self._infeasible = 0
        self._looks = 0

    def look(self, nodes: Sequence[Node], lacking: bool, all_free: bool, wish: str | None) -> None:
        """Ask again, given the nodes that are there, and the group that the run asks for (by Ray's id).

        `lacking` says whether more nodes are needed, `all_free` whether nothing on these is held.

        Raises:
            InputError: nodes that the autoscaler may start would not do, or none of those it tries can be started.
        """
        self._scaling = ask_scaling()
        if self._scaling is None:
            return
        if self._monitor is None:
            self._monitor = ask_monitor()
        if len(nodes) > self._nodes:
            self._nodes = len(nodes)
            self._failures.forget()
        self._failures.note(self._scaling, self._monitor.words)
        if self._failures.lack_words() and self._looks % _LOG_LOOKS == 0:
            self._monitor = ask_monitor()
            self._failures.note(self._scaling, self._monitor.words)
        self._looks = self._looks + 1 if self._failures.lack_words() else 0
        if lacking:
            self._check(nodes)
        self._infeasible = self._infeasible + 1 if all_free and wish in self._scaling.infeasible else 0
        if not self._scaling.present:  # no node is of a type: nodes join by hand, or Ray is of this machine only
            self._infeasible = 0

    def _check(self, nodes: Sequence[Node]) -> None:
        assert self._scaling is not None
        assert self._monitor is not None
        types = self._monitor.types
        if types is not None:
            most = [*nodes, *types.that_may_come(self._scaling.present, self._needs)]
            if problem := self._lacks(most, f"the cluster with all that its autoscaler may add ({types})"):
                raise InputError(problem)
        if self._infeasible >= _SURE:
            problem = self._lacks(nodes, None)
            raise InputError(
                f"{problem}; the autoscaler has no type of node that would do (it says infeasible; {STATUS})"
            )
        helpful = types.helpful(self._scaling.present, self._needs) if types is not None else frozenset()
        if self._failures.hopeless(helpful) and not self._scaling.starting:
            raise InputError(
                f"engine: {self._failures.told(counting=True)}; the account or the cluster file must change; {STATUS}"
            )

    def launching(self) -> str:
        """Returns in a few words what is on its way, or nothing."""
        return self._scaling.launching() if self._scaling is not None else ""

    def says(self) -> str | None:
        """Returns in a few words what the autoscaler does, or None if there is none."""
        if self._scaling is None:
            return None
        if failed := self._failures.told():
            also = f" (and {self._scaling.launching()})" if self._scaling.starting else ""
            return f"{failed}{also}; {STATUS}"
        if launching := self._scaling.launching():
            return launching
        if self._infeasible:
            return "the autoscaler finds no nodes that would do, as things are (infeasible)"
        types = self._monitor.types if self._monitor is not None else None
        if types is not None or self._scaling.present:
            return f"the autoscaler has been asked for them{f' ({types})' if types is not None else ''}"
        return None  # nodes join by hand

    def in_vain(self) -> str | None:
        """Returns why the nodes have not come until the end of the wait, if the autoscaler is the reason."""
        if self._scaling is None:
            return None
        if failed := self._failures.told(counting=True):
            return f"engine: {failed}; {STATUS}"
        if launching := self._scaling.launching():
            return f"engine: nodes were still on their way: {launching}; let the run wait longer; {STATUS}"
        return None


_LOG_LOOKS = 10
"""After so many looks the log is read again, if the provider's words were not in it."""
_SURE = 10
"""Looks (a second each) after which an autoscaler that has all of its nodes free and says infeasible is believed."""


def is_free(nodes: Sequence[Node], free: Sequence[Node]) -> bool:
    """Returns whether nothing is held on any node."""
    return _sum(nodes) == _sum(free)


def _sum(nodes: Sequence[Node]) -> Counter[str]:
    total: Counter[str] = Counter()
    for node in nodes:
        total.update({name: round(node.room.get(name, 0) * 10_000) for name in ("CPU", "GPU")})
    return total

"""The processes of a run as Ray actors: each constructs and holds a worker, the server or the recorder."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from raygan.cluster.fork_server import FORKED_FROM, NOT_FORKED
from raygan.executors.parties import how_it_computes
from raygan.executors.ray_values import LOST
from raygan.executors.transport import Facts
from raygan.round.compute import cap_memory, collect_seldom, keep_freed_memory


@dataclass(frozen=True)
class ActorPlace:
    """The facts that an actor needs before it constructs what it holds."""

    name: str
    """Its role in words."""
    folder: str
    """The folder that the run was started in: import paths in the config may lead to modules there."""
    gpus: float
    """Its share of one."""


@dataclass(frozen=True)
class RayStream:
    """Values of other actors, as they arrive; pickled by reference."""

    refs: Sequence[Any]
    instead: Sequence[Any] | None

    def __iter__(self) -> Iterator[Any]:
        """Raises what Ray raises, but for a lost process where there is something instead."""
        numbers = {ref: number for number, ref in enumerate(self.refs)}
        pending = list(self.refs)
        while pending:
            arrived, pending = ray.wait(pending, num_returns=len(pending), timeout=0)
            if not arrived:
                arrived, pending = ray.wait(pending, num_returns=1)
            for ref in arrived:
                try:
                    value = ray.get(ref)
                except LOST:
                    if self.instead is None:
                        raise
                    value = self.instead[numbers[ref]]
                yield value


class Actor:
    """One process of a run."""

    def __init__(self, place: ActorPlace, make: Callable[..., Any], *arguments: Any) -> None:
        if place.folder not in sys.path:
            sys.path.append(place.folder)
        keep_freed_memory()
        collect_seldom()
        cap_memory(place.gpus)
        self._name = place.name
        self._party = make(*arguments)

    def call(self, method: str, count: int, *arguments: Any) -> Any:
        """Call a method with the first `count` arguments; the others are references that were only waited for."""
        return getattr(self._party, method)(*arguments[:count])

    def facts(self) -> Facts:
        """Returns where this actor is, what it was granted, and how it computes."""
        context: Any = ray.get_runtime_context()
        return {
            "role": self._name,
            "actor": context.get_actor_id(),
            "node": context.get_node_id(),
            "address": ray.util.get_node_ip_address(),
            "pid": os.getpid(),
            "resources": context.get_assigned_resources(),
            "gpus": context.get_accelerator_ids().get("GPU", []),
            "forked_from": os.environ.get(FORKED_FROM),
            "not_forked": os.environ.get(NOT_FORKED),
            **how_it_computes(self._party),
        }


class WorkerActor(Actor):
    """A `Worker`: one device by default, or several that take turns."""


class ServerActor(Actor):
    """The `Server`."""


class RecorderActor(Actor):
    """The `Recorder`, on the node of the run folder, at the lowest priority.

    Files are written in a thread of their own: they do not queue behind evaluations.
    """

    def __init__(self, place: ActorPlace, make: Callable[..., Any], *arguments: Any) -> None:
        os.nice(19)
        super().__init__(place, make, *arguments)

    @ray.method(concurrency_group="pulse")
    def is_there(self) -> None:
        """Answer whatever else goes on, unless the process hangs."""


LANES = {"files": 1, "pulse": 1}
"""Threads of a recorder beside its own."""


def here(name: str, gpus: float) -> ActorPlace:
    """Returns the place of a process that is started from here."""
    return ActorPlace(name, str(Path.cwd()), gpus)

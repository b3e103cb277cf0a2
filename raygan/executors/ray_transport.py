"""The transport of runs on Ray: an actor per worker, a server actor, a recorder actor beside the driver."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import ray

from raygan.cluster.connection import Connection
from raygan.cluster.ending import ANSWER_S, end_process
from raygan.cluster.forking import IMPORTED_BY_WORKERS, forking, not_forked
from raygan.cluster.placement import Where, placing_of
from raygan.cluster.ray_private import id_of
from raygan.cluster.resources import Resources, needs_of
from raygan.cluster.waiting import Patience
from raygan.config.tree import Config
from raygan.errors import InputError, ProcessLostError
from raygan.executors.ray_actors import LANES, RayStream, RecorderActor, ServerActor, WorkerActor, here
from raygan.executors.ray_values import LOOK_S, Fetcher
from raygan.executors.transport import Facts, ProcessRole, Ref, Transport
from raygan.executors.vigil import Someone, Vigil
from raygan.round.versions import check_versions


class RayTransport(Transport):
    """Calls are Ray tasks of actors, values lie in Ray's object store."""

    def __init__(self, config: Config, connection: Connection, patience: Patience, vigil: Vigil) -> None:
        """Waits for room for all actors, and reserves it.

        Raises:
            InputError: there is none.
        """
        self._config = config
        self._needs = needs_of(config)
        self._connection = connection
        self._vigil = vigil
        self._began = monotonic()
        self._actors: dict[str, Any] = {}
        self._workers: dict[str, int] = {}
        self._places: dict[str, tuple[str, int]] = {}
        self._recorder: Any = None
        self._recorder_says: Any = None
        vigil.check, vigil.end, vigil.busy = connection.check, self._end, self._is_busy
        self._forking = forking(config.engine.workers, IMPORTED_BY_WORKERS)
        self._told: str | None = None
        self._tell(self._forking.why_not and f"workers are not forked (engine.workers): {self._forking.why_not}")
        self._fetch = Fetcher(vigil, self._hear)
        try:
            self._placing = placing_of(self._needs, config.engine, patience)
        except BaseException:
            connection.close()
            raise

    def start(self, role: ProcessRole, make: Callable[..., Any], *arguments: Any) -> Any:
        """Start an actor where the layout has it."""
        if role.kind == "server":
            return self._start(role, ServerActor, self._needs.server, self._placing.server(), make, *arguments)
        if role.kind == "worker":
            where = self._placing.worker(role.number)
            return self._start(role, WorkerActor, self._needs.per_worker, where, make, *arguments)
        with_lanes: Any = ray.remote
        kind = with_lanes(concurrency_groups=LANES)(RecorderActor)
        self._recorder = self._start(role, kind, self._needs.recorder, self._placing.recorder(), make, *arguments)
        self._recorder_says = self._recorder.facts.remote()
        return self._recorder

    def start_again(self, role: ProcessRole, make: Callable[..., Any], *arguments: Any) -> Any:
        """Start it in the room that is still reserved for it, or where there is room if its node is gone."""
        return self._start(
            role, WorkerActor, self._needs.per_worker, self._placing.again(role.number), make, *arguments
        )

    def _start(
        self, role: ProcessRole, kind: Any, asks: Resources, where: Where, make: Callable[..., Any], *arguments: Any
    ) -> Any:
        plain: Any = kind if hasattr(kind, "remote") else ray.remote(kind)
        gpus = asks.get("GPU", 0.0)
        options = plain.options(num_cpus=asks["CPU"], num_gpus=gpus, runtime_env=self._forking.runtime_env, **where)
        actor = options.remote(here(role.name, gpus), make, *arguments)
        name = id_of(actor)
        self._actors[name] = actor
        self._fetch.roles[name] = role.name
        if role.kind == "worker":
            self._workers[name] = role.number
        return actor

    def facts(self, processes: Sequence[Any]) -> list[Facts]:
        """Wait as long as `engine.ready_timeout_s` says."""
        timeout = self._config.engine.ready_timeout_s
        refs = [actor.facts.remote() for actor in processes]
        late, deadline = refs, monotonic() + timeout
        while late and (left := deadline - monotonic()) > 0:
            _, late = ray.wait(refs, num_returns=len(refs), timeout=min(left, LOOK_S))
            if late:
                self._vigil.check_now_and_then()
                self._check_nodes_of(processes)
        if late:
            raise InputError(
                f"engine.ready_timeout_s: {len(late)} of {len(refs)} actors were not ready after {timeout:g} s: they "
                "found room, but the machines are busy or slow; raise it"
            )
        facts: list[Facts] = self._fetch(refs)
        check_versions(facts)
        self._know(facts)
        self._tell(not_forked(facts))
        return facts

    def _tell(self, text: str | None) -> None:
        """Say something once."""
        if text and text != self._told:
            self._told = text
            self._vigil.say(text)

    def _check_nodes_of(self, processes: Sequence[Any]) -> None:
        """Raise if one of them would be waited for in vain, on a node that is gone: Ray itself would wait for ever."""
        in_vain = self._placing.in_vain()
        for name in map(id_of, processes):
            if self._workers.get(name) in in_vain:
                raise ProcessLostError(f"{self._fetch.roles[name]}: its node is gone", name)

    def about(self) -> Facts:
        """Returns the cluster's resources."""
        return {"cluster": ray.cluster_resources()}

    def put(self, value: object) -> Ref:
        """Put it in the object store of this node."""
        return ray.put(value)

    def call(
        self,
        process: Any,
        method: str,
        *arguments: Any,
        after: Iterable[Ref] = (),
        returns: int = 1,
        lane: str | None = None,
    ) -> Any:
        """Submit the call."""
        options = {"concurrency_group": lane} if lane else {}
        task = process.call.options(num_returns=returns, **options)
        return task.remote(method, len(arguments), *arguments, *after)

    def stream(self, refs: Sequence[Ref], instead: Sequence[Any] | None) -> RayStream:
        """Values are iterated over as they arrive at the process that is called."""
        return RayStream(refs, instead)

    def wait(self, refs: Sequence[Ref], behind: Sequence[Sequence[Ref]] = ()) -> list[Any]:
        """Wait, with an eye on who is waited for."""
        return self._fetch(list(refs), behind)

    def done(self, refs: Sequence[Ref]) -> bool:
        """Returns whether all values are there."""
        return not ray.wait(list(refs), num_returns=len(refs), timeout=0)[1]

    def id_of(self, process: Any) -> str:
        """Ray's."""
        return id_of(process)

    def kill(self, process: Any) -> None:
        """End an actor."""
        self._actors.pop(id_of(process), None)
        ray.kill(process)

    def lost(self, processes: Sequence[Any]) -> list[Any]:
        """Those that do not tell where they are."""
        asked = [(process, process.facts.remote()) for process in processes]
        return [process for process, ref in asked if self._is_lost(process, ref)]

    def _is_lost(self, process: Any, ref: Ref) -> bool:
        try:
            self._fetch([ref])
        except ProcessLostError as error:
            if error.actor in (id_of(process), None):
                return True
            raise
        return False

    def check(self) -> None:
        """Raises if Ray's head is gone."""
        self._connection.check()

    def close(self) -> None:
        """End our actors, and the connection."""
        if self._connection.is_alive():
            for actor in self._actors.values():
                ray.kill(actor)
            if not self._connection.ends_ray():  # which may hang, so that it is asked for nothing it does anyway
                self._placing.close()
        self._connection.close()

    def _know(self, facts: Iterable[Mapping[str, Any]]) -> None:
        """Remember where processes are, by what they say."""
        for one in facts:
            actor = str(one["actor"])
            self._places[actor] = one["node"], one["pid"]
            where = f"process {one['pid']} on {one['address']}"
            self._fetch.people[actor] = Someone(self._fetch.roles[actor], actor, where)

    def _hear(self) -> None:
        """Learn where the recorder is, which is slow to start and may not have been waited for."""
        if self._recorder_says is not None and ray.wait([self._recorder_says], timeout=0)[0]:
            said, self._recorder_says = self._recorder_says, None
            with suppress(ray.exceptions.RayError):  # whoever waits for its work is told
                self._know([ray.get(said)])

    def _end(self, someone: Someone) -> bool:
        """End a process that hangs; whether it could be."""
        if someone.actor not in self._places:
            return False
        return end_process(*self._places[someone.actor])

    def _is_busy(self, someone: Someone) -> bool:
        """Returns whether it is still starting, or is the recorder and answers: an evaluation may take any time."""
        if someone.actor not in self._places:
            return monotonic() - self._began < self._config.engine.ready_timeout_s
        if self._recorder is None or someone.actor != id_of(self._recorder):
            return False
        return bool(ray.wait([self._recorder.is_there.remote()], timeout=ANSWER_S)[0])

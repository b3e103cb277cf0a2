"""The Ray executor: an actor per device (or per few), a server actor, a recorder beside the driver.

Per round the driver submits one call per worker and one to the server, passes references on, and fetches
scalars. The server's call is queued with the references of that round's updates and returns what goes down
next, so rounds chain on the cluster without the driver in between.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any

import ray

from raygan.cluster.connection import Connection
from raygan.cluster.ending import ANSWER_S, end_process
from raygan.cluster.placement import Strategy, placing_of
from raygan.cluster.ray_private import id_of
from raygan.cluster.resources import Resources, needs_of
from raygan.cluster.routing import by_worker, senders
from raygan.cluster.waiting import Patience
from raygan.errors import InputError, ProcessLostError, RunError
from raygan.executors.actors import ByWorker, RecorderActor, ServerActor, WorkerActor
from raygan.executors.interface import PATIENCE, Executor, Played, Setup, played
from raygan.executors.results import LOOK_S, Fetcher, RayPending
from raygan.executors.vigil import Someone, Vigil
from raygan.record.checkpoint import Snapshot
from raygan.round.likeness import unlike_before
from raygan.round.updates import WorkerReport
from raygan.round.versions import check_versions
from raygan.round.worker import worker_role


@dataclass(frozen=True)
class _Call:
    """A round asked of a worker."""

    worker: int
    actor: Any
    devices: list[int]
    report: Any


class RayExecutor(Executor):
    """Plays rounds on Ray actors."""

    def __init__(
        self, setup: Setup, start: Snapshot | None, connection: Connection, patience: Patience, vigil: Vigil
    ) -> None:
        config = setup.config
        self._happened = vigil.say
        self._config = config
        self._setup = setup
        self._drops = config.engine.on_device_failure == "drop"
        self._round = start.round if start is not None else 0
        self._played: list[Any] = []
        self._actors: list[Any] = []
        self._began = monotonic()
        self._places: dict[str, tuple[str, int]] = {}
        vigil.check, vigil.end, vigil.busy = connection.check, self._end, self._is_busy
        self._vigil = vigil
        self._fetch = Fetcher(vigil, self._hear)
        self._recorder_says: Any = None
        self._adds_up = config.engine.pre_average and setup.problem.aggregator(config).adds_up
        self._needs = needs_of(config)
        self._connection = connection
        try:
            self._placing = placing_of(self._needs, config.engine, patience)
        except BaseException:
            connection.close()
            raise
        try:
            actors = self._start_all()
            if "GPU" in self._needs.recorder:  # so that the facts tell which GPU it has
                self._recorder = self._start_recorder()
                actors.append(self._recorder)
            self._facts = self._wait_until_ready(actors)
            self._server_node, *self._nodes = [facts["node"] for facts in self._facts[: len(self._workers) + 1]]
            if "GPU" not in self._needs.recorder:  # it has more to import than the others, who would wait for the cores
                self._recorder = self._start_recorder()
                self._recorder_says = self._recorder.facts.remote()  # not waited for, as it is slow to start
            if start is not None:
                self._restore(start)
            self._down = self._server.down.remote(self._round + 1)
        except BaseException:
            self.close()
            raise

    def _start_all(self) -> list[Any]:
        """The server and the workers."""
        options = _actor(ServerActor).options(**_asks(self._needs.server), scheduling_strategy=self._placing.server())
        self._server = self._own(options.remote(self._config, self._setup.problem, str(Path.cwd())), "server")
        self._workers = [
            self._start_worker(worker, self._placing.worker(worker)) for worker in range(self._needs.workers)
        ]
        self._lost = [0] * self._needs.workers
        """How often each worker was lost since it was last heard of."""
        return [self._server, *self._workers]

    def _start_recorder(self) -> Any:
        first_round = self._round + 1 if self._round else 0
        options = _actor(RecorderActor, concurrency_groups={"files": 1, "pulse": 1}).options(
            **_asks(self._needs.recorder), scheduling_strategy=self._placing.recorder()
        )
        setup, images = self._setup, ray.put(self._setup.images)
        actor = options.remote(self._config, setup.settings, setup.root, images, first_round, str(Path.cwd()))
        return self._own(actor, "the recorder")

    def _start_worker(self, worker: int, place: Strategy) -> Any:
        devices = self._devices_of(worker)
        shards = ray.put(self._setup.shards_of(devices))
        options = _actor(WorkerActor).options(**_asks(self._needs.per_worker), scheduling_strategy=place)
        actor = options.remote(self._config, self._setup.problem, shards, str(Path.cwd()))
        return self._own(actor, worker_role(devices))

    def _own(self, actor: Any, role: str) -> Any:
        self._actors.append(actor)
        self._fetch.roles[id_of(actor)] = role
        return actor

    def _devices_of(self, worker: int) -> range:
        together = self._config.engine.devices_per_actor
        return range(worker * together, min((worker + 1) * together, self._config.devices))

    def _wait_until_ready(self, actors: list[Any]) -> list[dict[str, object]]:
        timeout = self._config.engine.ready_timeout_s
        refs = [actor.facts.remote() for actor in actors]
        late, deadline = refs, monotonic() + timeout
        while late and (left := deadline - monotonic()) > 0:
            _, late = ray.wait(refs, num_returns=len(refs), timeout=min(left, LOOK_S))
            if late:
                self._vigil.check_now_and_then()
                self._check_nodes_of(actors)
        if late:
            raise InputError(
                f"{len(late)} of {len(refs)} actors were not ready after {timeout:g} s: they found room, but the "
                "machines are busy or slow; raise engine.ready_timeout_s"
            )
        facts: list[dict[str, object]] = self._fetch(refs)
        check_versions(facts)
        self._know(facts)
        return facts

    def _check_nodes_of(self, actors: list[Any]) -> None:
        """Raise if one of them would be waited for in vain, on a node that is gone: Ray itself would wait for ever."""
        for worker in self._placing.in_vain():
            if (actor := self._workers[worker]) in actors:
                raise ProcessLostError(f"{self._fetch.roles[id_of(actor)]}: its node is gone", id_of(actor))

    def _restore(self, start: Snapshot) -> None:
        workers = [
            actor.restore.remote(start.of(self._devices_of(worker))) for worker, actor in enumerate(self._workers)
        ]
        self._fetch([self._server.restore.remote(start.server), *workers])

    def play(self, round: int, devices: Sequence[int], partners: Mapping[int, int]) -> RayPending[Played]:
        """Submit a round."""
        self._round = round
        before = self._played[1:]  # an exchange that failed must not be forgotten in the rounds behind it
        chosen = self._by_worker(devices)
        calls, sent, sums = [], ByWorker(), []
        for workers in senders(chosen, self._nodes, self._server_node, self._adds_up, self._setup.problem.slots):
            of_workers: ByWorker = {}
            for worker in workers:
                numbers, far = chosen[worker], len(workers) == 1 and self._nodes[worker] != self._server_node
                update, report = self._workers[worker].round.remote(round, self._down, numbers, far, *before)
                of_workers[tuple(numbers)] = update
                calls.append(_Call(worker, self._workers[worker], numbers, report))
            if len(workers) > 1:
                sums.append(self._workers[workers[0]].add_up.remote(of_workers))
                of_workers = {tuple(chain(*of_workers)): sums[-1]}
            sent |= of_workers
        self._down, server = self._server.round.remote(round, sent)
        exchanged = self._exchange(partners)
        reports = [call.report for call in calls]
        if self._drops:
            for ref in exchanged:  # now, so that a failure that is no loss is in no checkpoint
                with suppress(ProcessLostError):  # a round's report tells of it; the partner keeps what it has
                    self._fetch([ref])
            self._played = [server]
            return RayPending([*reports, server], lambda: self._what_is_left(calls, sums, server))
        self._played = [server, *exchanged]
        refs = [*reports, *self._played]
        return RayPending(refs, lambda: self._whole(refs, sums, len(calls)))

    def _whole(self, refs: list[Any], sums: list[Any], workers: int) -> Played:
        """What came of a round in which nobody was lost."""
        values = self._fetch(refs, [refs[:workers], sums, [refs[workers]]])
        return played(values[:workers], values[workers])

    def _what_is_left(self, calls: list["_Call"], sums: list[Any], server: Any) -> Played:
        """What came of a round without the workers that were lost in it."""
        (of_server,) = self._fetch(
            [server], [[call.report for call in calls], sums]
        )  # first: when the server is lost, so is the round
        return played([self._report_of(call) for call in calls], of_server)

    def _report_of(self, call: "_Call") -> WorkerReport:
        """A worker's report; if it was lost, what there is to say of that, and it is replaced."""
        try:
            report: WorkerReport = self._fetch([call.report])[0]
        except ProcessLostError as error:
            if error.actor not in (id_of(call.actor), None):  # not every kind of loss says whose it is
                raise
            self._connection.check()  # nothing can be started without a head
            if self._workers[call.worker] is call.actor:  # not yet replaced, for a round before this one
                self._replace(call.worker, error)
            return WorkerReport(dropped=dict.fromkeys(call.devices, str(error)))
        self._lost[call.worker] = 0
        return report

    def _replace(self, worker: int, error: ProcessLostError) -> None:
        """Start a lost worker again, its devices as the last checkpoint has them."""
        self._lost[worker] += 1
        if self._lost[worker] >= PATIENCE:
            raise RunError(f"{error}; it is the third time in a row") from error
        for last_try in (False, True):
            try:
                self._start_again(worker)
                return
            except InputError as no_room:
                raise RunError(f"{error}; it could not be started again: {no_room}") from no_room
            except ProcessLostError as lost:  # on a node that is gone, as is known now
                if last_try or lost.actor not in (id_of(self._workers[worker]), None):
                    raise

    def _start_again(self, worker: int) -> None:
        self._actors.remove(self._workers[worker])
        ray.kill(self._workers[worker])  # it may be only what it had made that was lost
        self._workers[worker] = self._start_worker(worker, self._placing.again(worker))
        (facts,) = self._wait_until_ready([self._workers[worker]])
        self._nodes[worker] = facts["node"]
        if unlike := unlike_before([facts], self._facts):
            self._happened(unlike)
        states = self._recorder.saved_states.remote(self._devices_of(worker))
        self._fetch([self._workers[worker].restore.remote(states)])

    def _exchange(self, partners: Mapping[int, int]) -> list[Any]:
        """Move states from actor to actor; the references tell when it is done."""
        given = {
            worker: self._workers[worker].hand_over.remote(numbers)
            for worker, numbers in self._by_worker(partners.values()).items()
        }
        done = []
        for worker, receivers in self._by_worker(partners).items():
            wanted = {receiver: partners[receiver] for receiver in receivers}
            for giver, givers in self._by_worker(wanted.values()).items():  # apart, so that one's loss is not another's
                theirs = {receiver: number for receiver, number in wanted.items() if number in givers}
                done.append(self._workers[worker].take_over.remote(theirs, given[giver]))
        return done

    def _by_worker(self, devices: Iterable[int]) -> dict[int, list[int]]:
        return by_worker(devices, self._config.engine.devices_per_actor)

    # What is asked of actors behind a round takes that round's result as an argument: if the round failed, so
    # does the rest, and no state of a half-played round is measured or saved.

    def evaluate(self) -> RayPending[dict[str, object]]:
        """Submit a measurement."""
        generators = self._server.generators.remote(*self._played)
        kept = self._recorder.keep.remote(self._round, generators)
        measured = self._recorder.evaluate.remote(self._round, generators)
        return RayPending([measured], lambda: self._fetch([measured, kept], [[generators]] * 2)[0])

    def evaluate_kept(self, round: int) -> RayPending[dict[str, object]]:
        """Submit a measurement of what is kept."""
        return self._pending(self._recorder.evaluate_kept.remote(round))

    def save(self) -> RayPending[None]:
        """Submit a checkpoint: the states go from the actors to the recorder."""
        states: ByWorker = {
            self._devices_of(worker): actor.states.remote(*self._played) for worker, actor in enumerate(self._workers)
        }
        server = self._server.state.remote(*self._played)
        return self._pending(self._recorder.save.remote(self._round, server, states), server, *states.values())

    def export(self) -> RayPending[None]:
        """Submit the writing of generator.safetensors."""
        generators = self._server.generators.remote(*self._played)
        return self._pending(self._recorder.export.remote(self._round, generators), generators)

    def _pending(self, ref: Any, *behind: Any) -> RayPending[Any]:
        return RayPending([ref], lambda: self._fetch([ref], [behind])[0])

    def facts(self) -> dict[str, object]:
        """Where each actor is, and the cluster."""
        return {"processes": self._facts, "cluster": ray.cluster_resources()}

    def _know(self, facts: Iterable[Mapping[str, Any]]) -> None:
        """Remember where processes are, by what they say."""
        for one in facts:
            actor = str(one["actor"])
            self._places[actor] = one["node"], one["pid"]
            where = f"process {one['pid']} on {one['address']}"
            self._fetch.people[actor] = Someone(self._fetch.roles[actor], actor, where)

    def _hear(self) -> None:
        """Learn where the recorder is, which is slow to start and was not waited for."""
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
        """Whether it is still starting, or is the recorder and answers: measuring may take as long as it likes."""
        if someone.actor not in self._places:
            return monotonic() - self._began < self._config.engine.ready_timeout_s
        if someone.actor != id_of(self._recorder):
            return False
        return bool(ray.wait([self._recorder.is_there.remote()], timeout=ANSWER_S)[0])

    def close(self) -> None:
        """End our actors, and the connection."""
        if self._connection.is_alive():
            for actor in self._actors:
                ray.kill(actor)
            if not self._connection.ends_ray():  # which may hang, so that it is asked for nothing it does anyway
                self._placing.close()
        self._connection.close()


def _actor(plain: type, **options: Any) -> Any:
    with_options: Any = ray.remote
    return with_options(**options)(plain) if options else with_options(plain)


def _asks(resources: Resources) -> dict[str, float]:
    return {"num_cpus": resources["CPU"], "num_gpus": resources.get("GPU", 0.0)}

"""The Ray executor: an actor per device (or per few), a server actor, a recorder beside the driver.

Per round the driver submits one call per host and one to the server, passes references on, and fetches
scalars. The server's call is queued with the references of that round's updates and returns what goes down
next, so rounds chain on the cluster without the driver in between.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raygan.config.tree import Config
from raygan.data.images import ImageSet
from raygan.engine.actors import HostActor, RecorderActor, ServerActor
from raygan.engine.checkpoint import Snapshot
from raygan.engine.cluster import Needs, Resources, connect, needs_of, shortage
from raygan.engine.executor import Executor, round_metrics
from raygan.engine.parties import Problem
from raygan.errors import InputError, ProcessLostError, RunError
from raygan.methods.base import Metrics, Shard

Result = TypeVar("Result")


class RayPending(Generic[Result]):
    """Work under way on the cluster."""

    def __init__(
        self, refs: list[Any], combine: Callable[[list[Any]], Result], fetch: Callable[[list[Any]], list[Any]]
    ) -> None:
        self._refs = refs
        self._combine = combine
        self._fetch = fetch

    def result(self) -> Result:
        """Wait for it; what went wrong on the cluster is raised as it was there."""
        return self._combine(self._fetch(self._refs))

    def done(self) -> bool:
        """Whether all of it is."""
        return not ray.wait(self._refs, num_returns=len(self._refs), timeout=0)[1]


class RayExecutor(Executor):
    """Plays rounds on Ray actors."""

    def __init__(
        self, config: Config, root: Path, images: ImageSet, shards: list[np.ndarray], start: Snapshot | None
    ) -> None:
        self._config = config
        self._round = start.round if start is not None else 0
        self._played: list[Any] = []
        self._actors: list[Any] = []
        self._roles: dict[str, str] = {}
        needs = needs_of(config)
        self._ours = connect(config, needs)
        try:
            self._place(root, images, shards, needs)
            self._facts = self._wait_until_ready(needs)
            self._roles |= {str(facts["actor"]): str(facts["role"]) for facts in self._facts}
            if start is not None:
                self._restore(start)
            self._down = self._server.down.remote(self._round + 1)
        except BaseException:
            self.close()
            raise

    def _place(self, root: Path, images: ImageSet, shards: list[np.ndarray], needs: Needs) -> None:
        config, folder = self._config, str(Path.cwd())
        first_round = self._round + 1 if self._round else 0
        problem = Problem(images.shape, len(images))
        server_class, host_class = _actor(ServerActor), _actor(HostActor)
        recorder_class = _actor(RecorderActor, concurrency_groups={"files": 1})
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = recorder_class.options(**_asks(needs.recorder), scheduling_strategy=here)
        self._recorder = options.remote(config, root, first_round, folder)
        self._actors.append(self._recorder)  # first: it can only be placed on this node
        self._server = server_class.options(**_asks(needs.server)).remote(config, problem, folder)
        self._actors.append(self._server)
        self._hosts = []
        for first in range(0, config.devices, config.engine.devices_per_actor):
            numbers = range(first, min(first + config.engine.devices_per_actor, config.devices))
            held = ray.put([Shard(number, images.images[shards[number]]) for number in numbers])
            options = host_class.options(**_asks(needs.per_host), scheduling_strategy="SPREAD")
            self._hosts.append(options.remote(config, problem, held, folder))
        self._actors += self._hosts

    def _wait_until_ready(self, needs: Needs) -> list[dict[str, object]]:
        """Wait for server and devices, and for the recorder if it needs a GPU (it has more to import)."""
        timeout = self._config.engine.ready_timeout_s
        recorder = [self._recorder] if "GPU" in needs.recorder else []
        refs = [actor.facts.remote() for actor in [self._server, *self._hosts, *recorder]]
        _, late = ray.wait(refs, num_returns=len(refs), timeout=timeout)
        if late:
            reason = shortage(needs) or "the cluster is large enough, but busy or slow: raise engine.ready_timeout_s"
            raise InputError(f"{len(late)} of {len(refs)} actors were not ready after {timeout:g} s; {reason}")
        return self._fetch(refs)

    def _fetch(self, refs: list[Any]) -> list[Any]:
        """Results, or the first failure as one of our errors: what happened, and in which process."""
        try:
            values: list[Any] = ray.get(refs)
        except RayTaskError as error:
            cause = _first_cause(error)
            if isinstance(cause, InputError | RunError):
                raise type(cause)(str(cause)) from error
            if isinstance(cause, RayError):
                raise ProcessLostError(_reason(cause, self._roles)) from error
            raise RunError(f"{type(cause).__name__} in {error.function_name}: {cause}") from error
        except RayError as error:
            raise ProcessLostError(_reason(error, self._roles)) from error
        return values

    def _restore(self, start: Snapshot) -> None:
        devices = ray.put(start.devices)
        self._fetch(
            [self._server.restore.remote(start.server), *[host.restore.remote(devices) for host in self._hosts]]
        )

    def play(self, round: int, devices: Sequence[int], partners: Mapping[int, int]) -> RayPending[Metrics]:
        """Submit a round."""
        self._round = round
        hosts = self._by_host(devices)
        before = self._played[1:]  # an exchange that failed must not be forgotten in the rounds behind it
        started = [
            self._hosts[host].round.remote(round, self._down, numbers, *before) for host, numbers in hosts.items()
        ]
        self._down, played = self._server.round.remote(round, [update for update, _ in started])
        self._played = [played, *self._exchange(partners)]
        reports = [report for _, report in started]
        return RayPending([*reports, *self._played], _combine_reports(len(reports)), self._fetch)

    def _exchange(self, partners: Mapping[int, int]) -> list[Any]:
        """Move states from actor to actor; the references tell when it is done."""
        given = {
            host: self._hosts[host].hand_over.remote(numbers)
            for host, numbers in self._by_host(partners.values()).items()
        }
        done = []
        for host, receivers in self._by_host(partners).items():
            wanted = {receiver: partners[receiver] for receiver in receivers}
            done.append(
                self._hosts[host].take_over.remote(wanted, *[given[giver] for giver in self._by_host(wanted.values())])
            )
        return done

    def _by_host(self, devices: Iterable[int]) -> dict[int, list[int]]:
        """Device numbers in order, by the index of the actor that plays them."""
        hosts: dict[int, list[int]] = {}
        for number in sorted(devices):
            hosts.setdefault(number // self._config.engine.devices_per_actor, []).append(number)
        return hosts

    # What is asked of actors behind a round takes that round's result as an argument: if the round failed, so
    # does the rest, and no state of a half-played round is measured or saved.

    def evaluate(self) -> RayPending[dict[str, object]]:
        """Submit a measurement."""
        generators = self._server.generators.remote(*self._played)
        return RayPending([self._recorder.evaluate.remote(self._round, generators)], _only, self._fetch)

    def save(self) -> RayPending[None]:
        """Submit a checkpoint: the states go from the actors to the recorder."""
        states = [actor.states.remote(*self._played) for actor in self._hosts]
        server = self._server.state.remote(*self._played)
        return RayPending([self._recorder.save.remote(self._round, server, *states)], _only, self._fetch)

    def export(self) -> RayPending[None]:
        """Submit the writing of generator.safetensors."""
        generators = self._server.generators.remote(*self._played)
        return RayPending([self._recorder.export.remote(self._round, generators)], _only, self._fetch)

    def facts(self) -> dict[str, object]:
        """Where each actor is, and the cluster."""
        return {"processes": self._facts, "cluster": ray.cluster_resources()}

    def close(self) -> None:
        """End our actors, and Ray if it is ours."""
        for actor in self._actors:
            ray.kill(actor)
        if self._ours:
            ray.shutdown()


def _actor(plain: type, **options: Any) -> Any:
    with_options: Any = ray.remote
    return with_options(**options)(plain) if options else with_options(plain)


def _asks(resources: Resources) -> dict[str, float]:
    return {"num_cpus": resources["CPU"], "num_gpus": resources.get("GPU", 0.0)}


def _combine_reports(hosts: int) -> Callable[[list[Any]], Metrics]:
    """For the reports of so many hosts, then the server's; what is behind them was only waited for."""

    def combine(reports: list[Any]) -> Metrics:
        devices = {number: metrics for host in reports[:hosts] for number, metrics in host.items()}
        return round_metrics(devices, reports[hosts])

    return combine


def _only(values: list[Any]) -> Any:
    return values[0]


def _reason(error: RayError, roles: dict[str, str]) -> str:
    """One line of Ray's own words, and which of our processes it is about."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if not isinstance(error, RayActorError):
        return f"Ray: {lines[0]}"
    role = roles.get(str(error.actor_id), "the recorder")
    if error.actor_init_failed:
        return f"{role}: could not start: {lines[-1]}"
    return f"{role}: the process died (killed, or out of memory?): {lines[0]}"


def _first_cause(error: BaseException) -> BaseException:
    """What was raised first, however many actors passed it on."""
    while isinstance(error, RayTaskError):
        error = error.cause
    return error

"""Connection to Ray: joining a cluster or starting one, for as many runs as this process has."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from threading import Condition, Thread
from typing import Any, TypeVar

import ray
from ray.util.placement_group import PlacementGroup

from raygan.cluster.ending import shut_down
from raygan.cluster.forking import IMPORTED_BY_WORKERS, forking
from raygan.cluster.head import Head, kill_all, started_here, whole
from raygan.cluster.joining import check_own, join, more_room, refuse_ray_client, start
from raygan.cluster.resources import Needs, needs_of
from raygan.config.tree import Config
from raygan.errors import InputError, ProcessLostError, RunError

_ASKS_S = 1.0
Answer = TypeVar("Answer")


class Connection:
    """The process's own Ray, the cluster at `engine.address` or $RAY_ADDRESS, or one started on this machine.

    A Ray that is started here has as many logical CPUs as the run asks for. It is a simulation on one machine, whose
    actors share the cores.

    Ray logs the traceback of every failure that has not been fetched yet. That is switched off, because each failure
    reaches the user as an error of raygan.
    """

    def __init__(
        self,
        address: str | None,
        cpus: float,
        runtime_env: Mapping[str, Any] | None = None,
        idle_workers: bool = True,
    ) -> None:
        """`cpus` are the logical ones of a Ray that is started here; `runtime_env` is for all that is asked of it.

        `idle_workers`: whether such a Ray starts workers before it is asked for any, which forked actors cannot use.

        Raises:
            InputError: there is no cluster at `address` (`engine.address`), or Ray cannot be started.
        """
        self.started = False
        """Whether this Ray was started here, so that no nodes can join it."""
        self.may_grow = True
        """Whether nodes may join later: not in a Ray that this process started, which has one node."""
        refuse_ray_client(address)
        key = "engine.address" if address else "$RAY_ADDRESS"
        self._room: Any = None
        self._left = False
        with _shared.lock:  # one thread at a time: each thread of a pool may run a training
            _shared.wait_until_whole()
            self._ours = bool(_shared.users) or not ray.is_initialized()
            if ray.is_initialized():
                check_own(address)
                self.started = self._ours and _shared.started
                self.may_grow = not started_here()
                if self.started:
                    self._room = more_room(cpus)
            elif address := address or os.environ.get("RAY_ADDRESS"):
                join(address, key, runtime_env)
            else:
                self.started, self.may_grow = True, False
                start(cpus, runtime_env, idle_workers)
            if self._ours:
                _shared.users, _shared.started = _shared.users + 1, self.started
            self._head = Head()

    def is_alive(self) -> bool:
        """Whether Ray's head process is alive, as far as is known."""
        return self._head.is_alive()

    def ends_ray(self) -> bool:
        """Whether closing this connection ends Ray, with everything it holds."""
        return self._ours and self.started and _shared.users == 1

    def check(self) -> None:
        """Raise if Ray's head process is gone. Ray itself would end this process after a minute.

        Raises:
            ProcessLostError: the Ray was started here and can be started again.
            RunError: the Ray is another one.
        """
        if self._head.is_alive():
            return
        if self.started:
            raise ProcessLostError("Ray's head process (gcs_server) is gone")
        raise RunError(
            f"the head of the Ray cluster at {self._head.address} is gone (gcs_server), and the cluster with it"
        )

    def ask(self, question: Callable[[], Answer], /) -> Answer:
        """Ask Ray's head in a thread: a thread that asks a dead head would wait until Ray ends the process.

        Raises:
            ProcessLostError, RunError: as `check`.
        """
        answer: Future[Answer] = Future()

        def put() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:
                answer.set_exception(error)

        Thread(target=put, daemon=True).start()
        while True:
            self.check()
            if wait([answer], timeout=_ASKS_S).done:
                return answer.result()

    def close(self) -> None:
        """End Ray, if it was started here and no other run in this process uses it."""
        if not self._ours or self._left:
            return
        self._left = True
        with _shared.lock:
            _shared.users -= 1
            try:
                if self._room is not None:
                    self._room.kill_all_processes(check_alive=False, allow_graceful=False)
                if not _shared.users:
                    if not whole():  # Ray would wait for processes that do not answer
                        kill_all()
                    shut_down(kill_all)
            finally:
                _shared.lock.notify_all()


class _Shared:
    """The Ray of this process while runs use it, each in its own thread."""

    def __init__(self) -> None:
        self.lock = Condition()
        self.users = 0
        self.started = False

    def wait_until_whole(self) -> None:
        """Wait until all users of a Ray whose head is gone have noticed, so that it can be started again."""
        while self.users and self.started and ray.is_initialized() and not Head().is_alive():
            self.lock.wait(1.0)


_shared = _Shared()


def connect(config: Config) -> Connection:
    """Returns a connection to the Ray of a run.

    Raises:
        InputError: there is no cluster at `engine.address`.
    """
    found = forking(config.engine.workers, IMPORTED_BY_WORKERS)
    return Connection(config.engine.address, cpus_to_start(config), idle_workers=not found.runtime_env)


def cpus_to_start(config: Config) -> float:
    """Returns the logical CPUs of a Ray started for a run: as many as it asks for, and at least the machine's."""
    return max(os.cpu_count() or 1, needs_of(config).total["CPU"])


def group_of(needs: Needs) -> PlacementGroup | None:
    """Returns the placement group of this process, such as a Tune trial's, or None.

    Raises:
        InputError: its bundles do not fit these needs, so actors would wait forever.
    """
    group = ray.util.get_current_placement_group()
    if group is None:
        return None
    there = [{name: amount for name, amount in bundle.items() if amount} for bundle in group.bundle_specs]
    if there != needs.bundles:
        raise InputError(
            f"engine: this process is in a placement group of {there}, but the run needs {needs.bundles}; "
            "take the one that raygan.sweep.resources.resources_for makes of the config"
        )
    return group

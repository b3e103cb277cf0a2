"""Connection to Ray: joining a cluster or starting one, and its resources."""

import logging
import math
import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from signal import SIGKILL
from threading import Condition, Thread
from time import sleep
from typing import Any, TypeVar

import ray
from ray.util.placement_group import PlacementGroup

from raygan.cluster.ending import is_whole, processes_of, shut_down
from raygan.cluster.layout import Node
from raygan.cluster.ray_private import RayNode, RayParams, available_resources_per_node, own_node
from raygan.cluster.resources import Needs, needs_of
from raygan.config.tree import Config
from raygan.errors import InputError, ProcessLostError, RunError
from raygan.signals import sigterm_kept

_QUIET = logging.CRITICAL
_ASKS_S = 1.0
Answer = TypeVar("Answer")


class Connection:
    """The process's own Ray, the cluster at `engine.address` or $RAY_ADDRESS, or one started on this machine.

    A Ray that is started here has as many logical CPUs as the run asks for. It is a simulation on one machine, whose
    actors share the cores.

    Ray logs the traceback of every failure that has not been fetched yet. That is switched off, because each failure
    reaches the user as an error of raygan.
    """

    def __init__(self, address: str | None, cpus: float, runtime_env: Mapping[str, Any] | None = None) -> None:
        """`cpus` are the logical ones of a Ray that is started here; `runtime_env` is for all that is asked of it.

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
                _check_own(address)
                self.started = self._ours and _shared.started
                self.may_grow = not _started_here()
                if self.started:
                    self._room = _more_room(cpus)
            elif address := address or os.environ.get("RAY_ADDRESS"):
                _join(address, key, runtime_env)
            else:
                self.started, self.may_grow = True, False
                _start(cpus, runtime_env)
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
                    if not _is_whole():  # Ray would wait for processes that do not answer
                        _kill_all()
                    shut_down(_kill_all)
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


class Head:
    """Ray's head process (gcs_server), seen from this process."""

    def __init__(self) -> None:
        self.address = str(ray.get_runtime_context().gcs_address)
        node: Any = own_node()
        started: list[Any] = node.all_processes.get("gcs_server", [])
        self._process: Any = started[0].process if started else None
        self._gone = False

    def is_alive(self) -> bool:
        """Whether it is alive: a child process is checked, another head is connected to, several times if it fails."""
        if self._process is not None:
            return self._process.poll() is None
        for last_try in (False,) * (_TRIES - 1) + (True,):
            if self._gone:
                break
            try:
                knock(self.address, _OPENS_S)
                break
            except OSError:  # a network may fail for a moment
                self._gone = last_try
                sleep(_PAUSE_S)
        return not self._gone


_TRIES = 4
_OPENS_S = 3.0
"""How long a head elsewhere may take to open (seconds)."""
_PAUSE_S = 1.0


def _is_whole() -> bool:
    """Whether the Ray that this process started, if it did, runs."""
    node: Any = own_node()
    return node is None or not node.head or is_whole(node)


def _kill_all() -> None:
    """Kill the Ray that this process started, if it did."""
    node: Any = own_node()
    if node is not None and node.head:
        for pid in processes_of(node):
            with suppress(OSError):
                os.kill(pid, SIGKILL)


def _more_room(cpus: float) -> Any:
    """Add a node on this machine for another run of this process, as Ray's `cluster_utils` does for tests."""
    head: Any = own_node()
    params = RayParams(
        gcs_address=head.gcs_address,
        num_cpus=math.ceil(cpus),
        num_gpus=0,  # the first node has all GPUs
        node_manager_port=0,
        min_worker_port=0,
        max_worker_port=0,
        object_store_memory=_ROOM_BYTES,
    )
    before = len(all_nodes())
    room = RayNode(params, head=False, shutdown_at_exit=False, spawn_reaper=True)
    for _ in range(_SEEN_TRIES):
        if len(all_nodes()) > before:
            break
        sleep(0.1)
    return room


_ROOM_BYTES = 2 * 10**9
"""Object store of a node for another run: its processes exchange weights, which are freed soon."""
_SEEN_TRIES = 300


def refuse_ray_client(address: str | None) -> None:
    """Reject Ray Client, whether `engine.address` asks for it or this process uses it already.

    Raises:
        InputError: the address, or $RAY_ADDRESS if it applies, is of ray://; or this process is a client.
    """
    key, meant = "engine.address", address or ""
    if ray.is_initialized():  # $RAY_ADDRESS does not apply
        if ray.util.client.ray.is_connected():
            key, meant = "ray.init", _CLIENT
    elif address in (None, "auto"):  # which Ray itself takes for $RAY_ADDRESS
        key, meant = "$RAY_ADDRESS", os.environ.get("RAY_ADDRESS", "")
    if meant.startswith(_CLIENT):
        raise InputError(
            f"{key}: {meant}: Ray Client is not supported; run raygan on a node of the cluster with "
            "engine.address=auto, or as a job with `ray job submit` (docs/running_on_clusters.md)"
        )


_CLIENT = "ray://"


def connect(config: Config) -> Connection:
    """Returns a connection to the Ray of a run.

    Raises:
        InputError: there is no cluster at `engine.address`.
    """
    return Connection(config.engine.address, cpus_to_start(config))


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


def _started_here() -> bool:
    """Whether this process started the Ray that it uses."""
    node: Any = own_node()
    return bool(node.head)


def _check_own(address: str | None) -> None:
    here = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", here):
        raise InputError(f"engine.address: {address}, but this process already uses the Ray at {here}")


def _start(cpus: float, runtime_env: Mapping[str, Any] | None) -> None:
    """Start a Ray for this process only."""
    try:
        # "local": without it Ray joins any cluster it finds on this machine, another run's private one included.
        with sigterm_kept():
            ray.init(
                "local",
                num_cpus=math.ceil(cpus),
                runtime_env=runtime_env,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=_QUIET,
            )
    except Exception as error:  # Ray raises what it meets, also bare exceptions
        ray.shutdown()  # the processes that were started already
        reason = " ".join(str(error).split()) or type(error).__name__
        if "AF_UNIX" in reason:
            raise InputError(
                "engine.executor: the path of Ray's temporary folder is too long for its sockets; set RAY_TMPDIR to a "
                f"short folder, such as /tmp/$USER (whatever TMPDIR is): {reason}"
            ) from error
        raise InputError(
            f"engine.executor: Ray could not be started on this machine: {reason}; its logs are below /tmp/ray (or "
            "$RAY_TMPDIR). engine.executor=inline needs no Ray"
        ) from error


def _join(address: str, key: str, runtime_env: Mapping[str, Any] | None) -> None:
    """Join a cluster; `key` says where its address comes from."""
    _check_address(address, key)
    try:
        with sigterm_kept():
            ray.init(address=address, runtime_env=runtime_env, log_to_driver=False, logging_level=_QUIET)
    except (ConnectionError, ValueError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(
            f"{key}: no Ray cluster at {address!r} that lets this process in (RAY_AUTH_MODE=token, and its "
            f"token in ~/.ray/auth_token?): {first_line}"
        ) from error


def _check_address(address: str, key: str) -> None:
    """Reject an address where no process listens."""
    if address == "auto":
        return
    try:
        knock(address)
    except (OSError, UnicodeError) as error:
        raise InputError(f"{key}: no Ray cluster at {address!r} (auto or host:port): {error}") from error


def knock(address: str, timeout_s: float = 10.0) -> None:
    """Connect to host:port and disconnect: if no process listens, Ray itself would try for minutes.

    Raises:
        OSError: no process listens, or the address is invalid.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 2**16):
        raise OSError("it is no host and port")
    socket.create_connection((host, int(port)), timeout=timeout_s).close()


def all_nodes() -> list[Node]:
    """Returns the nodes of the cluster with their total resources."""
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], node["Resources"]) for node in ray.nodes() if node["Alive"]
    ]


def free_nodes() -> list[Node]:
    """Returns the nodes of the cluster with their free resources."""
    free = available_resources_per_node()
    return [Node(node.id, node.name, free.get(node.id, {})) for node in all_nodes()]

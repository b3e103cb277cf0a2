"""The start of a Ray, or the way into one that runs: what is refused, and in which words."""

import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import sleep
from typing import Any

import ray

from raygan.cluster.head import knock
from raygan.cluster.nodes import all_nodes
from raygan.cluster.ray_private import RayNode, RayParams, found_address, own_node, refuses_token
from raygan.errors import InputError
from raygan.signals import sigterm_kept

_QUIET = logging.CRITICAL


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


def check_own(address: str | None) -> None:
    here = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", here):
        raise InputError(f"engine.address: {address}, but this process already uses the Ray at {here}")


def start(cpus: float, runtime_env: Mapping[str, Any] | None, idle_workers: bool) -> None:
    """Start a Ray for this process only; `idle_workers`: with workers that are there before they are asked for."""
    try:
        # "local": without it Ray joins any cluster it finds on this machine, another run's private one included.
        with sigterm_kept(), _setting(IDLE_WORKERS, str(int(idle_workers))):
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


IDLE_WORKERS = "RAY_prestart_worker_first_driver"
"""The variable by which Ray decides whether workers are started for the first driver before it asks for any."""


@contextmanager
def _setting(variable: str, value: str) -> Iterator[None]:
    """Inside the block, an environment variable has a value, unless the user has given it one."""
    if variable in os.environ:
        yield
        return
    os.environ[variable] = value
    try:
        yield
    finally:
        del os.environ[variable]


def join(address: str, key: str, runtime_env: Mapping[str, Any] | None = None) -> None:
    """Join a cluster; `key` says where its address comes from."""
    _check_address(address, key)
    try:
        _check_token(address, key)
        with sigterm_kept():
            ray.init(address=address, runtime_env=runtime_env, log_to_driver=False, logging_level=_QUIET)
    except InputError:
        raise
    except ray.exceptions.AuthenticationError as error:
        where = os.environ.get("RAY_AUTH_TOKEN_PATH")
        lacks = f"RAY_AUTH_TOKEN_PATH={where}: no token can be read there" if where else "this process has no token"
        raise InputError(
            f"RAY_AUTH_MODE=token: {lacks}; copy the cluster's, which is in ~/.ray/auth_token on its head, to "
            "~/.ray/auth_token here, or name its file in RAY_AUTH_TOKEN_PATH"
        ) from error
    except (ConnectionError, ValueError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(
            f"{key}: no Ray cluster at {address!r} that lets this process in (RAY_AUTH_MODE=token, and its "
            f"token in ~/.ray/auth_token?): {first_line}"
        ) from error


def _check_token(address: str, key: str) -> None:
    """Reject a cluster that refuses this process for its token, before Ray tries again and again."""
    if (found := found_address() if address == "auto" else address) is None or not refuses_token(found):
        return
    if os.environ.get("RAY_AUTH_MODE") == "token":
        why = "refuses the token of this process: copy ~/.ray/auth_token from its head to here (or RAY_AUTH_TOKEN_PATH)"
    else:
        why = "asks for a token: set RAY_AUTH_MODE=token, with a copy of the head's ~/.ray/auth_token in the same place"
    raise InputError(f"{key}: the Ray cluster at {found} {why}")


def _check_address(address: str, key: str) -> None:
    """Reject an address where no process listens."""
    if address == "auto":
        return
    try:
        knock(address)
    except (OSError, UnicodeError) as error:
        raise InputError(f"{key}: no Ray cluster at {address!r} (auto or host:port): {error}") from error


def more_room(cpus: float) -> Any:
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

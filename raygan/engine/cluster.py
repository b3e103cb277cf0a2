"""Joining or starting Ray, and what it has."""

import logging
import math
import os
import socket
from typing import Any

import ray
from ray._private.state import available_resources_per_node  # Ray's public calls have only the cluster's sums
from ray.util.placement_group import PlacementGroup

from raygan.config.tree import Config
from raygan.engine.layout import Node
from raygan.engine.needs import Needs, needs_of
from raygan.engine.signals import sigterm_kept
from raygan.errors import InputError

_QUIET = logging.CRITICAL


class Connection:
    """The process's own Ray, the cluster at `engine.address` or $RAY_ADDRESS, or one started on this machine.

    A Ray that is started here has as many logical CPUs as are asked for: it is a simulation on one machine,
    whose actors take turns on the cores there are.

    Ray logs the traceback of every failure that nobody has asked for yet; each reaches the user as our own error.
    """

    def __init__(self, address: str | None, cpus: float) -> None:
        """`cpus` are the logical ones of a Ray that is started here.

        Raises:
            InputError: there is no cluster at `address` (`engine.address`), or Ray cannot be started.
        """
        self.started = False
        """Whether it is a Ray that was started here, which nothing can be added to."""
        self.may_grow = True
        """Whether nodes may come later: it is no Ray that this process started, which has one."""
        self._ours = not ray.is_initialized()
        if not self._ours:
            _check_own(address)
            self.may_grow = not _started_here()
        elif address := address or os.environ.get("RAY_ADDRESS"):
            _join(address)
        else:
            self.started, self.may_grow = True, False
            _start(cpus)

    def close(self) -> None:
        """End it, if it is ours to end."""
        if self._ours:
            ray.shutdown()
            self._ours = False


def connect(config: Config) -> Connection:
    """A connection to the Ray of a run.

    Raises:
        InputError: there is no cluster at `engine.address`.
    """
    return Connection(config.engine.address, cpus_to_start(config))


def cpus_to_start(config: Config) -> float:
    """Logical CPUs of a Ray that is started for a run: as many as it asks for, and no fewer than there are."""
    return max(os.cpu_count() or 1, needs_of(config).total["CPU"])


def group_of(needs: Needs) -> PlacementGroup | None:
    """The placement group this process was started in, such as a Tune trial's, or None.

    Raises:
        InputError: it is not laid out for these needs, so actors would wait for ever.
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
    node: Any = ray._private.worker._global_node
    return bool(node.head)


def _check_own(address: str | None) -> None:
    here = ray.get_runtime_context().gcs_address
    # A run that was started by a client has a ray:// address: its driver is in the cluster meant by that.
    if address not in (None, "auto", here) and not str(address).startswith("ray://"):
        raise InputError(f"engine.address: {address}, but this process already uses the Ray at {here}")


def _start(cpus: float) -> None:
    """Start a Ray for this process alone."""
    try:
        # "local": without it Ray joins any cluster it finds on this machine, another run's private one included.
        with sigterm_kept():
            ray.init(
                "local",
                num_cpus=math.ceil(cpus),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=_QUIET,
            )
    except Exception as error:  # Ray raises what it meets, also bare exceptions
        ray.shutdown()  # what had been started of it
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"engine.executor: Ray could not be started on this machine: {reason}; its logs are below /tmp/ray (or "
            "$RAY_TMPDIR). engine.executor=inline needs no Ray"
        ) from error


def _join(address: str) -> None:
    _check_address(address)
    try:
        with sigterm_kept():
            ray.init(address=address, log_to_driver=False, logging_level=_QUIET)
    except (ConnectionError, ValueError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(
            f"engine.address: no Ray cluster at {address!r} that lets this process in (RAY_AUTH_MODE=token, and its "
            f"token in ~/.ray/auth_token?): {first_line}"
        ) from error


def _check_address(address: str) -> None:
    """Refuse an address where nobody listens."""
    if address == "auto":
        return
    try:
        knock(address)
    except (OSError, UnicodeError) as error:
        raise InputError(f"engine.address: no Ray cluster at {address!r} (auto or host:port): {error}") from error


def knock(address: str) -> None:
    """Connect to host:port and leave again: where nobody listens, Ray itself would try for minutes.

    Raises:
        OSError: nobody listens, or it is no such address.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 2**16):
        raise OSError("it is no host and port")
    socket.create_connection((host, int(port)), timeout=10).close()


def all_nodes() -> list[Node]:
    """The nodes that are there, with all that each has."""
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], node["Resources"]) for node in ray.nodes() if node["Alive"]
    ]


def free_nodes() -> list[Node]:
    """The nodes that are there, with what nobody holds."""
    free = available_resources_per_node()
    return [Node(node.id, node.name, free.get(node.id, {})) for node in all_nodes()]

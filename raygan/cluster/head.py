"""Ray's head process: whether it is alive, and what ends one that does not respond."""

import os
import socket
from contextlib import suppress
from signal import SIGKILL
from time import sleep
from typing import Any

import ray

from raygan.cluster.ending import is_whole, processes_of
from raygan.cluster.ray_private import own_node


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


def knock(address: str, timeout_s: float = 10.0) -> None:
    """Connect to host:port and disconnect: if no process listens, Ray itself would try for minutes.

    Raises:
        OSError: no process listens, or the address is invalid.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 2**16):
        raise OSError("it is no host and port")
    socket.create_connection((host, int(port)), timeout=timeout_s).close()


def started_here() -> bool:
    """Whether this process started the Ray that it uses."""
    node: Any = own_node()
    return bool(node.head)


def whole() -> bool:
    """Whether the Ray that this process started, if it did, runs."""
    node: Any = own_node()
    return node is None or not node.head or is_whole(node)


def kill_all() -> None:
    """Kill the Ray that this process started, if it did."""
    node: Any = own_node()
    if node is not None and node.head:
        for pid in processes_of(node):
            with suppress(OSError):
                os.kill(pid, SIGKILL)

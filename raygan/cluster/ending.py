"""Ending of processes and of Ray, including those that no longer respond."""

import atexit
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

import ray

from raygan.cluster.ray_private import at_exit
from raygan.cluster.resources import on_node

ANSWER_S = 10.0
"""How long a process, or a node, may take to answer a question."""
CLOSE_S = 15.0
"""How long Ray may take to end: one whose head is dead takes 7 s (seen), one that works less than one."""
_left_open = False


def end_process(node: str, pid: int) -> bool:
    """Kill a process on a node (by Ray's id), also a stopped one; returns whether that was possible."""
    if node == ray.get_runtime_context().get_node_id():
        return _kill(pid)
    kill: Any = ray.remote(_kill)
    asked = kill.options(num_cpus=0, max_retries=0, **on_node(node)).remote(pid)
    if not ray.wait([asked], timeout=ANSWER_S)[0]:
        return False
    try:
        return bool(ray.get(asked))
    except ray.exceptions.RayError:
        return False


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:  # it has just ended
        return True
    except OSError:
        return False
    return True


def processes_of(node: Any) -> list[int]:
    """Returns the ids of the processes of a Ray that this process started, workers and agents included."""
    import psutil  # type: ignore[import-untyped]  # Ray brings it along

    found: dict[int, None] = {}
    for kind in list(node.all_processes.values()):
        for one in kind:
            with suppress(psutil.Error):
                process = psutil.Process(one.process.pid)
                found |= dict.fromkeys(child.pid for child in process.children(recursive=True))
                found[process.pid] = None
    return list(found)


def is_whole(node: Any) -> bool:
    """Returns whether head and raylet of a Ray that this process started are running: neither ended nor stopped."""
    import psutil  # Ray brings it along

    try:
        return not any(
            psutil.Process(one.process.pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
            for kind in ("gcs_server", "raylet")
            for one in node.all_processes.get(kind, [])
        )
    except psutil.NoSuchProcess:
        return False


def shut_down(kill_all: Callable[[], None]) -> None:
    """End this process's connection to Ray, and its Ray; `kill_all` ends one that takes too long.

    Ray waits for its raylet and its head without a limit, ignoring Ctrl-C, even if they are stopped or gone.
    """
    global _left_open
    ending = Thread(target=ray.shutdown, daemon=True)
    ending.start()
    try:
        try:
            ending.join(CLOSE_S)
        finally:  # also after another Ctrl-C
            if ending.is_alive():
                kill_all()
                ending.join(CLOSE_S)
    finally:
        if ending.is_alive():  # another process's Ray, which hangs: the interpreter must not wait for it
            atexit.unregister(at_exit)
            _left_open = True


def left_open() -> bool:
    """Returns whether Ray hangs in this process, so that only `os._exit` ends it."""
    return _left_open

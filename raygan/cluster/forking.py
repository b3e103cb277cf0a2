"""The way that Ray starts the workers of a run: forked from one process of their node, or each with its own imports."""

import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import ray

from raygan.cluster import fork_server
from raygan.cluster.ray_private import env_of_job

Start = Literal["fork", "spawn"]
_EXECUTABLES = ("conda", "container", "image_uri", "nsight", "pip", "py_executable", "rocprof_sys", "uv")
"""Entries of a runtime environment that choose a worker's interpreter."""
_OTHER_PLACE = "the driver's interpreter or raygan are in another folder there"
_COMMAND = f"""
if [ -x "$1" ] && [ -f "$2" ]; then interpreter=$1 server=$2 modules=$3; shift 3
exec "$interpreter" -I -S "$server" "$modules" "$@"; fi
export {fork_server.NOT_FORKED}="{_OTHER_PLACE}"; shift 3
command=$(tr "\\0" "\\n" < /proc/$PPID/cmdline | sed -n "s/^--python_worker_command=\\([^ ]*\\) .*/\\1/p")
exec "${{command:-python}}" "$@"
"""
"""Runs a worker by the fork server's client, with the driver's interpreter; where that is missing, by Ray's own."""


IMPORTED_BY_WORKERS = "ray", "numpy", "torch", "raygan.executors.ray_actors"
"""What every process of a run imports."""


@dataclass(frozen=True)
class Forking:
    """How to ask Ray for workers, and why they are not forked, if they were to be."""

    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    """Of an actor, or of a whole job."""
    why_not: str | None = None


def forking(start: Start, modules: Iterable[str]) -> Forking:
    """Returns how to start workers that import these modules, from a process that uses Ray or is about to.

    A worker of Ray that asks for others is forked as they are: its own server has imported what they need.
    """
    if start == "spawn":
        return Forking()
    if sys.platform != "linux":
        return Forking(why_not="only Linux can")
    env = dict(ray.get_runtime_context().runtime_env) if ray.is_initialized() else env_of_job()
    chosen = next((name for name in _EXECUTABLES if name in env), None)
    if chosen == "py_executable" and fork_server.__file__ in env[chosen]:
        return Forking()
    if chosen is not None:
        return Forking(why_not=f"the job's runtime environment chooses their interpreter ({chosen})")
    words = ["sh", "-c", _COMMAND, "sh", sys.executable, fork_server.__file__, ",".join(modules)]
    return Forking({"py_executable": shlex.join(words)})


def not_forked(processes: Iterable[Mapping[str, Any]]) -> str | None:
    """Returns in one line which processes, by their facts, say why they were not forked; None if none does."""
    reasons: dict[str, set[str]] = {}
    for process in processes:
        if reason := process.get("not_forked"):
            reasons.setdefault(str(reason), set()).add(str(process["address"]))
    if not reasons:
        return None
    where = "; ".join(f"on {', '.join(sorted(nodes))}: {reason}" for reason, nodes in sorted(reasons.items()))
    return f"workers are not forked (engine.workers) {where}"

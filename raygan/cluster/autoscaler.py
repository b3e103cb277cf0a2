"""Asks the autoscaler of the cluster that this process is connected to: its state, its cluster file, its log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from raygan.cluster.ending import ANSWER_S
from raygan.cluster.node_types import NodeTypes, node_types_of
from raygan.cluster.ray_private import autoscaler_reply, autoscaler_status, is_head
from raygan.cluster.resources import on_node
from raygan.cluster.scaling import Scaling, scaling_of_v1, scaling_of_v2, words_in

_LOG_BYTES = 200_000


@dataclass(frozen=True)
class Monitor:
    """What is to be read on the head, where Ray's autoscaler runs as a process called monitor.py."""

    types: NodeTypes | None
    """The types of nodes that it may start; None: they are not known, such as on Kubernetes."""
    words: Mapping[str, str]
    """The provider's last words on failed launches, by type."""


def ask_scaling() -> Scaling | None:
    """Returns the state of the autoscaler, or None if there is none, or it has not reported yet."""
    try:
        return scaling_of_v2(autoscaler_reply()) or scaling_of_v1(json.loads(autoscaler_status() or "{}"))
    except Exception:  # Ray's own, or of a status in another form: a run that waits goes on without
        return None


def ask_monitor() -> Monitor:
    """Returns what is to be read on the head, by a task there if this is another node."""
    nothing = Monitor(None, {})
    heads = [node["NodeID"] for node in ray.nodes() if node["Alive"] and is_head(node)]
    context: Any = ray.get_runtime_context()
    if not heads:
        return nothing
    if heads[0] == context.get_node_id():
        return _read(context.gcs_address)
    read: Any = ray.remote(_read)
    asked = read.options(num_cpus=0, max_retries=0, **on_node(heads[0])).remote(context.gcs_address)
    if not ray.wait([asked], timeout=ANSWER_S)[0]:
        return nothing
    try:
        found: Monitor = ray.get(asked)
    except ray.exceptions.RayError:
        return nothing
    return found


def _read(address: str) -> Monitor:
    """Read the file and the log that this machine's autoscaler has on its command line."""
    options = _options_of_monitor(address)
    types, words = None, {}
    if file := options.get("--autoscaling-config"):
        try:
            types = node_types_of(YAML(typ="safe").load(Path(file).expanduser()))
        except (OSError, ValueError, TypeError, AttributeError, YAMLError):  # it is Ray's, and may be another's
            types = None
    if folder := options.get("--logs-dir"):
        words = words_in(_tail(Path(folder) / "monitor.log"))
    return Monitor(types, words)


def _options_of_monitor(address: str) -> dict[str, str]:
    import psutil  # type: ignore[import-untyped]  # Ray brings it along

    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if any(word.endswith("monitor.py") for word in line[:4]) and f"--gcs-address={address}" in line:
            return dict(word.split("=", 1) for word in line if word.startswith("--") and "=" in word)
    return {}


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return log.read().decode(errors="replace")
    except OSError:
        return ""

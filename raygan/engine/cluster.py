"""What a run asks Ray for, joining or starting Ray, and saying in one line what does not fit."""

import logging
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import ray
from ray.util.placement_group import PlacementGroup

from raygan.config.tree import Config
from raygan.errors import InputError

Resources = Mapping[str, float]
_QUIET = logging.CRITICAL


@dataclass(frozen=True)
class Needs:
    """What a run asks Ray for."""

    hosts: int
    per_host: Resources
    server: Resources
    recorder: Resources

    @property
    def total(self) -> dict[str, float]:
        """All actors together."""
        names = self.per_host.keys() | self.server.keys() | self.recorder.keys()
        others = (self.server, self.recorder)
        return {
            name: self.hosts * self.per_host.get(name, 0) + sum(other.get(name, 0) for other in others)
            for name in sorted(names)
        }

    @property
    def centre(self) -> dict[str, float]:
        """Server and recorder together."""
        return {name: self.server.get(name, 0) + self.recorder.get(name, 0) for name in ("CPU", "GPU")}

    @property
    def bundles(self) -> list[dict[str, float]]:
        """The placement group of a run that lives in one: server and recorder in the first bundle, then a host each."""
        bundles = [self.centre, *[self.per_host] * self.hosts]
        wanted = [{name: amount for name, amount in bundle.items() if amount} for bundle in bundles]
        return [bundle for bundle in wanted if bundle]


def needs_of(config: Config) -> Needs:
    """One actor per `devices_per_actor` devices, and the server; the recorder asks for no CPU."""
    engine = config.engine
    return Needs(
        hosts=-(-config.devices // engine.devices_per_actor),
        per_host=_resources(engine.cpus_per_device, engine.gpus_per_device),
        server=_resources(1.0, engine.server_gpus),
        recorder=_resources(0.0, config.eval.gpus),
    )


def _resources(cpus: float, gpus: float) -> Resources:
    return {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}


class Connection:
    """The process's own Ray, the cluster at `engine.address` or $RAY_ADDRESS, or one started on this machine.

    A Ray that is started here has as many logical CPUs as are asked for: it is a simulation on one machine,
    whose actors take turns on the cores there are.

    Ray logs the traceback of every failure that nobody has asked for yet; each reaches the user as our own error.
    """

    def __init__(self, address: str | None, cpus: float) -> None:
        """`cpus` are the logical ones of a Ray that is started here.

        Raises:
            InputError: there is no cluster at `address` (`engine.address`).
        """
        self.started = False
        """Whether it is a Ray that was started here, which nothing can be added to."""
        self._ours = not ray.is_initialized()
        if not self._ours:
            _check_own(address)
        elif address := address or os.environ.get("RAY_ADDRESS"):
            _join(address)
        else:
            self.started = True
            # "local": without it Ray joins any cluster it finds on this machine, another run's private one included.
            ray.init(
                "local",
                num_cpus=math.ceil(cpus),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=_QUIET,
            )

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
    return Connection(config.engine.address, max(os.cpu_count() or 1, needs_of(config).total["CPU"]))


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


def _check_own(address: str | None) -> None:
    here = ray.get_runtime_context().gcs_address
    # A run that was started by a client has a ray:// address: its driver is in the cluster meant by that.
    if address not in (None, "auto", here) and not str(address).startswith("ray://"):
        raise InputError(f"engine.address: {address}, but this process already uses the Ray at {here}")


def _join(address: str) -> None:
    _check_address(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=_QUIET)
    except (ConnectionError, ValueError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(f"engine.address: no Ray cluster at {address!r}: {first_line}") from error


def _check_address(address: str) -> None:
    """Refuse an address where nobody listens; Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"engine.address: no Ray cluster at {address!r} (auto or host:port): {error}") from error


def shortage(needs: Needs, in_one_group: bool = False) -> str | None:
    """Why the cluster as it is now cannot hold the actors, or None.

    Counted node by node: a share of a GPU cannot be put together from two nodes. In a placement group, server and
    recorder are on one node.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fit = sum(_fits(node, needs.per_host) for node in nodes)
    if fit < needs.hosts:
        gpus = f" and {needs.per_host['GPU']:g} GPU" if "GPU" in needs.per_host else ""
        return (
            f"engine: {needs.hosts} device actors of {needs.per_host['CPU']:g} CPU{gpus} each were asked for, but "
            f"{_describe(nodes)} hold{'s' if len(nodes) == 1 else ''} {fit}; lower devices or the share per device "
            f"(engine.gpus_per_device, engine.cpus_per_device), or raise engine.devices_per_actor"
        )
    for name, asked in needs.total.items():
        available = sum(node.get(name, 0.0) for node in nodes)
        if round(asked - available, 6) > 0:
            return (
                f"engine: {asked:g} {name} were asked for ({needs.hosts} device actors, server and evaluation), but "
                f"{_describe(nodes)} {'has' if len(nodes) == 1 else 'have'} {available:g}; lower devices or the "
                f"share per device, or raise engine.devices_per_actor"
            )
    if in_one_group and needs.centre["GPU"] > 1 > max(needs.server.get("GPU", 0), needs.recorder.get("GPU", 0)):
        return (
            f"engine.server_gpus={needs.server['GPU']:g} and eval.gpus={needs.recorder['GPU']:g}: Ray keeps them "
            f"together in a trial, and {needs.centre['GPU']:g} GPU would be one and a part of another, where one of "
            "them has no room; let both have room on one GPU, or give one of them a whole"
        )
    if in_one_group and not any(_holds(nodes, index, needs) for index in range(len(nodes))):
        return (
            f"engine: no node of {_describe(nodes)} has room for the server ({dict(needs.centre)}) that leaves room "
            f"for {needs.hosts} device actors ({dict(needs.per_host)} each)"
        )
    return None


def _holds(nodes: list[Resources], index: int, needs: Needs) -> bool:
    """Whether all fit when the node at `index` takes server and recorder."""
    left = {name: amount - needs.centre.get(name, 0) for name, amount in nodes[index].items()}
    if _fits(nodes[index], needs.centre) == 0:
        return False
    others = [*nodes[:index], *nodes[index + 1 :]]
    return sum(_fits(node, needs.per_host) for node in [left, *others]) >= needs.hosts


def _fits(node: Resources, request: Resources) -> int:
    asked = {name: amount for name, amount in request.items() if amount > 0}
    if not asked:
        return 10**9
    return min(_times(name, node.get(name, 0.0), amount) for name, amount in asked.items())


def _times(name: str, available: float, amount: float) -> int:
    """How often an amount is there; a share of a GPU is a share of one."""
    whole, rest = divmod(round(available, 6), 1.0)
    parts = [1.0] * int(whole) + [rest] if name == "GPU" and amount < 1 else [available]
    return sum(math.floor(round(part / amount, 6)) for part in parts)


def _describe(nodes: list[Resources]) -> str:
    each = [f"{node.get('CPU', 0):g} CPU + {node.get('GPU', 0):g} GPU" for node in nodes]
    return f"{'this Ray node' if len(nodes) == 1 else f'these {len(nodes)} Ray nodes'} ({', '.join(each)})"

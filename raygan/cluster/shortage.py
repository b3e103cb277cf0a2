"""What is short if actors do not fit, in words, computed from real or described nodes without Ray."""

from collections.abc import Sequence
from dataclasses import replace

from raygan.cluster.capacity import fits
from raygan.cluster.layout import Node, home_problem, lay_out
from raygan.cluster.resources import Needs, Resources


def shortage(needs: Needs, nodes: Sequence[Node], home: str | None) -> str | None:
    """Returns why `lay_out` finds no layout for the actors on these nodes, or None."""
    if problem := home_problem(needs, nodes, home) or _too_little(needs, nodes):
        return problem
    return None if lay_out(needs, nodes, "pack", home) else _no_centre(needs, nodes, needs.server)


def shortage_in_group(needs: Needs, nodes: Sequence[Node]) -> str | None:
    """Returns why the nodes cannot hold the group `needs.bundles`, where server and recorder share a node, or None."""
    if problem := _too_little(needs, nodes):
        return problem
    if needs.centre["GPU"] > 1 > max(needs.server.get("GPU", 0), needs.recorder.get("GPU", 0)):
        return (
            f"engine.server_gpus={needs.server['GPU']:g} and eval.gpus={needs.recorder['GPU']:g}: Ray keeps them "
            f"together in a trial, and {needs.centre['GPU']:g} GPU would be one and a part of another, where one of "
            "them has no room; let both have room on one GPU, or give one of them a whole"
        )
    together = replace(needs, server=needs.centre, recorder={})
    return None if lay_out(together, nodes, "pack", None) else _no_centre(needs, nodes, needs.centre)


def _no_centre(needs: Needs, nodes: Sequence[Node], centre: Resources) -> str:
    return (
        f"engine: no node of {describe(nodes)} has room for the server ({_amounts(centre)}) that leaves room for "
        f"{needs.workers} device actors ({_amounts(needs.per_worker)} each)"
    )


def _amounts(resources: Resources) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.items() if amount) or "nothing"


def _too_little(needs: Needs, nodes: Sequence[Node]) -> str | None:
    """Returns the resource that is short, counted per node: a share of a GPU cannot be combined from two GPUs."""
    fit = sum(fits(node.room, needs.per_worker) for node in nodes)
    if fit < needs.workers:
        return (
            f"engine: {needs.workers} device actors of {_amounts(needs.per_worker)} each were asked for, but "
            f"{describe(nodes)} hold{'s' if len(nodes) == 1 else ''} {fit}; lower devices or the share per device "
            f"(engine.gpus_per_device, engine.cpus_per_device), or raise engine.devices_per_actor"
        )
    for name, asked in needs.total.items():
        available = sum(node.room.get(name, 0.0) for node in nodes)
        if round(asked - available, 6) > 0:
            return (
                f"engine: {asked:g} {name} were asked for ({needs.workers} device actors, server and evaluation), but "
                f"{describe(nodes)} {'has' if len(nodes) == 1 else 'have'} {available:g}; {_way_out(needs, name)}"
            )
    return None


def _way_out(needs: Needs, name: str) -> str:
    """Returns what to do if the total of a resource is too small."""
    of_devices = needs.per_worker.get(name, 0) > 0
    lower = ["devices", f"engine.{name.lower()}s_per_device"] if of_devices else []
    if name == "GPU":
        shares = {"engine.server_gpus": needs.server, "eval.gpus": needs.recorder}
        lower += [key for key, resources in shares.items() if resources.get(name, 0) > 0]
    if not lower:
        return "the server takes it: add a node that has one"
    return f"lower {', '.join(lower)}{', or raise engine.devices_per_actor' if of_devices else ''}"


def describe(nodes: Sequence[Node]) -> str:
    """Returns the nodes in a few words; equal ones are counted."""
    each = [f"{node.room.get('CPU', 0):g} CPU + {node.room.get('GPU', 0):g} GPU" for node in nodes]
    if len(nodes) <= 4:
        counted = ", ".join(each)
    else:
        counted = ", ".join(f"{each.count(one)} of {one}" for one in dict.fromkeys(each))
    return f"{'this Ray node' if len(nodes) == 1 else f'these {len(nodes)} Ray nodes'} ({counted})"

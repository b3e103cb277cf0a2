"""What is short if actors do not fit, in words, computed from real or described nodes without Ray."""

from collections.abc import Sequence
from dataclasses import replace

from raygan.cluster.capacity import fits
from raygan.cluster.layout import Node, home_problem, lay_out
from raygan.cluster.resources import Needs, Resources


def shortage(needs: Needs, nodes: Sequence[Node], home: str | None, called: str | None = None) -> str | None:
    """Returns why `lay_out` finds no layout for the actors on these nodes, or None; `called` is what to call them."""
    if problem := home_problem(needs, nodes, home) or _too_little(needs, nodes, home, called or describe(nodes)):
        return problem
    if lay_out(needs, nodes, "pack", home):
        return None
    return _no_centre(needs, needs.server, called or describe(nodes), _would_fit(needs, nodes, home))


def shortage_in_group(needs: Needs, nodes: Sequence[Node], called: str | None = None) -> str | None:
    """Returns why the nodes cannot hold the group `needs.bundles`, where server and recorder share a node, or None."""
    called = called or describe(nodes)
    if problem := _too_little(needs, nodes, None, called):
        return problem
    if needs.centre["GPU"] > 1 > max(needs.server.get("GPU", 0), needs.recorder.get("GPU", 0)):
        return (
            f"engine.server_gpus={needs.server['GPU']:g} and eval.gpus={needs.recorder['GPU']:g}: Ray keeps them "
            f"together in a trial, and {needs.centre['GPU']:g} GPU would be one and a part of another, where one of "
            "them has no room; let both have room on one GPU, or give one of them a whole"
        )
    together = replace(needs, server=needs.centre, recorder={})
    if lay_out(together, nodes, "pack", None):
        return None
    return _no_centre(needs, needs.centre, called, _would_fit(together, nodes, None))


def _no_centre(needs: Needs, centre: Resources, called: str, would_fit: str) -> str:
    return (
        f"engine: no node of {called} has room for the server ({_amounts(centre)}) that leaves room for "
        f"{needs.workers} device actors ({_amounts(needs.per_worker)} each)"
        f"{f'; raise engine.devices_per_actor{would_fit}' if would_fit else ''}"
    )


def _amounts(resources: Resources) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.items() if amount) or "nothing"


def _too_little(needs: Needs, nodes: Sequence[Node], home: str | None, called: str) -> str | None:
    """Returns the resource that is short, counted per node: a share of a GPU cannot be combined from two GPUs."""
    holds, has = ("holds", "has") if len(nodes) == 1 or called != describe(nodes) else ("hold", "have")
    fit = sum(fits(node.room, needs.per_worker) for node in nodes)
    if fit < needs.workers:
        return (
            f"engine: {needs.workers} device actors of {_amounts(needs.per_worker)} each were asked for, but "
            f"{called} {holds} {fit}{_scarce(needs.per_worker, nodes, needs.workers)}; lower devices or the share per "
            f"device (engine.gpus_per_device, engine.cpus_per_device), or raise engine.devices_per_actor"
            f"{_would_fit(needs, nodes, home)}"
        )
    for name, asked in needs.total.items():
        available = sum(node.room.get(name, 0.0) for node in nodes)
        if round(asked - available, 6) > 0:
            return (
                f"engine: {asked:g} {name} were asked for ({needs.workers} device actors, server and evaluation), but "
                f"{called} {has} {available:g}; {_way_out(needs, name, _would_fit(needs, nodes, home))}"
            )
    return None


def _scarce(request: Resources, nodes: Sequence[Node], wanted: int) -> str:
    """Returns the resource that leaves too little room when it is counted alone, if there are several."""
    asked = [name for name, amount in request.items() if amount]
    alone = {name: sum(fits(node.room, {name: request[name]}) for node in nodes) for name in asked}
    short = [name for name in asked if alone[name] < wanted]
    if len(asked) < 2 or not short:
        return ""
    least = min(short, key=alone.__getitem__)
    enough = [f"{name} would do for {alone[name]}" for name in asked if name != least]
    return f": {least} is scarce ({', '.join(enough)})"


def _would_fit(needs: Needs, nodes: Sequence[Node], home: str | None) -> str:
    """Returns the smallest number of devices in an actor with which these nodes would do, in words, or nothing."""
    if needs.devices is None or lay_out(replace(needs, workers=1), nodes, "pack", home) is None:
        return ""
    fit, most = 1, needs.workers
    while fit < most:  # the most actors that fit, by halves
        middle = (fit + most + 1) // 2
        fit, most = (
            (middle, most) if lay_out(replace(needs, workers=middle), nodes, "pack", home) else (fit, middle - 1)
        )
    return f" ({-(-needs.devices // fit)} would fit)"


def _way_out(needs: Needs, name: str, would_fit: str) -> str:
    """Returns what to do if the total of a resource is too small."""
    of_devices = needs.per_worker.get(name, 0) > 0
    lower = ["devices", f"engine.{name.lower()}s_per_device"] if of_devices else []
    if name == "GPU":
        shares = {"engine.server_gpus": needs.server, "eval.gpus": needs.recorder}
        lower += [key for key, resources in shares.items() if resources.get(name, 0) > 0]
    if not lower:
        return "the server takes it: add a node that has one"
    return f"lower {', '.join(lower)}{f', or raise engine.devices_per_actor{would_fit}' if of_devices else ''}"


def describe(nodes: Sequence[Node]) -> str:
    """Returns the nodes in a few words; equal ones are counted."""
    each = [f"{node.room.get('CPU', 0):g} CPU + {node.room.get('GPU', 0):g} GPU" for node in nodes]
    if len(nodes) <= 4:
        counted = ", ".join(each)
    else:
        counted = ", ".join(f"{each.count(one)} of {one}" for one in dict.fromkeys(each))
    return f"{'this Ray node' if len(nodes) == 1 else f'these {len(nodes)} Ray nodes'} ({counted})"


def unused_gpus(needs: Needs, nodes: Sequence[Node]) -> str | None:
    """Returns that there are GPUs, but none of them is asked for, or None."""
    gpus = sum(node.room.get("GPU", 0) for node in nodes)
    if not gpus or needs.total.get("GPU"):
        return None
    are = "1 GPU is there, but it is not" if gpus == 1 else f"{gpus:g} GPUs are there, but none is"
    return f"{are} used: engine.gpus_per_device and engine.server_gpus are 0, so the run computes on CPUs"

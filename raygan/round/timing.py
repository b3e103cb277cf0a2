"""Wall-clock time of a round by phase, for the user to look at: nothing depends on it.

Moments are of each machine's own clock (`now`): between machines they are as good as their clocks agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import time as now

__all__ = ["ServerTimes", "WorkerTimes", "now", "spent"]


@dataclass(frozen=True)
class WorkerTimes:
    """A worker's part of a round."""

    began: float
    devices_s: float
    """In its devices' own updates (seconds)."""
    ended: float


@dataclass(frozen=True)
class ServerTimes:
    """The server's part of a round."""

    sent: float
    """When it had what goes down."""
    received: float
    """When it had what came up last."""
    averaged: float
    ended: float


def spent(workers: Sequence[WorkerTimes], server: ServerTimes, asked: float) -> dict[str, float]:
    """Returns a round by what was waited for, in seconds that add up to its length.

    A round begins when the driver has `asked` for it and the server has what goes down.

    `down`: until the worker that ended last began; `devices`: its devices' updates; `host`: adding them up there; `up`:
    until the server had them (and was done with its work meanwhile); `average`; `server`: its work on the average.
    A worker that began before the round did (`schedule=asynchronous`) counts from there on.
    """
    began = max(asked, server.sent)
    after = {"average": server.averaged - server.received, "server": server.ended - server.averaged}
    if not workers:
        return {"up": server.received - began, **after}
    last = max(workers, key=lambda worker: worker.ended)
    started, ended = max(last.began, began), max(last.ended, began)
    devices_s = min(last.devices_s, ended - started)
    return {
        "down": started - began,
        "devices": devices_s,
        "host": ended - started - devices_s,
        "up": server.received - ended,
        **after,
    }

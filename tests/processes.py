"""The processes below another one, among them those that a fork server of its Ray has forked."""

import psutil


def descendants(pid: int | None = None) -> list[psutil.Process]:
    """Returns all processes below one, this one if none is named.

    A fork server and its forks are below the raylet that they work for, which they know, whoever their parent is.
    """
    below: set[psutil.Process] = set(psutil.Process(pid).children(recursive=True))
    raylets = {str(process.pid) for process in below}
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get("RAY_RAYLET_PID") in raylets:
            below.add(process)
    return sorted(below, key=lambda process: process.pid)

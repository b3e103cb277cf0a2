"""The processes below another one, among them those that a fork server of its Ray has forked."""

import psutil

from raygan.cluster import fork_server


def descendants(pid: int | None = None) -> list[psutil.Process]:
    """Returns all processes below one, this one if none is named. A fork server is below the raylet it serves."""
    below: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    raylets = {str(process.pid) for process in below}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if fork_server.__file__ in words and "--serve" in words and words[words.index("--serve") + 2] in raylets:
            below += [process, *process.children(recursive=True)]
    return below

"""What hosts on this machine could leave behind: processes, namespaces, mounts, interfaces and files."""

import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from tests.namespaces.shell import ShellError, say

MOUNTS = Path("/proc/self/mountinfo")
GONE_S = 15.0


def namespaces_of(pid: int) -> set[str]:
    """Those a process is in, as the kernel names them, such as net:[4026532281]."""
    return {str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in ("pid", "net", "mnt")}


def processes_in(namespaces: set[str]) -> list[psutil.Process]:
    """Processes of this machine that are in any of these namespaces; the dead count until they are waited for."""
    found = []
    for process in psutil.process_iter():
        try:
            held = namespaces_of(process.pid)
        except OSError:  # it has just ended
            continue
        if held & namespaces:
            found.append(process)
    return found


def wait_until_gone(namespaces: set[str], patience_s: float) -> None:
    """Wait, with some patience, until no process is in any of these namespaces."""
    deadline = time.monotonic() + patience_s
    while processes_in(namespaces) and time.monotonic() < deadline:
        time.sleep(0.05)


def remove(work: Path) -> None:
    """Remove a folder that hosts were in.

    Raises:
        ShellError: something is mounted in it, so that what would be removed lies elsewhere.
    """
    if mounted := [line.split()[4] for line in _mounts() if line.split()[4].startswith(f"{work}/")]:
        raise ShellError(f"{work} is not removed: mounted in it are {', '.join(mounted)}")
    shutil.rmtree(work)


class Footprint:
    """The machine as it was before."""

    def __init__(self, work: Path) -> None:
        """`work` is the folder of all that follows; the cluster has its name."""
        self._work = work
        self._interfaces = _interfaces()
        self._files = set(self._files_of_ray())

    def check(self, namespaces: set[str], cables: Iterable[str]) -> None:
        """Show what is left of hosts in these namespaces, with interfaces of these names.

        Raises:
            ShellError: there is anything.
        """
        wait_until_gone(namespaces, GONE_S)
        left = {
            "processes": [f"{process.pid} {process.name()}" for process in processes_in(namespaces)],
            "namespaces": sorted(name for name in namespaces if any(name in line for line in _mounts())),
            "interfaces": sorted((_interfaces() - self._interfaces) & {*cables}),
            "mounts": [line.split()[4] for line in _mounts() if str(self._work) in line],
            "files": sorted(str(path) for path in set(self._files_of_ray()) - self._files),
        }
        for what, names in left.items():
            say(f"{what} left: {', '.join(names) or 'none'}")
        if any(left.values()):
            raise ShellError("something is left on this machine")

    def _files_of_ray(self) -> Iterator[Path]:
        """What Ray would have written here for a cluster of this name, were its hosts not apart."""
        name = self._work.name
        yield from self._work.parent.glob(name)
        yield from Path("/tmp/ray").glob(f"cluster-{name}.*")
        yield from Path("/tmp").glob(f"ray_ssh_*/{hashlib.sha256(name.encode()).hexdigest()[:10]}")
        yield from Path.home().glob("ray_bootstrap_*")


def _mounts() -> list[str]:
    return MOUNTS.read_text(encoding="utf-8").splitlines()


def _interfaces() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}

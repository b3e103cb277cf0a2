"""Hosts on one machine: each has its own network, processes, /tmp, /dev/shm, /run and home folder, and an SSH server.

A host lives in namespaces that nothing holds but its processes: when its first process ends, the kernel ends the
others, and takes away mounts and interfaces. That process ends with the script that made it, however that ends. The
switch that joins the hosts is a bridge in the network of one of them, so that nothing is added to the machine's own
network, and no address can be taken already.
"""

import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from raygan.errors import InputError
from tests.namespaces.left import namespaces_of, processes_in, wait_until_gone
from tests.namespaces.shell import Running, ShellError, run, say

ROOT = Path(__file__).resolve().parents[2]
BOOT = Path(__file__).resolve().parent / "boot.sh"
NETWORK = "10.77.0"
BRIDGE = "switch"
UNSHARE = ["unshare", "--fork", "--kill-child", "--mount", "--mount-proc", "--pid", "--net"]
PROGRAMS = {"ip": "iproute2", "sshd": "openssh-server", "ssh": "openssh-client", "rsync": "rsync"}
PATIENCE_S = 30.0
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Where SSH sessions find programs. Ray must not be there: see `check_machine`."""


def check_machine() -> None:
    """Raise unless hosts can be made here.

    Raises:
        InputError: this is not root, a program is missing or in the way, or the kernel does not allow it.
    """
    if os.geteuid() != 0:
        raise InputError("hosts on one machine need root (sudo, or a container that was started with --privileged)")
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    if missing := [package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)]:
        raise InputError(f"hosts on one machine need more programs: apt-get install {' '.join(missing)}")
    if ray := shutil.which("ray", path=SYSTEM_PATH):
        raise InputError(f"{ray}: `ray down` would run `ray stop` with it; have Ray in a virtual environment only")
    trial = "mount -t tmpfs tmpfs /run && ip link add one type veth peer name other && ip link add two type bridge"
    done = subprocess.run([*UNSHARE, "sh", "-c", trial], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"namespaces, a veth pair or a bridge cannot be made here: {done.stderr.strip()}")


class Host:
    """One host, from its making on."""

    def __init__(self, name: str, number: int, work: Path, shared: Iterable[Path]) -> None:
        """Makes it in a folder of its own in `work`. It sees that, and `shared` folders of the machine."""
        self.name, self.address = name, f"{NETWORK}.{number}"
        folder = work / name
        folder.mkdir()
        (folder / "tmp").mkdir(mode=0o1777)
        (folder / "home").mkdir(mode=0o700)
        # /etc/profile has set another path, which may lead to a Ray
        (folder / "home" / ".bashrc").write_text(f"export PATH={SYSTEM_PATH}\n", encoding="utf-8")
        (folder / "sshd_config").write_text(_sshd_config(folder), encoding="utf-8")
        run(f"ssh-keygen -q -t ed25519 -N '' -C {name} -f {folder}/host_key")
        home = pwd.getpwuid(0).pw_dir
        self._process = _start([str(BOOT), str(folder), home, str(work), *map(str, shared)], folder / "boot.log")
        try:
            self.pid = self._first_process(folder)
        except BaseException:
            self._end()
            raise
        self.namespaces = namespaces_of(self.pid)
        tools = Path(sys.executable).parent
        self._environment = [f"HOME={home}", f"PATH={tools}:{SYSTEM_PATH}", *_environment()]
        self._home = home

    def _first_process(self, folder: Path) -> int:
        """Wait until the host is up; returns its first process, by the machine's number."""
        deadline = time.monotonic() + PATIENCE_S
        while not (folder / "sshd.pid").exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ShellError(f"{self.name} did not start: {(folder / 'boot.log').read_text().strip()}")
            time.sleep(0.02)
        return int(psutil.Process(self._process.pid).children()[0].pid)

    def inside(self, command: str) -> list[str]:
        """The words that run a command line on this host."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid"]
        return [*enter, "env", "-i", f"--chdir={self._home}", *self._environment, "bash", "-c", command]

    def run(self, command: str, check: bool = True) -> tuple[int, str]:
        """Run a command line here and show it; see `shell.run`."""
        return run(command, self.name, self.inside(command), check)

    def begin(self, command: str, log: Path) -> Running:
        """Begin to run a command line here."""
        return Running(command, self.name, self.inside(command), log)

    def quietly(self, command: str) -> str:
        """Run a command line here and show nothing; returns what it wrote, errors with the rest."""
        done = subprocess.run(self.inside(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.stdout.decode(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """All that run here, with the machine's numbers."""
        return processes_in(self.namespaces)

    def traffic(self) -> tuple[int, int]:
        """Bytes that came in and went out over the wire since it is there, as the kernel counts them."""
        lines = Path(f"/proc/{self.pid}/net/dev").read_text(encoding="ascii").splitlines()
        (counts,) = [line.partition(":")[2].split() for line in lines if line.strip().startswith("eth0:")]
        return int(counts[0]), int(counts[8])

    def kill(self) -> None:
        """End everything here, process by process."""
        for process in self.processes():
            if process.pid != self.pid:
                _kill(process)
        self._end()
        wait_until_gone(self.namespaces, PATIENCE_S)

    def _end(self) -> None:
        if self._process.poll() is None:
            for first in psutil.Process(self._process.pid).children():
                _kill(first)
        self._process.kill()
        self._process.wait()


class Network:
    """Hosts with cables to one switch, which is in the first of them."""

    def __init__(self, work: Path, shared: Sequence[Path]) -> None:
        """Hosts get folders in `work`, and see it and the machine's `shared` ones."""
        self.work, self._shared, self.key = work, shared, work / "key"
        self.hosts: list[Host] = []
        run(f"ssh-keygen -q -t ed25519 -N '' -C operator -f {self.key}")
        run(f"cat {BOOT}")

    def add(self, name: str) -> None:
        """Make a host; the first has address .1, the next .2."""
        self.hosts.append(Host(name, len(self.hosts) + 1, self.work, self._shared))
        self._plug_in(self.hosts[-1])

    @property
    def namespaces(self) -> set[str]:
        """Of all hosts, those that have ended included."""
        return set().union(*(host.namespaces for host in self.hosts))

    def _plug_in(self, host: Host) -> None:
        first = self.hosts[0]
        if host is first:
            first.run(f"ip link add {BRIDGE} type bridge && ip link set {BRIDGE} up")
        # from outside, where both process numbers are known
        peer = f"ip link add {host.name} type veth peer name eth0 netns {host.pid}"
        run(f"nsenter --target={first.pid} --net {peer}")
        first.run(f"ip link set {host.name} master {BRIDGE} up")
        host.run(f"ip link set lo up && ip address add {host.address}/24 dev eth0 && ip link set eth0 up")
        # leads nowhere: Ray asks which of a node's addresses would be used to reach the world
        host.run(f"ip route add default dev eth0 src {host.address}")

    def close(self) -> None:
        """End all hosts."""
        for host in reversed(self.hosts):
            say(f"{host.name}: ends {len(host.processes())} processes")
            host.kill()


def _start(boot: list[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a first process in a session of its own, as a Ctrl-C is not for it; it ends with this one."""
    words = ["setpriv", "--pdeathsig", "KILL", *UNSHARE, *boot]
    say(f"$ {' '.join(words)} &")
    with log.open("wb") as file:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:  # it ended with another one
        return


def _environment() -> list[str]:
    return [f"PYTHONPATH={ROOT}", "PYTHONUNBUFFERED=1", "RAY_USAGE_STATS_ENABLED=0", "LANG=C.UTF-8"]


def _sshd_config(folder: Path) -> str:
    lines = [
        "ListenAddress 0.0.0.0",
        f"HostKey {folder}/host_key",
        f"PidFile {folder}/sshd.pid",
        f"AuthorizedKeysFile {folder.parent}/key.pub",
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "StrictModes no",  # the keys are below /tmp
        f"SetEnv {' '.join(_environment())}",
    ]
    return "\n".join(lines) + "\n"

"""A Ray cluster of one node as `ray start --head` makes it: own folder, own ports, own token."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 300  # seconds


@dataclass
class Head:
    """Where it is to be found, and what its users must have in their environment."""

    jobs: str
    environment: dict[str, str]

    def run(self, *command: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
        """A command of the virtual environment's, such as `ray` or `raygan`, with what it writes."""
        return subprocess.run(
            command, cwd=folder, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def start(self, *command: str | Path) -> subprocess.Popen[str]:
        """The same, in a session of its own and not waited for."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )


@contextmanager
def running_head(cache: Path) -> Iterator[Head]:
    """With 8 logical CPUs, and the dashboard, which takes jobs."""
    folder = Path(tempfile.mkdtemp(prefix="rg-", dir="/tmp"))  # a socket's path may not be long
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    gcs, clients, dashboard, agent = free_ports(4)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAYGAN_CACHE": str(cache),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = ["ray", "start", "--head", "--block", "--num-cpus=8", "--object-store-memory=200000000"]
    command += [f"--port={gcs}", f"--ray-client-server-port={clients}", "--include-dashboard=true"]
    command += [f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}", f"--temp-dir={folder}/ray"]
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
    try:
        wait_for(lambda: "block forever" in log.read_text() and listens(dashboard), process)
        yield Head(f"http://127.0.0.1:{dashboard}", environment)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)  # its processes are ended a little later


def wait_for(condition, process):
    """Look until something is so, while a process goes on."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Ports that nobody has."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def listens(port: int) -> bool:
    """Whether somebody does, on this machine."""
    with socket.socket() as each:
        return each.connect_ex(("127.0.0.1", port)) == 0

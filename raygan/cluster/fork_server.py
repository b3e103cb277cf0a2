"""Workers of Ray as forks of one process that has imported what they need.

Ray starts a worker by a command, its `py_executable`. Here that is the client: it hands what it was started with to
the fork server of its node, and ends. The server forks, and the fork becomes the worker; Ray knows it by its worker id.
The first client of a node starts the server. The server ends with its raylet, or after a minute without workers.

This file runs as a script, with the standard library only: a client's start is a part of every worker's.
"""

import gc
import hashlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

Request = dict[str, Any]
NOT_FORKED = "RAYGAN_NOT_FORKED"
"""The variable of a worker that says why it was started in the ordinary way."""
FORKED_FROM = "RAYGAN_FORKED_FROM"
"""The variable of a worker that has its server's process id."""
OF_ONE_WORKER = {"PWD", "OLDPWD", "SHLVL", "_"}
"""Variables that no module reads when it is imported, so that one server serves whatever they are. Ray reads its own
then, RAY_JOB_ID among them: with another job's, it would take its worker for a left-over and end it."""
ANSWER_S = 120.0
"""A server may take so long to import and to answer, on a busy machine."""
REQUEST_S = 10.0
IDLE_S = 60.0
_NO_THREADS = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""NumPy's and PyArrow's libraries would start threads when they are imported."""
_DETACHED: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL) | {
    "start_new_session": True
}
_OOM = Path("/proc/self/oom_score_adj")
_TASKS = Path("/proc/self/task")


def client(modules: str, command: list[str]) -> None:
    """Have the server run `command`, a script and its arguments. Where it cannot, run it here."""
    request = {"command": command, "env": dict(os.environ), "folder": str(Path.cwd()), "umask": _umask()}
    try:
        with closing(_connected(modules, command)) as connection:
            connection.settimeout(ANSWER_S)
            socket.send_fds(connection, [b" "], [0, 1, 2])
            connection.sendall(json.dumps(request | {"oom": _OOM.read_text()}).encode() + b"\n")
            answer = connection.makefile().readline()
        if answer != "forked\n":
            raise OSError(answer.strip() or "the fork server ended before it answered")
    except OSError as error:
        os.environ[NOT_FORKED] = str(error)
        os.execv(sys.executable, [sys.executable, *command])


def _umask() -> int:
    os.umask(before := os.umask(0o077))
    return before


def _connected(modules: str, command: list[str]) -> socket.socket:
    """Connect to the server for this node, user and environment, and start it if there is none.

    Its address is a name outside the file system: whoever binds it starts the server, and it is gone with the server.
    """
    env = sorted((name, value) for name, value in os.environ.items() if name not in OF_ONE_WORKER)
    node = [word for word in command if word.startswith(("--node-id=", "--session-name="))]
    key = json.dumps([__file__, sys.executable, modules, os.getuid(), node, env])
    address = "\0raygan-fork-" + hashlib.sha256(key.encode()).hexdigest()
    connection = socket.socket(socket.AF_UNIX)
    while True:
        with suppress(ConnectionRefusedError):
            connection.connect(address)
            break
        with socket.socket(socket.AF_UNIX) as listening, suppress(OSError):  # another client has just bound it
            listening.bind(address)
            listening.listen(4096)  # from here on others connect, and wait
            words = [sys.executable, __file__, "--serve", str(listening.fileno()), str(os.getppid()), modules]
            subprocess.Popen(words, env=os.environ | _NO_THREADS, pass_fds=[listening.fileno()], **_DETACHED)
    if _user_of(connection) != os.getuid():
        raise OSError("the fork server is another user's")
    return connection


def _user_of(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def serve(listening: socket.socket, raylet: int, modules: list[str]) -> list[str] | None:
    """Import, then fork for each client. Returns in a fork its command, and at the end, in the server, None."""
    ended = os.pidfd_open(raylet)
    failure = ""
    try:
        for module in modules:
            import_module(module)
    except Exception as error:
        failure = f"the fork server could not import {module}: {type(error).__name__}: {error}"
    gc.collect()
    gc.freeze()  # a collector that writes to what all share would copy it
    forks: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while ready := selector.select(None if forks else IDLE_S):
            for fd in (key.fd for key, _ in ready):
                if fd == ended:
                    for pid in forks.values():  # as Ray's own children end with it; they would notice a second later
                        os.kill(pid, signal.SIGKILL)
                    return None
                if fd in forks:
                    selector.unregister(fd)
                    os.waitpid(forks.pop(fd), 0)  # Ray counts a process that nobody has waited for as alive
                    os.close(fd)
                    continue
                request, pid = _fork(listening, failure)
                if request is not None:
                    for inherited in (*forks, ended, listening.detach()):
                        os.close(inherited)
                    return _become(request)
                if pid:
                    forks[fork := os.pidfd_open(pid)] = pid
                    selector.register(fork, selectors.EVENT_READ)
    return None


def _fork(listening: socket.socket, failure: str) -> tuple[Request | None, int]:
    """Serve a client, or say why not. Returns in the fork its request; in the server None, and the fork's id or 0."""
    connection, _ = listening.accept()
    with connection:
        try:
            if _user_of(connection) != os.getuid():
                return None, 0
            connection.settimeout(REQUEST_S)
            _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
            request = json.loads(connection.makefile().readline())
        except (OSError, ValueError):  # it has ended
            return None, 0
        pid = 0
        if not failure and (threads := len(list(_TASKS.iterdir()))) > 1:
            failure = f"the fork server has {threads} threads"  # whose locks a fork would find taken, and wait for
        if failure:
            answer = failure
        elif pid := os.fork():
            answer = "forked"
        else:
            for standard, inherited in enumerate(descriptors):
                os.dup2(inherited, standard)
        for inherited in descriptors:
            os.close(inherited)
        if not pid and not failure:
            return request, 0
        with suppress(OSError):
            connection.sendall(answer.encode() + b"\n")
        return None, pid


def _become(request: Request) -> list[str]:
    """Take over what the client was started with; whatever is random, begin anew."""
    os.setpgid(0, 0)  # Ray ends the process group of a worker that was lost
    os.environ.clear()
    os.environ.update(request["env"], **{FORKED_FROM: str(os.getppid())})
    os.umask(request["umask"])
    os.chdir(request["folder"])
    with suppress(OSError):  # only a privileged process may lower it
        _OOM.write_text(request["oom"])
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if torch := sys.modules.get("torch"):
        torch.seed()
    command: list[str] = request["command"]
    return command


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        served = serve(socket.socket(fileno=int(sys.argv[2])), int(sys.argv[3]), sys.argv[4].split(","))
        if served is not None:
            sys.argv, sys.path[0] = served, str(Path(served[0]).parent)
            runpy.run_path(served[0], run_name="__main__")
    else:
        client(sys.argv[1], sys.argv[2:])

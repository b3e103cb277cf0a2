"""The two ends of the line to an engine of benchmarks/engines.py.

Every engine is a program of its own, told line by line in JSON what to do. So each starts from nothing, imports
included, its memory is its process tree's, and one that needs other packages runs in another Python.
"""

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from work import State, read_state, write_state

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Block:
    """What came of some rounds."""

    seconds: float
    """From the first round's start until the last one's server step is done."""
    store_bytes: int | None = None
    """Bytes of the objects that were created in Ray's object store meanwhile."""
    spent_s: dict[str, float] | None = None
    """Where a round's time went on average, as raygan says."""


class Engine(ABC):
    """Plays rounds of the work."""

    @abstractmethod
    def play(self, rounds: int) -> Block:
        """Play some more rounds to their end."""

    @abstractmethod
    def discriminator(self) -> State:
        """The global discriminator as the last round left it."""


class Desk:
    """The engine's end. Made before anything else: from then on, what is printed goes to stderr."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def serve(self, engine: Engine, packages: Sequence[str]) -> None:
        """Do what is asked until nothing more is. `packages`: those whose versions matter."""
        self._answer({name: version(name) for name in packages})
        for line in sys.stdin:
            asked = json.loads(line)
            if asked["do"] == "play":
                self._answer(asdict(engine.play(asked["rounds"])))
            else:
                write_state(Path(asked["path"]), engine.discriminator())
                self._answer({})

    def _answer(self, answer: dict[str, object]) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)


class EngineLostError(Exception):
    """An engine's process ended on its own."""


class EngineProcess:
    """The benchmark's end: an engine that has been started on a work's folder, and has played its first round."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self._name = name
        self._log = folder / f"{name}.log"
        self._state = folder / f"{name}.npz"
        start = perf_counter()
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [*command, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(),
                start_new_session=True,  # Ctrl-C ends the benchmark, which closes its engines
            )
        self.pid = self._process.pid
        self.versions: dict[str, str] = self._read()
        self.play(1)
        self.startup_s = perf_counter() - start

    def play(self, rounds: int) -> Block:
        """Let it play some more rounds."""
        self._ask({"do": "play", "rounds": rounds})
        return Block(**self._read())

    def discriminator(self) -> State:
        """Its global discriminator."""
        self._ask({"do": "discriminator", "path": str(self._state)})
        self._read()
        return read_state(self._state)

    def close(self) -> None:
        """End it and wait until it has ended what it had started."""
        self._process.communicate()

    def _ask(self, what: dict[str, object]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended; whoever reads its answer will tell
            print(json.dumps(what), file=self._process.stdin, flush=True)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise EngineLostError(
                "\n".join([f"{self._name} ended with {self._process.returncode}; it said:", *said[-30:]])
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


def _environment() -> dict[str, str]:
    """Engines and whatever they start find raygan and one another, and nothing is written or sent home."""
    paths = [str(HERE), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    private = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "FLWR_TELEMETRY_ENABLED": "0"}
    return kept | private | {"PYTHONPATH": os.pathsep.join(paths)}

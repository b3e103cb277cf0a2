"""The transport of inline runs: everything in this process, one call after the other, no Ray."""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch

from raygan.cluster.resources import needs_of
from raygan.config.tree import Config
from raygan.errors import InputError, ProcessLostError
from raygan.executors.parties import how_it_computes
from raygan.executors.transport import Facts, ProcessRole, Transport
from raygan.round.compute import as_chosen_before, cap_memory


@dataclass(frozen=True)
class Value:
    """The outcome of a call, which is over when it has returned."""

    value: Any = None
    failure: Exception | None = None

    def get(self) -> Any:
        """Returns the value, or raises what the call raised."""
        if self.failure is not None:
            raise self.failure
        return self.value


@dataclass(eq=False)
class Held:
    """A process in name: what it would hold, or None once it is killed."""

    role: ProcessRole
    party: Any
    id: str


@dataclass(frozen=True)
class ValueStream:
    """Values one after the other."""

    refs: Sequence[Value]
    instead: Sequence[Any] | None

    def __iter__(self) -> Iterator[Any]:
        """Raises what a call raised, but for a lost process where there is something instead."""
        for number, ref in enumerate(self.refs):
            if self.instead is not None and isinstance(ref.failure, ProcessLostError):
                yield self.instead[number]
            else:
                yield ref.get()


@dataclass
class InProcess(Transport):
    """Calls are plain calls. An exception is kept, and raised for whoever waits for the value."""

    config: Config
    _started: list[Held] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take as much of a GPU as all actors of a run on Ray would be granted.

        Raises:
            InputError: a share of a GPU is asked for, and there is none.
        """
        asked = needs_of(self.config).total.get("GPU", 0.0)
        if asked and not torch.cuda.is_available():
            raise InputError(
                "engine.executor=inline: a share of a GPU is asked for (engine.gpus_per_device, engine.server_gpus or "
                "eval.gpus), but torch finds none here; leave it out to compute on the CPU"
            )
        self._afterwards = ExitStack()
        self._afterwards.enter_context(as_chosen_before())
        cap_memory(asked)

    def start(self, role: ProcessRole, make: Callable[..., Any], *arguments: Any) -> Held:
        """Make it."""
        held = Held(role, make(*map(_value, arguments)), f"{role.name}, {len(self._started)}")
        self._started.append(held)
        return held

    start_again = start

    def facts(self, processes: Sequence[Held]) -> list[Facts]:
        """They are ready."""
        return [
            {"role": held.role.name, "node": self.node_of(held.role), "pid": os.getpid(), **how_it_computes(held.party)}
            for held in processes
        ]

    def node_of(self, role: ProcessRole) -> str:
        """This machine."""
        return socket.gethostname()

    def about(self) -> Facts:
        """Nothing else."""
        return {}

    def put(self, value: object) -> Value:
        """Keep it."""
        return Value(value)

    def call(
        self,
        process: Held,
        method: str,
        *arguments: Any,
        after: Iterable[Value] = (),
        returns: int = 1,
        lane: str | None = None,
    ) -> Any:
        """Call it, at once."""
        try:
            for ref in chain(arguments, after):
                _value(ref)
            if process.party is None:
                raise ProcessLostError(f"{process.role.name}: the process died", self.id_of(process))
            value = getattr(process.party, method)(*map(_value, arguments))
        except Exception as error:
            failed = Value(failure=error)
            return failed if returns == 1 else [failed] * returns
        return Value(value) if returns == 1 else [Value(one) for one in value]

    def stream(self, refs: Sequence[Value], instead: Sequence[Any] | None) -> ValueStream:
        """In the order of `refs`."""
        return ValueStream(refs, instead)

    def wait(self, refs: Sequence[Value], behind: Sequence[Sequence[Value]] = ()) -> list[Any]:
        """They are there."""
        return [ref.get() for ref in refs]

    def done(self, refs: Sequence[Value]) -> bool:
        """Always."""
        return True

    def id_of(self, process: Held) -> str:
        """Its name and number."""
        return process.id

    def kill(self, process: Held) -> None:
        """Forget what it held, which lets go of what it had locked."""
        _close(process)
        process.party = None

    def lost(self, processes: Sequence[Held]) -> list[Held]:
        """Those that were killed."""
        return [held for held in processes if held.party is None]

    def check(self) -> None:
        """This process starts them, and is there."""

    def close(self) -> None:
        """End what goes on beside this process, and let torch choose as before."""
        for held in self._started:
            _close(held)
        self._started.clear()
        self._afterwards.close()


def _close(held: Held) -> None:
    if close := getattr(held.party, "close", None):
        close()


def _value(argument: Any) -> Any:
    return argument.get() if isinstance(argument, Value) else argument

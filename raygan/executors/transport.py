"""The transport: how the processes of a run are started, called and waited for.

An executor knows its processes through this interface only. Arguments and values of calls are numpy arrays and small
records; a reference stands for a value that lies where it was made, and is handed on without being looked at.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

Returned = TypeVar("Returned")
Ref = Any
"""A reference to the value of a call."""
Process = Any
"""A handle on a process that was started."""
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class ProcessRole:
    """A process's part in a run."""

    kind: Literal["server", "worker", "recorder"]
    name: str
    """Its name in messages to the user."""
    number: int = 0
    """The index of a worker."""


class Transport(ABC):
    """Starts, calls and ends the processes of one run."""

    @abstractmethod
    def start(self, role: ProcessRole, make: Callable[..., Any], *arguments: Any) -> Process:
        """Start a process that holds `make(*arguments)`, and do not wait for it. References are replaced by values.

        Raises:
            InputError: there is no room for it.
        """

    @abstractmethod
    def start_again(self, role: ProcessRole, make: Callable[..., Any], *arguments: Any) -> Process:
        """Do as `start`, in the place of a worker that was lost."""

    @abstractmethod
    def facts(self, processes: Sequence[Process]) -> list[Facts]:
        """Wait until processes are ready; returns where each is (`node`, `pid`) and how it computes.

        Raises:
            InputError: one of them is not ready in time, or computes with other versions.
            ProcessLostError: one of them is lost.
        """

    @abstractmethod
    def about(self) -> Facts:
        """Returns what else environment.json says of the place of a run."""

    @abstractmethod
    def put(self, value: object) -> Ref:
        """Returns a reference to a value that several calls are handed."""

    @abstractmethod
    def call(
        self,
        process: Process,
        method: str,
        *arguments: Any,
        after: Iterable[Ref] = (),
        returns: int = 1,
        lane: str | None = None,
    ) -> Any:
        """Start a method of what a process holds; returns a reference to its value, or as many as it `returns` values.

        References among the arguments, and those it is to go `after`, are waited for: if one failed, so does this call.
        A process does its calls one after the other, but for those in a `lane` of their own.
        """

    @abstractmethod
    def stream(self, refs: Sequence[Ref], instead: Sequence[Any] | None) -> Iterable[Any]:
        """Returns an argument for `call` that iterates over values as they arrive.

        `instead` has what is iterated over in place of a value that was lost with its process; without it the call
        fails.
        """

    @abstractmethod
    def wait(self, refs: Sequence[Ref], behind: Sequence[Sequence[Ref]] = ()) -> list[Any]:
        """Wait for values. `behind` is the work that they are made of, in its order: it tells who is waited for.

        Raises:
            InputError, RunError: as it was raised there, or around what was raised there.
            ProcessLostError: the process that was to make a value died, or hangs.
            KeyboardInterrupt: the user wishes for the end, and it does not come.
        """

    @abstractmethod
    def done(self, refs: Sequence[Ref]) -> bool:
        """Returns whether `wait` would return at once."""

    @abstractmethod
    def id_of(self, process: Process) -> str:
        """Returns a process's id, as `ProcessLostError.actor` has it."""

    @abstractmethod
    def kill(self, process: Process) -> None:
        """End a process at once."""

    @abstractmethod
    def lost(self, processes: Sequence[Process]) -> list[Process]:
        """Wait until processes have done, or failed to do, what they were asked; returns those that are lost."""

    @abstractmethod
    def check(self) -> None:
        """Raise if nothing can be started any more, as whatever starts processes is gone.

        Raises:
            ProcessLostError: a new transport can start it again.
            RunError: it is somebody else's.
        """

    @abstractmethod
    def close(self) -> None:
        """End every process that was started."""


@dataclass
class Pending(Generic[Returned]):
    """Work under way."""

    transport: Transport
    refs: Sequence[Ref]
    combine: Callable[[], Returned]
    """Waits for the values, and makes the result of them."""
    failure: Exception | None = None

    def result(self) -> Returned:
        """Wait for it. What failed once is not tried again: a lost process may have been replaced meanwhile."""
        if self.failure is None:
            try:
                return self.combine()
            except Exception as error:
                self.failure = error
        raise self.failure

    def done(self) -> bool:
        """Returns whether `result` would return at once."""
        return self.transport.done(self.refs)

"""The values of calls on Ray, or the first failure as one of raygan's errors."""

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from itertools import chain
from typing import Any

import ray
from ray.exceptions import (
    GetTimeoutError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
)

from raygan.errors import InputError, ProcessLostError, RunError
from raygan.executors.vigil import Someone, Vigil

LOOK_S = 1.0
"""Seconds between two looks at the processes that are waited for."""
LOST = (RayActorError, ObjectLostError, OutOfMemoryError, NodeDiedError)
"""A process died, with what it had made or was about to make."""


class Fetcher:
    """Gets values, and says of a failure what happened in which of our processes."""

    def __init__(self, vigil: Vigil, hear: Callable[[], None]) -> None:
        self.roles: dict[str, str] = {}
        """The roles of processes, by Ray's id of the actor."""
        self.people: dict[str, Someone] = {}
        """Those that have said where they are, likewise."""
        self._vigil = vigil
        self._hear = hear

    def __call__(self, refs: list[Any], behind: Sequence[Sequence[Any]] = ()) -> list[Any]:
        """Wait for values. `behind` is the work that they are made of, in its order, to tell who is waited for.

        Raises:
            InputError, RunError: as it was raised there, or around what was raised there.
            ProcessLostError: the process that was to make a value died, or hangs.
            KeyboardInterrupt: somebody wishes for the end, and it does not come.
        """
        try:
            values: list[Any] = self._watched(refs, behind)
        except RayTaskError as error:
            cause = _first_cause(error)
            if isinstance(cause, InputError | RunError):
                raise copy(cause) from error
            if isinstance(cause, RayError):
                raise self._lost(cause) from error
            raise RunError(f"{type(cause).__name__}: {cause}") from error
        except RayError as error:
            raise self._lost(error) from error
        return values

    def _watched(self, refs: list[Any], behind: Sequence[Sequence[Any]]) -> list[Any]:
        """The values, with a look now and then at whose work is not done."""
        self._vigil.check_now_and_then()
        watch, stages = self._vigil.begin(), [*behind, refs]
        while True:
            try:
                values: list[Any] = ray.get(refs, timeout=LOOK_S)
            except GetTimeoutError:
                pass
            else:
                watch.over()
                return values
            self._hear()
            work = list(dict.fromkeys(chain(*stages)))
            left = set(ray.wait(work, num_returns=len(work), timeout=0, fetch_local=False)[1]) if work else set()
            late = next((there for stage in stages if (there := [ref for ref in stage if ref in left])), [])
            watch.look(len(left), self._makers(late))

    def _makers(self, refs: Iterable[Any]) -> list[Someone]:
        """Returns the processes that make these values."""
        actors = dict.fromkeys(str(ref.task_id().actor_id().hex()) for ref in refs)
        return [self.people.get(actor, Someone(self.roles.get(actor, "an actor"), actor)) for actor in actors]

    def _lost(self, error: RayError) -> ProcessLostError:
        """One line of Ray's own words, and which of our processes it is about."""
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        if not isinstance(error, RayActorError):
            return ProcessLostError(f"Ray: {lines[0]}")
        actor = str(error.actor_id)
        role = self.roles.get(actor, "an actor")
        if error.actor_init_failed:
            return ProcessLostError(f"{role}: could not start: {lines[-1]}", actor)
        return ProcessLostError(f"{role}: the process died (killed, or out of memory?): {lines[0].rstrip('.')}", actor)


def _first_cause(error: BaseException) -> BaseException:
    """Returns the exception that was raised first, however many actors passed it on."""
    while isinstance(error, RayTaskError):
        error = error.cause
    return error

"""The executor: the stages of a round, called on a run's processes over a transport.

Weights never pass through here. A stage is started and returns references at once: the server's call is queued with
the references of the round's messages, and returns the vector that is broadcast next, so that rounds chain from process
to process while the driver is ahead.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from raygan.cluster.routing import adds_up_on_nodes, senders
from raygan.errors import ProcessLostError, RunError
from raygan.executors import parties
from raygan.executors.setup import Setup
from raygan.executors.transport import Facts, Pending, Process, ProcessRole, Ref, Transport
from raygan.executors.workers import WorkerCall, Workers
from raygan.record.checkpoint import Snapshot
from raygan.round.messages import Message
from raygan.round.reports import Outcome, outcome_of
from raygan.round.timing import now


@dataclass(frozen=True)
class Updates:
    """A round's updates on their way to the server."""

    asked: float
    """When they were asked for."""
    calls: list[WorkerCall]
    messages: dict[tuple[int, ...], Ref]
    """References to what the server is sent, by the devices in it."""
    sums: list[Ref]
    """Those of them that a node sends for its workers."""


@dataclass(frozen=True)
class Flight:
    """A device's update on its way to the server's work of a later round."""

    round: int
    """When the device started."""
    down: Ref
    """What it started from."""
    updates: Updates


class Executor:
    """Runs rounds in order. Nothing it hands to its caller is larger than a few scalars per device."""

    def __init__(
        self, setup: Setup, start: Snapshot | None, together: int, transport: Transport, say: Callable[[str], None]
    ) -> None:
        """Starts the processes, `together` devices in each worker, in the state of a checkpoint or as new.

        Raises:
            InputError: there is no room, or a process does not get ready.
            ProcessLostError: one is lost already.
        """
        config = setup.config
        self._setup = setup
        self._transport = transport
        self._drops = config.engine.on_device_failure == "drop"
        self._adds_up = adds_up_on_nodes(config) and setup.problem.aggregator(config).adds_up
        uplink = setup.problem.uplink(config)
        self._remembers = uplink is not None and uplink.remembers
        self._share = uplink.share if uplink is not None and together == 1 else 1.0
        self._flights: dict[int, Flight] = {}
        self._round = start.round if start is not None else 0
        self._report: list[Ref] = []
        self._exchanged: list[Ref] = []
        self._closed = False
        try:
            about = config, setup.problem, setup.counts
            self._server = transport.start(ProcessRole("server", "server"), parties.server, *about)
            self._workers = Workers(setup, together, transport, self._saved_states, say)
            early = [self._start_recorder()] if config.eval.gpus else []  # so that the facts tell which GPU it has
            self._facts = transport.facts([self._server, *self._workers.processes, *early])
            self._workers.are_ready(self._facts[1 : len(self._workers.processes) + 1])
            # It has more to import than the others, who would wait for the cores; nobody waits for it.
            self._recorder = early[0] if early else self._start_recorder()
            if start is not None:
                self._restore(start)
            self._down = transport.call(self._server, "down", self._round + 1)
        except BaseException:
            self.close()
            raise

    def _restore(self, start: Snapshot) -> None:
        call, wait = self._transport.call, self._transport.wait
        wait([call(self._server, "restore", start.server), *self._workers.restore(start)])
        self._flights.clear()
        for round, flying in sorted(start.flying.items()):
            self.update_ahead(round, flying.devices, self._transport.put(flying.down))

    def end_recorder(self) -> bool:
        """End the recorder, so that nobody writes; returns False if what starts processes is gone, and all with it."""
        try:
            self._transport.check()
        except (ProcessLostError, RunError):
            return False
        self._transport.kill(self._recorder)
        return True

    def go_back(self, start: Snapshot) -> bool:
        """Replace the recorder, which was ended, and workers that were lost; put all into the state of a checkpoint.

        Returns False, and does nothing, if the server was lost: then all is to be started anew.

        Raises:
            InputError: there is no room for a process.
            ProcessLostError: one is lost meanwhile.
        """
        if self._transport.lost([self._server]):
            return False
        self._round, self._report, self._exchanged = start.round, [], []
        self._workers.replace_lost()
        self._recorder = self._start_recorder()
        self._restore(start)
        self._down = self._transport.call(self._server, "down", self._round + 1)
        self._facts = [self._facts[0], *self._workers.facts, *self._facts[len(self._workers.facts) + 1 :]]
        return True

    def _start_recorder(self) -> Process:
        setup, first_round = self._setup, self._round + 1 if self._round else 0
        images = self._transport.put(setup.images)
        about = setup.config, setup.settings, setup.root, images, first_round
        return self._transport.start(ProcessRole("recorder", "the recorder"), parties.recorder, *about)

    def broadcast(self) -> Ref:
        """Returns a reference to the vector for the devices, which the server has made behind its last step."""
        return self._down

    def update_devices(
        self,
        round: int,
        devices: Iterable[int],
        down: Ref,
        overdue: Iterable[int] = (),
        ahead: bool = False,
        cohort: Sequence[int] = (),
    ) -> Updates:
        """Let these devices update on the vector `down`, each on its own shard.

        So do those that are `overdue` if they remember what does not arrive. Workers of a node that is not the server's
        send one message together where that is fewer bytes. `ahead`: a later round takes the updates. `cohort`: the
        devices that have shared keys, with secure aggregation.
        """
        workers, transport = self._workers, self._transport
        chosen, here = workers.of(devices), self._facts[0]["node"]
        late = workers.of(overdue) if self._remembers else {}
        updates = Updates(now(), [], {}, [])
        for group in senders(chosen, workers.nodes, here, self._adds_up, self._setup.problem.slots, self._share):
            messages: dict[tuple[int, ...], Ref] = {}
            for worker in group:
                numbers, far = chosen[worker], len(group) == 1 and workers.nodes[worker] != here
                # An exchange that failed must not be forgotten in the rounds behind it.
                message, call = workers.update_devices(
                    worker, round, down, numbers, far, late.pop(worker, []), ahead, cohort, after=self._exchanged
                )
                messages[tuple(numbers)] = message
                updates.calls.append(call)
            if len(group) > 1:
                together = transport.call(workers.processes[group[0]], "pre_aggregate", self._stream(messages))
                updates.sums.append(together)
                messages = {tuple(chain(*messages)): together}
            updates.messages.update(messages)
        for worker, numbers in late.items():  # which send nothing
            _, call = workers.update_devices(
                worker, round, down, [], False, numbers, ahead, cohort, after=self._exchanged
            )
            updates.calls.append(call)
        return updates

    def update_ahead(self, round: int, devices: Iterable[int], down: Ref) -> None:
        """Let these devices update likewise, each on its own, for a later round to take: see `with_arrived`."""
        for device in devices:
            self._flights[device] = Flight(round, down, self.update_devices(round, [device], down, ahead=True))

    def with_arrived(self, updates: Updates, devices: Iterable[int]) -> Updates:
        """Returns the updates together with those of devices that started in earlier rounds."""
        arrived = [self._flights.pop(device).updates for device in devices]
        return replace(
            updates,
            calls=[*updates.calls, *(call for one in arrived for call in one.calls)],
            messages=updates.messages | {who: ref for one in arrived for who, ref in one.messages.items()},
        )

    def update_server(
        self, round: int, updates: Updates, staleness: Mapping[int, int], cohort: Sequence[int] = ()
    ) -> Ref:
        """Let the server aggregate updates as they arrive, then update; returns a reference to its report.

        `staleness`: the rounds since devices started, of those that did so in an earlier one. `cohort`: as above.
        """
        messages, call = self._stream(updates.messages), self._transport.call
        self._down, report = call(self._server, "update", round, messages, staleness, cohort, returns=2)
        self._round, self._report = round, [report]
        return report

    def exchange(self, partners: Mapping[int, int]) -> None:
        """Let each key of `partners`, a device, take over the state of its value."""
        self._exchanged = self._workers.exchange(partners)
        if self._drops:  # waited for, so that a failure that is no loss is in no checkpoint
            for ref in self._exchanged:
                with suppress(ProcessLostError):  # a round's report tells of it; the partner keeps what it has
                    self._transport.wait([ref])
            self._exchanged = []

    def outcome(self, updates: Updates, report: Ref) -> Pending[Outcome]:
        """Returns the outcome of the round, to be waited for."""
        wait, asked, calls, sums = self._transport.wait, updates.asked, updates.calls, updates.sums
        reports = [call.report for call in calls]

        def without_lost() -> Outcome:
            (of_server,) = wait([report], [reports, sums])  # first: when the server is lost, so is the round
            return outcome_of([self._workers.report_of(call) for call in calls], of_server, asked)

        if self._drops:
            return Pending(self._transport, [*reports, report], without_lost)
        refs = [*reports, report, *self._exchanged]

        def whole() -> Outcome:
            values = wait(refs, [reports, sums, [report]])
            return outcome_of(values[: len(calls)], values[len(calls)], asked)

        return Pending(self._transport, refs, whole)

    # A call behind a round goes after that round's results: if the round failed, so does the call, and no state of a
    # half-finished round is measured or saved.

    @property
    def _finished(self) -> list[Ref]:
        return [*self._report, *self._exchanged]

    def evaluate(self) -> Pending[dict[str, object]]:
        """Measure the generator as the last round leaves it, and draw its samples.

        It is kept in the run folder until then, before any later checkpoint, so that a run that is broken off can be
        resumed and measure it.
        """
        generators = self._transport.call(self._server, "generators", after=self._finished)
        kept = self._transport.call(self._recorder, "keep", self._round, generators, lane="files")
        measured = self._transport.call(self._recorder, "evaluate", self._round, generators)
        return self._pending([measured, kept], [generators])

    def evaluate_kept(self, round: int) -> Pending[dict[str, object]]:
        """Measure the generator of an earlier round that is kept in the run folder."""
        return self._pending([self._transport.call(self._recorder, "evaluate_kept", round)], [])

    def save(self) -> Pending[None]:
        """Write a checkpoint of the state that the last round leaves. Devices under way will start again from it."""
        flying: dict[int, list[int]] = {}
        for device, flight in sorted(self._flights.items()):
            flying.setdefault(flight.round, []).append(device)
        downs = [self._flights[devices[0]].down for devices in flying.values()]
        states = self._workers.states(self._flights, after=self._finished)
        server = self._transport.call(self._server, "state", after=self._finished)
        arriving = self._transport.stream(states, self._workers.devices if self._drops else None)
        saved = self._transport.call(
            self._recorder, "save", self._round, server, arriving, flying, *downs, lane="files"
        )
        return self._pending([saved], [server, *states])

    def export(self) -> Pending[None]:
        """Write generator.safetensors, likewise."""
        generators = self._transport.call(self._server, "generators", after=self._finished)
        return self._pending([self._transport.call(self._recorder, "export", self._round, generators)], [generators])

    def facts(self) -> Facts:
        """Returns which process runs where, on what."""
        return {"processes": self._facts, **self._transport.about()}

    def close(self) -> None:
        """End what was started, unless that was done: what has ended must be asked for nothing."""
        if not self._closed:
            self._closed = True
            self._transport.close()

    def _pending(self, refs: list[Ref], behind: list[Ref]) -> Pending[Any]:
        return Pending(self._transport, refs[:1], lambda: self._transport.wait(refs, [behind])[0])

    def _saved_states(self, devices: range) -> Ref:
        return self._transport.call(self._recorder, "saved_states", devices, lane="files")

    def _stream(self, messages: Mapping[tuple[int, ...], Ref]) -> Any:
        lost = [Message(lost=dict.fromkeys(devices, "its process died")) for devices in messages]
        return self._transport.stream(list(messages.values()), lost if self._drops else None)

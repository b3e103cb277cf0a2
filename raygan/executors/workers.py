"""The workers of a run: started, called, and replaced where one was lost."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raygan.cluster.routing import by_worker
from raygan.errors import InputError, ProcessLostError, RunError
from raygan.executors import parties
from raygan.executors.setup import PATIENCE, Setup
from raygan.executors.transport import Facts, Process, ProcessRole, Ref, Transport
from raygan.record.checkpoint import Snapshot
from raygan.round.likeness import unlike_before
from raygan.round.reports import WorkerReport
from raygan.round.worker import worker_role


@dataclass(frozen=True)
class WorkerCall:
    """A round asked of a worker."""

    worker: int
    process: Process
    devices: list[int]
    report: Ref


class Workers:
    """The processes that hold the devices, `together` consecutive ones in each."""

    def __init__(
        self,
        setup: Setup,
        together: int,
        transport: Transport,
        saved_states: Callable[[range], Ref],
        say: Callable[[str], None],
    ) -> None:
        """Starts them. `saved_states` refers to states of devices as the last checkpoint has them."""
        self._setup = setup
        self._together = together
        self._transport = transport
        self._saved_states = saved_states
        self._say = say
        devices = setup.config.devices
        self.devices = [range(k, min(k + together, devices)) for k in range(0, devices, together)]
        """The devices of each worker."""
        self.processes = [self._start(worker, transport.start) for worker in range(len(self.devices))]
        self.nodes: list[object] = []
        """The node of each worker."""
        self.facts: list[Facts] = []
        """Where each is, and how it computes."""
        self._lost = [0] * len(self.devices)
        """Losses of each worker since its last report."""

    def _start(self, worker: int, start: Callable[..., Process]) -> Process:
        devices, setup = self.devices[worker], self._setup
        shards = self._transport.put(setup.shards_of(devices))
        role = ProcessRole("worker", worker_role(devices), worker)
        return start(role, parties.worker, setup.config, setup.problem, shards)

    def are_ready(self, facts: list[Facts]) -> None:
        """Note where they are, and how they compute."""
        self.facts = facts
        self.nodes = [one["node"] for one in facts]

    def replace_lost(self) -> None:
        """Start those again that were lost, as new.

        Raises:
            InputError: there is no room for one.
            ProcessLostError: one is lost meanwhile.
        """
        lost = self._transport.lost(self.processes)
        for worker in [number for number, process in enumerate(self.processes) if process in lost]:
            self._start_in_place(worker)

    def restore(self, start: Snapshot) -> list[Ref]:
        """Start to put devices back into the state of a checkpoint."""
        return [
            self._transport.call(process, "restore", start.of(devices))
            for process, devices in zip(self.processes, self.devices, strict=True)
        ]

    def states(self, flying: Iterable[int], after: Iterable[Ref]) -> list[Ref]:
        """Returns references to the states of each worker's devices; of those under way, to what they were before."""
        under_way = self.of(flying)
        return [
            self._transport.call(process, "states", under_way.get(worker, []), after=after)
            for worker, process in enumerate(self.processes)
        ]

    def of(self, devices: Iterable[int]) -> dict[int, list[int]]:
        """Returns device numbers in order, by worker."""
        return by_worker(devices, self._together)

    def update_devices(
        self,
        worker: int,
        round: int,
        down: Ref,
        devices: list[int],
        far: bool,
        overdue: list[int],
        ahead: bool,
        cohort: Sequence[int],
        after: Iterable[Ref],
    ) -> tuple[Ref, WorkerCall]:
        """Let a worker's devices update; returns a reference to its message, and the call."""
        process = self.processes[worker]
        message, report = self._transport.call(
            process, "update_devices", round, down, devices, far, overdue, ahead, cohort, after=after, returns=2
        )
        return message, WorkerCall(worker, process, devices, report)

    def exchange(self, partners: Mapping[int, int]) -> list[Ref]:
        """Let each key of `partners` take over the state of its value; the references tell when it is done."""
        call, processes = self._transport.call, self.processes
        given = {
            worker: call(processes[worker], "hand_over", numbers)
            for worker, numbers in self.of(partners.values()).items()
        }
        done = []
        for worker, receivers in self.of(partners).items():
            wanted = {receiver: partners[receiver] for receiver in receivers}
            for giver, givers in self.of(wanted.values()).items():  # apart, so that one's loss is not another's
                theirs = {receiver: number for receiver, number in wanted.items() if number in givers}
                done.append(call(processes[worker], "take_over", theirs, given[giver]))
        return done

    def report_of(self, call: WorkerCall) -> WorkerReport:
        """Wait for a worker's report. If the worker was lost, it is replaced, and the report says why it is missing."""
        try:
            report: WorkerReport = self._transport.wait([call.report])[0]
        except ProcessLostError as error:
            if error.actor not in (self._transport.id_of(call.process), None):  # not every kind of loss says whose
                raise
            self._transport.check()
            if self.processes[call.worker] is call.process:  # not yet replaced, for a round before this one
                self._replace(call.worker, error)
            return WorkerReport(dropped=dict.fromkeys(call.devices, str(error)))
        self._lost[call.worker] = 0
        return report

    def _replace(self, worker: int, error: ProcessLostError) -> None:
        """Start a lost worker again, its devices as the last checkpoint has them."""
        self._lost[worker] += 1
        if self._lost[worker] >= PATIENCE:
            raise RunError(f"{error}; it is the third time in a row") from error
        for last_try in (False, True):
            try:
                self._start_again(worker)
                return
            except InputError as no_room:
                raise RunError(f"{error}; it could not be started again: {no_room}") from no_room
            except ProcessLostError as lost:  # on a node that is gone, as is known now
                if last_try or lost.actor not in (self._transport.id_of(self.processes[worker]), None):
                    raise

    def _start_again(self, worker: int) -> None:
        transport, process = self._transport, self._start_in_place(worker)
        states: Any = self._saved_states(self.devices[worker])
        transport.wait([transport.call(process, "restore", states)])

    def _start_in_place(self, worker: int) -> Process:
        transport = self._transport
        transport.kill(self.processes[worker])  # it may be only what it had made that was lost
        self.processes[worker] = process = self._start(worker, transport.start_again)
        (facts,) = transport.facts([process])
        self.nodes[worker] = facts["node"]
        if unlike := unlike_before([facts], self.facts):
            self._say(unlike)
        self.facts[worker] = facts
        return process

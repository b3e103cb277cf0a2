"""A worker: the devices of one process, which take turns, one by one or in groups."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from raygan.compression.uplink import Encoded
from raygan.config.tree import Config
from raygan.errors import BadUpdateError
from raygan.methods.base import DeviceSide, Metrics, State, Update
from raygan.methods.exact_sum import LARGEST
from raygan.privacy.mechanism import mechanism_of
from raygan.round.checks import checked_answer, located, method_of
from raygan.round.compute import threads
from raygan.round.lanes import Answer, Lanes
from raygan.round.likeness import device_steps
from raygan.round.messages import Compressed, Masked, MaskedSum, Message, Single, collected, pre_aggregated
from raygan.round.problem import Problem
from raygan.round.reports import WorkerReport
from raygan.round.shards import WorkerShards
from raygan.round.timing import WorkerTimes, now

_MEMORY = "compression.memory"
"""The name of a device's memory of what compression left out, beside its method's state in what is saved."""


def worker_role(devices: range) -> str:
    """Returns a worker's name in messages to the user."""
    return f"devices {devices[0]}-{devices[-1]}" if len(devices) > 1 else f"device {devices[0]}"


class Worker:
    """The devices of one process, which take turns on one pair of networks, or in groups on a few (`engine.stacked`).

    There is no object per device: its samples are a part of `shards`, and its state between rounds, flat float32
    vectors, is kept here from its first turn on. A device that never takes part has nothing here.
    """

    def __init__(self, config: Config, problem: Problem, shards: WorkerShards, computes_on: torch.device) -> None:
        self._config = config
        self._problem = problem
        self.computes_on = computes_on
        method = method_of(config)
        with threads(config.engine.threads_per_device), located(f"{worker_role(shards.devices)}, at the start"):

            def side() -> DeviceSide:
                return method.device(config, problem.shape, computes_on)

            self._lanes = Lanes(config, side)
            self._side = self._lanes.first
            self.shards = shards.held_on(computes_on)
        self._exchange = method.exchange
        self._mechanism = mechanism_of(config, method)
        self._uplink = problem.uplink(config)
        self._secure = problem.secure_sum(config)
        self._tells = config.privacy.name == "none" and self._secure is None  # losses stay on devices otherwise
        self._states: dict[int, State] = {}
        self._memories: dict[int, np.ndarray] = {}
        self._before: dict[int, State] = {}
        """What is saved of devices that were `ahead` in their last update, as it was before."""
        self.devices = shards.devices

    def update_devices(
        self,
        round: int,
        down: np.ndarray,
        chosen: Collection[int],
        far: bool = False,
        overdue: Collection[int] = (),
        ahead: bool = False,
        cohort: Sequence[int] = (),
    ) -> tuple[Message, WorkerReport]:
        """Let the `chosen` ones of its devices update; returns the message to the server and the devices' scalars.

        `far`: the server is on another node. `overdue`: devices that update too, but whose messages come too late, so
        that they are neither in the message nor in the report. `ahead`: a later round has the message, and a checkpoint
        before it has the devices as they are now. `cohort`: the devices that have shared keys, with secure aggregation.
        """
        report, began, adding_s = WorkerReport(), now(), 0.0
        single: list[Single] = []
        slots = collected(self._config, self._problem, self.computes_on)
        with threads(self._config.engine.threads_per_device):
            for number, answered in self._lanes.answers((*chosen, *overdue), self.shards, round, down, self._states):
                arrives, before = number not in overdue, self._saved(number)
                self._before.pop(number, None)
                try:
                    update, encoded = self.update(number, round, down, arrives, cohort, answered)
                except BadUpdateError as error:
                    if self._config.engine.on_bad_update == "stop":
                        raise
                    if arrives:
                        report.dropped[number] = str(error)
                    continue
                if not arrives:
                    continue
                report.devices[number] = update.metrics
                if ahead:
                    self._before[number] = before
                if len(self.devices) == 1 or len(chosen) == 1:
                    single.append(Compressed.of(update, encoded) if isinstance(encoded, Encoded) else encoded or update)
                    continue
                start = now()
                with located(f"round {round}"):
                    if isinstance(slots, MaskedSum):
                        assert isinstance(encoded, Masked)  # by the same config
                        slots.add(encoded)
                    else:
                        slots.add(update)
                adding_s += now() - start
            devices_s = now() - began - adding_s
        message = Message(single, slots.parts(far))
        if chosen:  # nobody waits for others
            report.times = WorkerTimes(began, devices_s, now())
        return message, report

    def update(
        self,
        device: int,
        round: int,
        down: np.ndarray,
        arrives: bool = True,
        cohort: Sequence[int] = (),
        answered: Answer | None = None,
    ) -> tuple[Update, Encoded | Masked | None]:
        """Returns one device's checked update as the server has it then, and its compressed or masked form if it has.

        It is what the device has `answered`, in a group; else it answers now, alone.

        Its new state is kept, and what compression leaves out: all of it if the update never `arrives`.

        Raises:
            BadUpdateError: the update is not finite or does not fit; names device and round, the state is as before.
            RunError: the device's own code raised; names device and round.
        """
        where = f"round {round}, device {device}"
        with located(where):
            if answered is None:
                answered = self._side.update(self.shards[device], round, down, self._states.get(device, {}))
            update, state = checked_answer(answered, self._config.method, device)
        self._check(update, where)
        if not self._tells:  # nor whether a loss was too large, which one sample can make it
            update = replace(update, metrics={})
        if not np.abs(list(update.metrics.values())).max(initial=0) < LARGEST:  # also true of NaN
            raise BadUpdateError(
                self._diverged(where, "a loss is not finite, or too large", update.metrics), code="not_finite"
            )
        if self._mechanism is not None:
            with located(where):
                update = self._mechanism.clipped(update, self._side.reference(down))
        memory = self._memories.get(device)
        encoded: Encoded | Masked | None = None
        if self._secure is not None:
            with located(where):
                integers = self._secure.integers(update.vector, self._side.reference(down), update.weight)
                encoded = Masked(device, self._secure.masked(integers, device, round, cohort))
        if self._uplink is not None:
            due = self._uplink.due(update.vector, memory)
            if arrives:
                with located(where):
                    encoded = code = self._uplink.encode(due, update.vector, device, round)
                    update = replace(update, vector=self._uplink.decode(code))
                self._check(update, where)  # with a memory, or scaled up, it may have become too large
                memory = self._uplink.left_out(due, update.vector)
            else:
                memory = due
            if self._uplink.remembers:
                self._memories[device] = memory
        self._keep(device, state)
        return update, encoded

    def _check(self, update: Update, where: str) -> None:
        try:
            self._problem.check_update(update.vector, update.weight, update.slot)
        except ValueError as error:
            raise BadUpdateError(f"{where}: the update does not fit: {error}", code="result") from error
        except FloatingPointError as error:
            raise BadUpdateError(self._diverged(where, str(error), update.metrics), code="not_finite") from error

    def _diverged(self, where: str, how: str, losses: Metrics) -> str:
        """Returns a reason, which the run folder keeps: without losses where these stay on devices."""
        told = f"; losses {losses}" if self._tells else ""
        advice = "try a smaller device_optimizer.lr or another gan.loss"
        return f"{where}: the update has diverged ({how}{told}); {advice}"

    def pre_aggregate(self, messages: Iterable[Message]) -> Message:
        """Returns one message to the server for those of this node's workers, taken in as they arrive."""
        return pre_aggregated(messages, self._config, self._problem)

    def _keep(self, device: int, state: State) -> None:
        if state:
            self._states[device] = state
        else:
            self._states.pop(device, None)

    def hand_over(self, givers: Iterable[int]) -> dict[int, State]:
        """Returns the states of these devices, for an exchange. A memory stays: it is of what the device has sent."""
        return {giver: self._states.get(giver, {}) for giver in givers}

    def take_over(self, partners: Mapping[int, int], given: Mapping[int, State]) -> None:
        """Let each key of `partners`, a device of this worker, take over the state of its value, which is copied."""
        for receiver, giver in partners.items():
            assert self._exchange is not None  # who has partners has an exchange
            with (
                located(f"device {receiver}, taking over from {giver}"),
                threads(self._config.engine.threads_per_device),
            ):
                own, theirs = self._states.get(receiver, {}), own_copy(given[giver])
                state = self._exchange.merge(self._config, own, theirs)
            self._keep(receiver, state)

    def states(self, flying: Collection[int] = ()) -> dict[int, State]:
        """Returns the states of the devices that have one, with their memories, not copied.

        Those of devices under way are as they were before.
        """
        self._before = {number: state for number, state in self._before.items() if number in flying}
        saved = {number: self._saved(number) for number in sorted(self._states.keys() | self._memories)} | self._before
        return {number: state for number, state in saved.items() if state}

    def _saved(self, number: int) -> State:
        """Returns a device's state and memory."""
        memory = self._memories.get(number)
        return self._states.get(number, {}) | ({} if memory is None else {_MEMORY: memory})

    def restore(self, states: Mapping[int, State]) -> None:
        """Go back to `states`, copied; the devices that are not in it have none."""
        self._states, self._memories, self._before = {}, {}, {}
        for number, state in states.items():
            own = own_copy(state)
            if _MEMORY in own:
                self._memories[number] = own.pop(_MEMORY)
            self._keep(number, own)

    def steps(self) -> dict[str, str]:
        """Returns the hash of a small fixed step of the devices' networks here; see `raygan.round.likeness`."""
        return device_steps(self._config, self._problem.shape, self.computes_on)


def own_copy(state: State) -> State:
    """Returns a copy in memory of this process: arrays out of Ray's object store are shared and read-only."""
    return {name: np.array(array) for name, array in state.items()}

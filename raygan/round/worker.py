"""A worker: the devices of one process, which take turns. No Ray here."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from raygan.config.tree import Config
from raygan.errors import BadUpdateError
from raygan.methods.base import DeviceSide, Metrics, State, Update
from raygan.methods.exact_sum import LARGEST
from raygan.round.checks import checked_answer, located, method_of
from raygan.round.compute import threads
from raygan.round.shards import WorkerShards
from raygan.round.timing import WorkerTimes, now
from raygan.round.updates import Contribution, Partial, Problem, Single, Slots, WorkerReport


def worker_role(devices: range) -> str:
    """What a worker is called."""
    return f"devices {devices[0]}-{devices[-1]}" if len(devices) > 1 else f"device {devices[0]}"


class Worker:
    """The devices of one process, which take turns on one pair of networks.

    There is no object per device: its samples are a part of `shards`, and what it remembers between rounds, flat
    float32 vectors, is kept here from its first turn on. A device that never takes part has nothing here.
    """

    def __init__(self, config: Config, problem: Problem, shards: WorkerShards, device: torch.device) -> None:
        self._config = config
        self._problem = problem
        method = method_of(config)
        with threads(config.engine.threads_per_device), located(f"{worker_role(shards.devices)}, at the start"):
            self._side: DeviceSide = method.device(config, problem.shape, device)
            self.shards = shards.held_on(device)
        self._exchange = method.exchange
        self._states: dict[int, State] = {}
        self.devices = shards.devices

    def round(
        self, round: int, down: np.ndarray, chosen: Iterable[int], far: bool = False
    ) -> tuple[list[Contribution], WorkerReport]:
        """Let the `chosen` ones of its devices work; returns what goes up, `far` to another node, and their scalars."""
        report, began, devices_s = WorkerReport(), now(), 0.0
        sent: list[Contribution] = []
        slots, senders = Slots(self._config, self._problem), dict[int, list[int]]()
        with threads(self._config.engine.threads_per_device):
            for number in chosen:
                start = now()
                try:
                    update = self.update(number, round, down)
                except BadUpdateError as error:
                    if self._config.engine.on_bad_update == "stop":
                        raise
                    report.dropped[number] = str(error)
                    continue
                finally:
                    devices_s += now() - start
                report.devices[number] = update.metrics
                if len(self.devices) == 1:
                    sent.append(Single(number, update.vector, update.weight, update.slot))
                    continue
                with located(f"round {round}"):
                    slots.slot(update.slot).add(number, update.vector, update.weight)
                senders.setdefault(update.slot, []).append(number)
        sent += [Partial(devices, slots.slot(slot).part(far), slot) for slot, devices in senders.items()]
        report.times = WorkerTimes(began, devices_s, now())
        return sent, report

    def update(self, device: int, round: int, down: np.ndarray) -> Update:
        """Let one device work.

        Raises:
            BadUpdateError: the update is not finite or does not fit; names device and round, the state is as before.
            RunError: what the device's own code raised, with device and round.
        """
        where = f"round {round}, device {device}"
        with located(where):
            answer = self._side.update(self.shards[device], round, down, self._states.get(device, {}))
            update, state = checked_answer(answer, self._config.method)
        try:
            self._problem.check(update.vector, update.weight, update.slot)
        except ValueError as error:
            raise BadUpdateError(f"{where}: the update does not fit: {error}") from error
        except FloatingPointError as error:
            raise BadUpdateError(_diverged(where, str(error), update.metrics)) from error
        if not np.abs(list(update.metrics.values())).max(initial=0) < LARGEST:  # also true of NaN
            raise BadUpdateError(_diverged(where, "a loss is not finite, or too large", update.metrics))
        self._keep(device, state)
        return update

    def _keep(self, device: int, state: State) -> None:
        if state:
            self._states[device] = state
        else:
            self._states.pop(device, None)

    def hand_over(self, givers: Iterable[int]) -> dict[int, State]:
        """What these devices remember, for an exchange."""
        return {giver: self._states.get(giver, {}) for giver in givers}

    def take_over(self, partners: Mapping[int, int], given: Mapping[int, State]) -> None:
        """Let each key of `partners`, a device of this worker, take what its value remembered."""
        for receiver, giver in partners.items():
            assert self._exchange is not None  # who has partners has an exchange
            with (
                located(f"device {receiver}, taking over from {giver}"),
                threads(self._config.engine.threads_per_device),
            ):
                state = self._exchange.merge(self._config, self._states.get(receiver, {}), given[giver])
            self._keep(receiver, state)

    def states(self) -> dict[int, State]:
        """What the devices that remember something do, not copied."""
        return dict(self._states)

    def restore(self, states: dict[int, State]) -> None:
        """Put back what `states` has of its devices; the others remember nothing."""
        self._states = dict(states)


def _diverged(where: str, how: str, losses: Metrics) -> str:
    advice = "try a smaller device_optimizer.lr or another gan.loss"
    return f"{where}: the update has diverged ({how}; losses {losses}); {advice}"

"""The parties as Ray actors: the one place where plain classes are wrapped. Arguments and results are numpy.

A device's process imports torch and nothing heavier, so the recorder's imports stand inside its actor.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import torch

from raygan.config.tree import Config
from raygan.executors.results import LOST
from raygan.methods.base import State
from raygan.record.checkpoint import Snapshot
from raygan.record.settings import FlatConfig
from raygan.round.compute import cap_memory, gpu_facts, keep_freed_memory, torch_device
from raygan.round.likeness import device_steps, server_steps
from raygan.round.server import Server
from raygan.round.shards import WorkerShards
from raygan.round.updates import Contribution, Problem, Sent, ServerReport, WorkerReport, added_up
from raygan.round.versions import computes_with
from raygan.round.worker import Worker, worker_role

if TYPE_CHECKING:
    from raygan.data import ImageSet

Facts = dict[str, object]
ByWorker = dict[tuple[int, ...] | range, "ray.ObjectRef[Any]"]
"""References to what workers have made, by the numbers of the devices it is of."""


def _see_modules_in(folder: str) -> None:
    """Let import paths in the config lead to modules in the folder the run was started from."""
    if folder not in sys.path:
        sys.path.append(folder)


def _facts(role: str, computes_on: torch.device) -> Facts:
    context: Any = ray.get_runtime_context()
    return {
        "role": role,
        "actor": context.get_actor_id(),
        "node": context.get_node_id(),
        "address": ray.util.get_node_ip_address(),
        "pid": os.getpid(),
        "resources": context.get_assigned_resources(),
        "gpus": context.get_accelerator_ids().get("GPU", []),
        "torch_device": str(computes_on),
        **gpu_facts(computes_on),
        **computes_with(),
    }


def _drops(config: Config) -> bool:
    return config.engine.on_device_failure == "drop"


def _as_they_arrive(sent: ByWorker, lost: dict[int, str], drops: bool) -> Iterator[list[Contribution]]:
    """What is there, one after the other; notes whose is `lost` where that does not end the run."""
    devices = {ref: numbers for numbers, ref in sent.items()}
    pending = list(devices)
    while pending:
        arrived, pending = ray.wait(pending, num_returns=len(pending), timeout=0)
        if not arrived:
            arrived, pending = ray.wait(pending, num_returns=1)
        for ref in arrived:
            try:
                message: Sent = ray.get(ref)
            except LOST as error:
                if not drops:
                    raise
                lost.update(dict.fromkeys(devices[ref], f"its process died: {type(error).__name__}"))
            else:
                lost.update(message.lost)
                yield message.contributions


class WorkerActor:
    """A `Worker`: one device by default, or several that take turns."""

    def __init__(self, config: Config, problem: Problem, shards: WorkerShards, folder: str) -> None:
        _see_modules_in(folder)
        keep_freed_memory()
        self._config = config
        self._problem = problem
        self._drops = _drops(config)
        cap_memory(config.engine.gpus_per_device)
        self._device = torch_device(config.engine.gpus_per_device, config.gan.precision)
        self._worker = Worker(config, problem, shards, self._device)

    @ray.method(num_returns=2)
    def round(
        self, round: int, down: np.ndarray, chosen: list[int], far: bool, *exchanged: None
    ) -> tuple[Sent, WorkerReport]:
        """What goes up, `far` to another node, and the devices' scalars, as two objects.

        After the last round's exchange, if there was one.
        """
        contributions, report = self._worker.round(round, down, chosen, far)
        return Sent(contributions), report

    def add_up(self, sent: ByWorker) -> Sent:
        """What this actor's and others' devices send, given by reference, as one message to another node."""
        lost: dict[int, str] = {}
        arriving = _as_they_arrive(sent, lost, self._drops)
        return Sent(added_up(arriving, self._config, self._problem), lost)

    def hand_over(self, givers: list[int]) -> dict[int, State]:
        """For an exchange."""
        return self._worker.hand_over(givers)

    def take_over(self, partners: dict[int, int], given: dict[int, State]) -> None:
        """From another actor, or this one. What comes out of the object store is shared, so it is copied."""
        self._worker.take_over(partners, {giver: _copied(given[giver]) for giver in partners.values()})

    def states(self, *played: object) -> dict[int, State]:
        """For a checkpoint, once the last round has been `played`."""
        return self._worker.states()

    def restore(self, states: dict[int, State]) -> None:
        """From a checkpoint. What comes out of the object store is shared, so it is copied."""
        self._worker.restore({number: _copied(state) for number, state in states.items()})

    def facts(self) -> Facts:
        """Where this actor is, what it was granted, and what it computes."""
        steps = device_steps(self._config, self._problem.shape, self._device)
        return {**_facts(worker_role(self._worker.devices), self._device), "steps": steps}


class ServerActor:
    """The `Server`."""

    def __init__(self, config: Config, problem: Problem, folder: str) -> None:
        _see_modules_in(folder)
        keep_freed_memory()
        cap_memory(config.engine.server_gpus)
        self._device = torch_device(config.engine.server_gpus, config.gan.precision)
        self._config = config
        self._shape = problem.shape
        self._drops = _drops(config)
        self._server = Server(config, problem, self._device)

    def down(self, round: int) -> np.ndarray:
        """What goes down in the first round."""
        return self._server.down(round)

    @ray.method(num_returns=2)
    def round(self, round: int, contributions: ByWorker) -> tuple[np.ndarray, ServerReport]:
        """Play a round on references, taken in as they arrive; returns what goes down next, and scalars."""
        lost: dict[int, str] = {}
        report = self._server.round(round, _as_they_arrive(contributions, lost, self._drops))
        report.dropped.update(lost)
        return self._server.down(round + 1), report

    def generators(self, *played: object) -> State:
        """For an evaluation or the final file, once the last round has been `played`."""
        return self._server.generators()

    def state(self, *played: object) -> State:
        """For a checkpoint, once the last round has been `played`."""
        return self._server.side.state()

    def restore(self, state: State) -> None:
        """From a checkpoint."""
        self._server.side.restore(_copied(state))

    def facts(self) -> Facts:
        """Where this actor is, what it was granted, and what it computes."""
        steps = server_steps(self._config, self._shape, self._device)
        return {**_facts("server", self._device), "steps": steps}


class RecorderActor:
    """The `Recorder`, on the node of the run folder, at the lowest priority.

    Files are written in a thread of their own: they do not queue behind evaluations.
    """

    def __init__(
        self, config: Config, settings: FlatConfig, root: Path, images: "ImageSet", first_round: int, folder: str
    ) -> None:
        from raygan.evaluation.recorder import Recorder

        _see_modules_in(folder)
        os.nice(19)
        self._drops = _drops(config)
        cap_memory(config.eval.gpus)
        self._computes_on = torch_device(config.eval.gpus)
        self._recorder = Recorder(config, settings, root, images, first_round)

    def facts(self) -> Facts:
        """Where this actor is and what it was granted."""
        return _facts("recorder", self._computes_on)

    @ray.method(concurrency_group="pulse")
    def is_there(self) -> None:
        """Answers whatever else goes on, unless the process hangs."""

    def evaluate(self, round: int, generators: State) -> dict[str, object]:
        """Measure and draw."""
        return self._recorder.evaluate(round, generators)

    def evaluate_kept(self, round: int) -> dict[str, object]:
        """Measure and draw what is kept of a round."""
        return self._recorder.evaluate_kept(round)

    @ray.method(concurrency_group="files")
    def keep(self, round: int, generators: State) -> None:
        """Keep what is to be measured, before any later checkpoint is written."""
        self._recorder.keep(round, generators)

    @ray.method(concurrency_group="files")
    def save(self, round: int, server: State, workers: ByWorker) -> None:
        """Write a checkpoint. Devices whose process died are saved as the last one has them, if that may be."""
        devices: dict[int, State] = {}
        for numbers, states in workers.items():
            try:
                devices |= ray.get(states)
            except LOST:
                if not self._drops:
                    raise
                devices |= self._recorder.saved_states(numbers)
        self._recorder.save(Snapshot(round, server, devices))

    @ray.method(concurrency_group="files")
    def saved_states(self, devices: range) -> dict[int, State]:
        """As the last checkpoint has these devices."""
        return self._recorder.saved_states(devices)

    def export(self, round: int, generators: State) -> None:
        """Write generator.safetensors."""
        self._recorder.export(round, generators)


def _copied(state: State) -> State:
    return {name: np.array(array) for name, array in state.items()}

"""The inline executor: everything in this process, one thing after the other, no Ray."""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import torch

from raygan.cluster.resources import needs_of
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.evaluation.recorder import Recorder
from raygan.executors.interface import Done, Executor, Played, Setup, played
from raygan.record.checkpoint import Snapshot
from raygan.round.compute import as_chosen_before, cap_memory, gpu_facts, torch_device
from raygan.round.likeness import all_steps
from raygan.round.server import Server
from raygan.round.versions import computes_with
from raygan.round.worker import Worker


class InlineExecutor(Executor):
    """Plays rounds in the calling thread. Its results are those of every other executor, bit for bit."""

    def __init__(self, setup: Setup, start: Snapshot | None) -> None:
        """Raises InputError: a share of a GPU is asked for, and there is none."""
        config, images, problem = setup.config, setup.images, setup.problem
        self._round = start.round if start is not None else 0
        with ExitStack() as undone_if_it_fails:
            undone_if_it_fails.enter_context(as_chosen_before())
            self._devices_on, self._server_on = _computes_on(config)
            self._steps = all_steps(config, problem.shape, self._devices_on, self._server_on)
            self._worker = Worker(config, problem, setup.shards_of(range(config.devices)), self._devices_on)
            self._server = Server(config, problem, self._server_on)
            first_round = self._round + 1 if self._round else 0
            self._recorder = Recorder(config, setup.settings, setup.root, images, first_round)
            undone_if_it_fails.callback(self._recorder.close)
            if start is not None:
                self._server.side.restore(start.server)
                self._worker.restore(start.devices)
            self._afterwards = undone_if_it_fails.pop_all()

    def play(self, round: int, devices: Sequence[int], partners: Mapping[int, int]) -> Done[Played]:
        """Play a round."""
        contributions, report = self._worker.round(round, self._server.down(round), devices)
        server = self._server.round(round, [contributions])
        self._worker.take_over(partners, self._worker.hand_over(partners.values()))
        self._round = round
        return Done(played([report], server))

    def evaluate(self) -> Done[dict[str, object]]:
        """Measure and draw."""
        return Done(self._recorder.evaluate(self._round, self._server.generators()))

    def evaluate_kept(self, round: int) -> Done[dict[str, object]]:
        """Measure and draw."""
        return Done(self._recorder.evaluate_kept(round))

    def save(self) -> Done[None]:
        """Write a checkpoint."""
        self._recorder.save(Snapshot(self._round, self._server.side.state(), self._worker.states()))
        return Done(None)

    def export(self) -> Done[None]:
        """Write generator.safetensors."""
        self._recorder.export(self._round, self._server.generators())
        return Done(None)

    def facts(self) -> dict[str, object]:
        """This process."""
        on_gpu = self._devices_on if self._devices_on.type != "cpu" else self._server_on
        here = {"node": socket.gethostname(), "pid": os.getpid(), "torch_device": str(on_gpu), **gpu_facts(on_gpu)}
        return {"processes": [{"role": "all", **here, **computes_with(), "steps": self._steps}]}

    def close(self) -> None:
        """End the recorder, and let torch choose as before."""
        self._afterwards.close()


def _computes_on(config: Config) -> tuple[torch.device, torch.device]:
    """Where the devices and the server compute: in as much of a GPU as all actors of a run on Ray would be granted."""
    asked = needs_of(config).total.get("GPU", 0.0)
    if asked and not torch.cuda.is_available():
        raise InputError(
            "engine.executor=inline: a share of a GPU is asked for (engine.gpus_per_device, engine.server_gpus or "
            "eval.gpus), but torch finds none here; leave it out to compute on the CPU"
        )
    cap_memory(asked)
    precision = config.gan.precision
    return torch_device(config.engine.gpus_per_device, precision), torch_device(config.engine.server_gpus, precision)

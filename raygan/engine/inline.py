"""The inline executor: everything in this process, one thing after the other, no Ray."""

import os
import socket
from collections.abc import Mapping, Sequence

import torch

from raygan.engine.checkpoint import Snapshot
from raygan.engine.checks import computes_with
from raygan.engine.executor import Done, Executor, Played, Setup, played
from raygan.engine.likeness import all_steps
from raygan.engine.parties import Host, Server
from raygan.engine.recorder import Recorder


class InlineExecutor(Executor):
    """Plays rounds in the calling thread. Its results are those of every other executor, bit for bit."""

    def __init__(self, setup: Setup, start: Snapshot | None) -> None:
        config, images, problem = setup.config, setup.images, setup.problem
        self._round = start.round if start is not None else 0
        cpu = torch.device("cpu")
        self._steps = all_steps(config, problem.shape, cpu)
        self._host = Host(config, problem, setup.shards_of(range(config.devices)), cpu)
        self._server = Server(config, problem, cpu)
        first_round = self._round + 1 if self._round else 0
        self._recorder = Recorder(config, setup.settings, setup.root, images, first_round)
        if start is not None:
            self._server.side.restore(start.server)
            self._host.restore(start.devices)

    def play(self, round: int, devices: Sequence[int], partners: Mapping[int, int]) -> Done[Played]:
        """Play a round."""
        contributions, report = self._host.round(round, self._server.down(round), devices)
        server = self._server.round(round, [contributions])
        self._host.take_over(partners, self._host.hand_over(partners.values()))
        self._round = round
        return Done(played([report], server))

    def evaluate(self) -> Done[dict[str, object]]:
        """Measure and draw."""
        return Done(self._recorder.evaluate(self._round, self._server.generators()))

    def save(self) -> Done[None]:
        """Write a checkpoint."""
        self._recorder.save(Snapshot(self._round, self._server.side.state(), self._host.states()))
        return Done(None)

    def export(self) -> Done[None]:
        """Write generator.safetensors."""
        self._recorder.export(self._round, self._server.generators())
        return Done(None)

    def facts(self) -> dict[str, object]:
        """This process."""
        here = {"node": socket.gethostname(), "pid": os.getpid(), "torch_device": "cpu", **computes_with()}
        return {"processes": [{"role": "all", **here, "steps": self._steps}]}

    def close(self) -> None:
        """End the recorder."""
        self._recorder.close()

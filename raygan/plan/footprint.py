"""Memory and messages of a run's processes, measured by trying its first round on the CPU, without Ray."""

import pickle
from dataclasses import dataclass

import numpy as np
import torch

from raygan.config.tree import Config
from raygan.data import ImageSet, Shards
from raygan.methods.base import Mean, Shard, State, Update
from raygan.plan.meter import MemoryMeter
from raygan.round.checks import method_of
from raygan.round.compute import threads
from raygan.round.updates import Problem

PROCESS = 360e6
"""Private memory of a Ray worker that has imported torch (bytes): measured, torch 2.15's CUDA build on a CPU. A process
that computes on a GPU has more of it; that was not measured."""
RECORDER = 880e6
"""The same of the recorder, which imports torchvision, torchmetrics and scipy too (bytes; measured)."""
DRIVER = 470e6
"""The same of the process that starts a run (bytes; measured)."""
RAY = 330e6
"""Private memory of Ray's own processes on a head node, fewer on others (bytes): measured, Ray 2.60, no dashboard."""
CUDA_CONTEXT = 290e6
"""Memory of a GPU that a process takes before any tensor (bytes). An estimate: pytorch#86509 reports 287 MB with lazily
loaded kernels, torch's default; it depends on GPU and driver, and was not measured for raygan."""
SUMMED = 8
"""Updates that are added up to see how large sums are. Twice as many take a bit more for each value."""


@dataclass(frozen=True)
class Tensors:
    """Tensors of one process, on the device it computes on (bytes)."""

    kept: int
    """Networks, their gradients and optimisers: always there."""
    passing: int
    """The most there is besides during a round: activations, batches, gradients in passing."""

    @property
    def most(self) -> int:
        """The sum of both."""
        return self.kept + self.passing


@dataclass(frozen=True)
class Footprint:
    """Sizes of a run's tensors and messages, in float32 (bytes)."""

    device: Tensors
    """Of a device actor, however many devices take turns in it."""
    server: Tensors
    samples: int
    """Of the fullest device actor, which are on the GPU that it computes on."""
    graphs: bool
    """Whether steps on a GPU are replayed, in memory of their own."""
    down: int
    """What goes down in a round."""
    update: int
    """One device's update."""
    part: int
    """What an actor of several devices sends to its own node's server, for one slot; if the updates are not added up,
    for each device."""
    far_part: int
    """The same to another node, as several actors send it together."""
    adds_up: bool
    """Whether updates are added up on their way."""
    slots: int
    state: int
    """What a device remembers between rounds."""
    server_state: int
    """What a checkpoint has of the server."""

    @property
    def device_on_gpu(self) -> int:
        """The peak of a device actor's tensors on a GPU."""
        return self.device.most + self.device.passing * self.graphs + self.samples

    @property
    def server_on_gpu(self) -> int:
        """The peak of the server's tensors on a GPU."""
        return self.server.most + self.server.passing * self.graphs

    def parts(self, devices: int, part: int) -> int:
        """Returns the size of several devices' updates combined: `part` is one of the two above."""
        return part * min(devices, self.slots) if self.adds_up else part * devices


def footprint_of(
    config: Config, problem: Problem, images: ImageSet, shards: Shards, worker_samples: np.ndarray
) -> Footprint:
    """Try a round of one step, with the largest shard, on the CPU; `config` is the run's, and `problem` the one tried.

    `worker_samples`, (workers,), are the bytes of each actor's samples.

    The workspace of GPU kernels is not included.
    """
    config = config.model_copy(update={"device_steps": 1, "generator_steps": 1})
    largest = Shard(0, images.images[: int(shards.sizes.max())])
    method, cpu = method_of(config), torch.device("cpu")
    with threads(1):
        of_server, of_device = MemoryMeter(), MemoryMeter()
        with of_server:
            server = method.server(config, images.shape, cpu)
        with of_device:
            device = method.device(config, images.shape, cpu)
        server_keeps, device_keeps = of_server.alive, of_device.alive
        with of_server:
            down = server.down(1)
        with of_device:
            update, state = device.update(largest, 1, down, {})
        with of_server:
            server.meanwhile(1)
            server.finish(1, {slot: Mean(update.vector, 1) for slot in range(server.slots)})
    part, far_part = (_part(config, problem, update, far) for far in (False, True))
    return Footprint(
        device=Tensors(device_keeps, of_device.most - device_keeps),
        server=Tensors(server_keeps, of_server.most - server_keeps),
        samples=int(worker_samples.max()),
        graphs=config.engine.cuda_graphs,
        down=down.nbytes,
        update=update.vector.nbytes,
        part=part,
        far_part=far_part,
        adds_up=problem.aggregator(config).adds_up,
        slots=server.slots,
        state=_size(state),
        server_state=_size(server.state()),
    )


def _part(config: Config, problem: Problem, update: Update, far: bool) -> int:
    """Returns the bytes of several combined updates, or of one of them if updates are only gathered.

    The other updates are copies with values permuted and up to 2**6 times smaller, because the values of trained
    networks spread further than initial ones, and their sums are wider.
    """
    aggregator = problem.aggregator(config)
    count = min(SUMMED, config.devices) if aggregator.adds_up else 1
    weight = max(1, min(update.weight, problem.num_samples // count))
    smaller = np.linspace(2.0**-6, 1.0, update.vector.size, dtype=np.float32)
    for device in range(count):
        aggregator.add(device, np.roll(update.vector, device) * smaller, weight)
    return len(pickle.dumps(aggregator.part(far), protocol=5))


def _size(state: State) -> int:
    return sum(array.nbytes for array in state.values())

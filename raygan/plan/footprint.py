"""Memory and messages of a run's processes, measured by trying its first round on the CPU, without Ray."""

import pickle
from dataclasses import dataclass

import numpy as np
import torch

from raygan.config.tree import Config
from raygan.data import ImageSet, Shards
from raygan.data.classes import class_counts
from raygan.gan.replay import Replay
from raygan.methods.base import DeviceSide, Shard, State, Update
from raygan.plan.meter import MemoryMeter
from raygan.round.checks import method_of
from raygan.round.compute import threads
from raygan.round.flops import first_samples
from raygan.round.lanes import most_together, not_stacked, side_by_side
from raygan.round.problem import Problem

PROCESS = 360e6
"""Private memory of a Ray worker that has imported torch (bytes): measured, torch 2.15's CUDA build on a CPU. A process
that computes on a GPU has more of it; that was not measured."""
FORKED = 50e6
"""The same of a forked one (bytes; measured), which shares the rest with its node's fork server."""
FORK_SERVER = 310e6
"""What a node's workers share, with the fork server (bytes; measured)."""
RECORDER = 880e6
"""The same for the recorder, which also imports torchvision, torchmetrics and scipy (bytes; measured)."""
DRIVER = 470e6
"""The same for the driver (bytes; measured)."""
RAY = 330e6
"""Private memory of Ray's own processes on a head node, fewer on others (bytes): measured, Ray 2.60, no dashboard."""
CUDA_CONTEXT = 290e6
"""Memory of a GPU that a process takes before any tensor (bytes). An estimate: pytorch#86509 reports 287 MB with lazily
loaded kernels, torch's default; it depends on GPU and driver, and was not measured for raygan."""
SUMMED = 8
"""Number of updates that are added up to measure the size of sums. Twice as many need one more bit per value."""


@dataclass(frozen=True)
class Tensors:
    """Tensors of one process, on the device it computes on (bytes)."""

    kept: int
    """Networks, their gradients and optimisers, which always exist."""
    passing: int
    """Peak of the other tensors during a round: activations, batches, temporary gradients."""

    @property
    def most(self) -> int:
        """The sum of both."""
        return self.kept + self.passing

    def times(self, factor: float) -> "Tensors":
        """Returns those of so many times the devices."""
        return Tensors(round(self.kept * factor), round(self.passing * factor))


@dataclass(frozen=True)
class Footprint:
    """Sizes of a run's tensors and messages, in float32 (bytes)."""

    device: Tensors
    """Tensors of a device actor, for any number of devices in it, of which `engine.stacked` update at a time."""
    each: Tensors | None
    """Tensors of each of several devices that update at a time; None if they cannot, or neither do nor have a GPU."""
    server: Tensors
    samples: int
    """Samples of the largest device actor, which are on the GPU that it computes on."""
    graphs: bool
    """Whether steps on a GPU are replayed, in separate memory."""
    down: int
    """The message down in a round."""
    update: int
    """One device's update."""
    message: int
    """The message from an actor of one device: its update, compressed or masked if that is
    configured."""
    part: int
    """The message from an actor of several devices to a server on its node, for one slot; if the updates are not added
    up, for each device."""
    far_part: int
    """The combined message of several actors to another node."""
    adds_up: bool
    """Whether updates are added up before they reach the server."""
    slots: int
    state: int
    """The state of a device between rounds."""
    server_state: int
    """The server's part of a checkpoint."""

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
    gan = config.gan.model_copy(update={"penalty_every": 1})  # the step that has the penalties needs the most
    config = config.model_copy(update={"device_steps": 1, "generator_steps": 1, "gan": gan})
    largest = first_samples(config, images, int(shards.sizes.max()))
    method, cpu = method_of(config), torch.device("cpu")
    with threads(1):
        of_server = MemoryMeter()
        with of_server:
            server = method.server(config, images.shape, cpu)
            if problem.counts_classes:
                server.reported(class_counts(images, shards))
        server_keeps = of_server.alive
        with of_server:
            down = server.down(1)
        stacked = _together(config, method.device(config, images.shape, cpu))
        device, update, state = _device(config, largest, images.shape, down, min(stacked, 2))
        each = device if stacked > 1 else None
        if each is None and config.engine.gpus_per_device:
            pairs = _in_pairs(config)
            if _together(pairs, method.device(pairs, images.shape, cpu)) > 1:
                each, _, _ = _device(pairs, largest, images.shape, down, 2)
        with of_server:
            server.meanwhile(1)
            server.finish(1, dict.fromkeys(range(server.slots), server.taken_from(1, update.vector)))
    part, far_part = (_part(config, problem, update, far) for far in (False, True))
    uplink, secure = problem.uplink(config), problem.secure_sum(config)
    message = round((1.0 if uplink is None else uplink.share) * update.vector.nbytes)
    if secure is not None:  # a sum of integers is as large as one message
        message = part = far_part = secure.size * np.dtype(secure.word(range(config.devices))).itemsize
    memory = 4 * problem.compressible.size if uplink is not None and problem.compressible and uplink.remembers else 0
    return Footprint(
        device=device.times(stacked),
        each=each,
        server=Tensors(server_keeps, of_server.most - server_keeps),
        samples=int(worker_samples.max()),
        graphs=config.engine.cuda_graphs,
        down=down.nbytes,
        update=update.vector.nbytes,
        message=message,
        part=part,
        far_part=far_part,
        adds_up=problem.aggregator(config).adds_up,
        slots=server.slots,
        state=_size(state) + memory,
        server_state=_size(server.state()) + 4 * sum(end - start for start, end in problem.broadcast or ()),
    )


def _together(config: Config, side: DeviceSide) -> int:
    """Returns how many devices update at a time."""
    return 1 if not_stacked(config, side) else most_together(config)


def _in_pairs(config: Config) -> Config:
    """Returns the config of a run whose devices update in pairs, if they can."""
    engine = config.engine
    pairs = {"stacked": 2, "devices_per_actor": max(2, engine.devices_per_actor)}
    return config.model_copy(update={"engine": engine.model_copy(update=pairs)})


def _device(
    config: Config, samples: Shard, shape: tuple[int, ...], down: np.ndarray, together: int
) -> tuple[Tensors, Update, State]:
    """Let one or two devices update at the same time; returns the tensors of each, and what one comes to."""
    meter, method = MemoryMeter(), method_of(config)
    with meter:
        devices = [method.device(config, shape, torch.device("cpu")) for _ in range(together)]
    kept = meter.alive
    with meter:
        if together == 1:
            update, state = devices[0].update(samples, 1, down, {})
        else:
            moves = [device.moves(samples, 1, down, {}) for device in devices]
            update, state = side_by_side(moves, ["the first", "the second"], Replay(False))[0]
    return Tensors(kept, meter.most - kept).times(1 / together), update, state


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

"""raygan itself as an engine of scripts/benchmark.py, through the same doors as `raygan train`.

    python scripts/benchmark_raygan.py inline|packed|actors FOLDER

`packed` has an actor for each half of the devices, `actors` one for each device.
"""

import sys
from collections import deque
from contextlib import closing
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from benchmark_engine import Block, Desk, Engine
from benchmark_work import SIDE, State, Work, WorkFolder

from raygan.config import Config, load_config
from raygan.data import load_data, split
from raygan.engine.checkpoint import load_newest
from raygan.engine.executor import Pending, Played
from raygan.engine.ledger import IN_FLIGHT
from raygan.engine.train import prepare
from raygan.gan.flat import FlatModule
from raygan.gan.steps import build_networks
from raygan.methods.averaged import AveragedDevice, AveragedServer
from raygan.methods.base import Method, Shard
from raygan.run_folder import RunFolder
from raygan.storage import store_at

ENDLESS = 10**9  # rounds; more than any benchmark plays, so that nothing is evaluated or saved on the way


class IdleDevice(AveragedDevice):
    """Takes everything in and sends its discriminator up, as the others do, but never steps."""

    def _train(self, shard: Shard, round: int) -> float:
        return 0.0


Idle = Method(device=IdleDevice, server=AveragedServer, scheduled=True)
"""`averaged` without the local steps: what is left is the engine's own cost."""


def config_of(work: Work, folder: WorkFolder, layout: str) -> Config:
    """The work as a config."""
    actors = {"inline": ["engine.executor=inline"], "packed": [f"engine.devices_per_actor={-(-work.devices // 2)}"]}
    optimizer = f"{{name: adam, lr: {work.learning_rate}, beta1: {work.betas[0]}, beta2: {work.betas[1]}}}"
    words = [
        f"method={'averaged' if work.steps else 'benchmark_raygan:Idle'}",
        "schedule=serial",
        f"devices={work.devices}",
        f"device_steps={max(work.steps, 1)}",
        "generator_steps=1",
        f"rounds={ENDLESS}",
        f"seed={work.seed}",
        f"batch_size={work.batch}",
        f"generator_batch_size={work.server_batch}",
        f"data={{name: npz, root: {folder.images}, size: {SIDE}}}",
        "gan.loss=non_saturating",
        f"gan.latent={work.latent}",
        f"gan.generator_width={work.width}",
        f"gan.discriminator_width={work.width}",
        "gan.generator_norm=none",
        "gan.discriminator_norm=none",
        f"device_optimizer={optimizer}",
        f"generator_optimizer={optimizer}",
        "averaged.optimizer_state=reset",
        "averaged.weights=uniform",
        f"eval.every={ENDLESS}",
        f"checkpoint.every={ENDLESS}",
    ]
    return load_config(None, [*words, *actors.get(layout, [])])


def lay_out(work: Work, folder: WorkFolder) -> None:
    """Write a work for every engine: images of noise, dealt as raygan deals them, and raygan's initial weights."""
    random = np.random.default_rng(work.seed)
    count = work.devices * work.samples
    images = random.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
    np.savez(folder.images, images=images, labels=np.arange(count) % 10)
    config = config_of(work, folder, "inline")
    dealt = load_data(config.data, config.seed)
    shards = split(dealt.labels, work.devices, config.data.partition, config.seed)
    networks = build_networks(config, dealt.shape, torch.device("cpu"))
    initial = [state_of(network, network.vector) for network in (networks.generator, networks.discriminator)]
    folder.write(work, np.stack([dealt.images[shard] for shard in shards]), *initial)


def state_of(network: FlatModule, vector: torch.Tensor) -> State:
    """A vector of one of raygan's networks, by the names that the layers have on their own."""
    return {name.removeprefix("layers."): tensor.numpy() for name, tensor in network.named(vector.detach()).items()}


class Raygan(Engine):
    """A run whose rounds are asked for block by block, as many in flight as in any run."""

    def __init__(self, folder: WorkFolder, layout: str) -> None:
        config = config_of(folder.work(), folder, layout)
        store = store_at(folder.root / layout)
        RunFolder(store.local).create(config)
        self._run = prepare(config, store, [], resume=False)
        self._executor = self._run.open(None)
        self._on_ray = config.engine.executor == "ray"
        self._round = 0

    def play(self, rounds: int) -> Block:
        """Play to the end of the last one; a run would go on in the meantime."""
        before = self._created_bytes()
        start = perf_counter()
        playing: deque[Pending[Played]] = deque()
        for _ in range(rounds):
            self._round += 1
            simulated = self._run.clock.round(self._round)
            playing.append(self._executor.play(self._round, simulated.devices, simulated.partners))
            if len(playing) > IN_FLIGHT:
                playing.popleft().result()
        while playing:
            playing.popleft().result()
        seconds = perf_counter() - start
        return Block(seconds, self._created_bytes() - before if self._on_ray else None)

    def _created_bytes(self) -> int:
        if not self._on_ray:
            return 0
        from benchmark_store import created_bytes

        return created_bytes()

    def discriminator(self) -> State:
        """From a checkpoint."""
        self._executor.save().result()
        snapshot, _ = load_newest(self._run.folder.checkpoints, self._round)
        assert snapshot is not None  # it has just been written
        images = self._run.setup.images
        network = build_networks(self._run.config, images.shape, torch.device("cpu")).discriminator
        return state_of(network, torch.from_numpy(snapshot.server["discriminator"]))

    def close(self) -> None:
        """End the processes."""
        self._executor.close()


def main() -> None:
    """Serve."""
    desk = Desk()
    with closing(Raygan(WorkFolder(Path(sys.argv[2])), layout=sys.argv[1])) as engine:
        desk.serve(engine, ["raygan", "torch", "numpy", "ray"])


if __name__ == "__main__":
    main()

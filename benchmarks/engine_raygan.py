"""raygan itself as an engine of benchmarks/engines.py, through the same doors as `raygan train`.

    python benchmarks/engine_raygan.py LAYOUT FOLDER

LAYOUT is `inline`; `packed`, an actor for each half of the devices, or `packed:N`, for each Nth; `actors`, one for each
device. `:eager` behind it plays without CUDA graphs, `:spawn` without forked workers, `:stackedN` groups of N devices
as one computation.
As there, what imports torch is imported while Ray starts.
"""

import sys
from contextlib import closing
from pathlib import Path
from statistics import fmean

from engine import Block, Desk, Engine
from work import State, Work, WorkFolder

from raygan.config import Config, load_config
from raygan.record.storage import store_at
from raygan.run.train import begin
from raygan.signals import StopWish

ENDLESS = 10**9  # rounds; more than any benchmark plays, so that nothing is evaluated or saved on the way


def config_of(work: Work, folder: WorkFolder, layout: str) -> Config:
    """The work as a config."""
    name, _, rest = layout.partition(":")
    packs = int(next((word for word in rest.split(":") if word.isdecimal()), 2))
    together = -(-work.devices // packs) if name == "packed" else 1
    stacked = next((int(word.removeprefix("stacked")) for word in rest.split(":") if word.startswith("stacked")), 1)
    optimizer = f"{{name: adam, lr: {work.learning_rate}, beta1: {work.betas[0]}, beta2: {work.betas[1]}}}"
    words = [
        f"method={'averaged' if work.steps else 'idle:Idle'}",
        "schedule=serial",
        f"devices={work.devices}",
        f"device_steps={max(work.steps, 1)}",
        "generator_steps=1",
        f"rounds={ENDLESS}",
        f"seed={work.seed}",
        f"batch_size={work.batch}",
        f"generator_batch_size={work.server_batch}",
        f"data={{name: npz, root: {folder.images}, size: {work.side}}}",
        "gan.loss=non_saturating",
        f"gan.latent={work.latent}",
        f"gan.generator_width={work.width}",
        f"gan.discriminator_width={work.width}",
        f"gan.generator_norm={'batch' if work.normalised else 'none'}",
        f"gan.discriminator_norm={'spectral' if work.normalised else 'none'}",
        f"device_optimizer={optimizer}",
        f"generator_optimizer={optimizer}",
        "averaged.optimizer_state=reset",
        "averaged.weights=uniform",
        f"eval.every={ENDLESS}",
        f"checkpoint.every={ENDLESS}",
        f"gan.precision={work.precision}",
        f"engine.executor={'inline' if name == 'inline' else 'ray'}",
        f"engine.devices_per_actor={together}",
        f"engine.stacked={stacked}",
        f"engine.gpus_per_device={min(work.share * together, 0.9):g}",
        f"engine.server_gpus={work.share:g}",
        f"engine.workers={'spawn' if 'spawn' in rest else 'fork'}",
        f"engine.cuda_graphs={'false' if rest.endswith('eager') else 'true'}",
    ]
    return load_config(None, words)


class Raygan(Engine):
    """A run whose rounds are asked for block by block, as many in flight as in any run."""

    def __init__(self, folder: WorkFolder, layout: str) -> None:
        config = config_of(folder.work(), folder, layout)
        run, executor, _ = begin(config, store_at(folder.root / layout.replace(":", "-")), [], False, StopWish())
        from rounds import Player  # torch is there by now

        self._player = Player(run, executor)
        self._on_ray = config.engine.executor == "ray"

    def play(self, rounds: int) -> Block:
        """Play to the end of the last one; a run would go on in the meantime."""
        if not self._on_ray:
            block = self._player.block(rounds)
            return Block(block.seconds, None, means(block.spent_s))
        from store import created_bytes, created_since

        before = created_bytes()
        block = self._player.block(rounds)
        stored = created_since(before)
        return Block(block.seconds, stored, means(block.spent_s))

    def discriminator(self) -> State:
        """From a checkpoint."""
        import torch
        from layout import state_of

        from raygan.gan.networks import build_networks
        from raygan.record.checkpoint import load_newest

        self._player.save()
        run = self._player.run
        snapshot, _ = load_newest(run.folder.checkpoints, self._player.round)
        assert snapshot is not None  # it has just been written
        images = run.setup.images
        network = build_networks(run.config, images.shape, torch.device("cpu")).discriminator
        return state_of(network, torch.from_numpy(snapshot.server["discriminator"]))

    def close(self) -> None:
        """End the processes."""
        self._player.close()


def means(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Over rounds, of where the time went."""
    return {phase: fmean(spent[phase] for spent in rounds) for phase in rounds[0]}


def main() -> None:
    """Serve."""
    desk = Desk()
    with closing(Raygan(WorkFolder(Path(sys.argv[2])), layout=sys.argv[1])) as engine:
        desk.serve(engine, ["raygan", "torch", "numpy", "ray"])


if __name__ == "__main__":
    main()

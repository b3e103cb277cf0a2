"""The recorder: measures, draws and saves, on the machine the run was started on, beside the training."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from raygan.config.tree import Config
from raygan.data.images import ImageSet
from raygan.engine.checkpoint import Snapshot, load_newest, remove_old, save_snapshot
from raygan.engine.compute import threads
from raygan.engine.evaluation import Evaluator, draw, sample_batches
from raygan.engine.generator_file import save_generator
from raygan.gan.flat import FlatModule
from raygan.gan.steps import build_generator
from raygan.methods.base import State
from raygan.report.grid import save_picture
from raygan.report.tensorboard import TensorBoardMirror
from raygan.rng import Role
from raygan.run_folder import FlatConfig, RunFolder


class Recorder:
    """Writes a run's pictures, checkpoints and generator, and measures it.

    It sees the real data as the simulator's instrument, not as a party of the simulated system.
    """

    def __init__(self, config: Config, settings: FlatConfig, root: Path, images: ImageSet, first_round: int) -> None:
        self._config = config
        self._folder = RunFolder(root)
        self._settings = settings
        self._images = images
        self._saved = max(first_round - 1, 0)
        self._evaluator: Evaluator | None = None
        self._tensorboard = TensorBoardMirror(root, first_round)

    def evaluate(self, round: int, generators: State) -> dict[str, object]:
        """Metrics of the averaged generator, those of the raw one with `_raw` behind, and the sample grid."""
        with threads(1):
            if self._evaluator is None:
                self._evaluator = Evaluator(self._config, self._images)
            network = FlatModule(build_generator(self._config.gan, self._images.shape), torch.device("cpu"))
            network.module.eval().requires_grad_(False)
            network.load(generators["raw"])
            raw = self._evaluator.measure(network.module)
            network.load(generators["ema"])
            metrics = self._evaluator.measure(network.module)
            self._draw(round, network)
        self._tensorboard.update()
        of_raw = {f"{name}_raw": value for name, value in raw.items() if name != "class_shares"}
        return metrics | of_raw | self._evaluator.about

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint."""
        save_snapshot(self._folder.checkpoints, replace(snapshot, settings=self._settings))
        self._saved = snapshot.round
        self._remove_old()

    def saved_states(self, devices: Iterable[int]) -> dict[int, State]:
        """What those of these devices that had taken part remembered at the newest whole checkpoint, if there is one.

        One of a later round, left by a try that went on differently before it was resumed, is not of this one.
        """
        snapshot, _ = load_newest(self._folder.checkpoints, self._saved)
        return snapshot.of(devices) if snapshot is not None else {}

    def export(self, round: int, generators: State) -> None:
        """Write generator.safetensors, and to TensorBoard what it lacks."""
        self._tensorboard.update()
        self._remove_old()
        save_generator(self._folder.generator, generators, self._config.gan, self._images.shape, round)

    def _remove_old(self) -> None:
        remove_old(self._folder.checkpoints, self._config.checkpoint.keep, self._folder.last_round())

    def _draw(self, round: int, network: FlatModule) -> None:
        config, rows = self._config, self._config.eval.grid
        count = 1000 if len(self._images.shape) == 1 else rows * rows
        batches = sample_batches(network.module, count, config.gan.latent, config.seed, Role.SAMPLES)
        save_picture(draw(torch.cat(list(batches)), rows), self._folder.picture(round))

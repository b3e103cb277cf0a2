"""The recorder: it measures, draws and saves on the driver's machine, alongside the training."""

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from raygan.config.tree import Config
from raygan.data.images import ImageSet
from raygan.errors import RunError
from raygan.evaluation.drawing import picture_of, rows_of_classes
from raygan.evaluation.evaluator import Evaluator, as_row
from raygan.evaluation.final import by_device, inferred, memorised, spent_by
from raygan.evaluation.sampling import sample_batches
from raygan.files import save_arrays, write_whole
from raygan.gan.flat import FlatModule
from raygan.gan.networks import build_generator
from raygan.methods.base import State
from raygan.metrics.classifier import save_yardstick
from raygan.record.checkpoint import Flying, Snapshot, load_newest, remove_old, save_snapshot
from raygan.record.folder import RunFolder
from raygan.record.generator_file import save_generator
from raygan.record.lock import share
from raygan.record.settings import FlatConfig
from raygan.report.grid import save_picture
from raygan.report.tensorboard import TensorBoardMirror
from raygan.rng import Role
from raygan.round.compute import threads, torch_device


class Recorder:
    """Writes a run's pictures, checkpoints and generator, and measures it.

    It reads the real data as an instrument of the simulator, not as a part of the simulated system.
    """

    def __init__(self, config: Config, settings: FlatConfig, root: Path, images: ImageSet, first_round: int) -> None:
        self._config = config
        self.computes_on = torch_device(config.eval.gpus)
        self._folder = RunFolder(root)
        self._settings = settings
        self._images = images
        self._saved = max(first_round - 1, 0)
        self._lock = share(root)
        self._measured: tuple[int, dict[str, dict[str, object]]] = (-1, {})  # of the last evaluation
        self._first_round = first_round
        self._mirror: TensorBoardMirror | None = None
        self._mirror_begins = threading.Lock()  # files are written in a thread of their own

    def evaluate(self, round: int, generators: State) -> dict[str, object]:
        """Measure the averaged generator and, with the suffix `_raw`, the raw one; draw the sample grid."""
        self._follow_log()
        with threads(1):
            measured = self._measure(generators)
            self._measured = round, measured
            network = self._network()
            network.load(generators["ema"])
            self._draw(round, network)
        return as_row(measured["ema"], measured["raw"]) | self._evaluator.about

    def keep(self, round: int, generators: State) -> None:
        """Keep the generators to be measured in the run folder, so that an interrupted run can measure them later."""
        kept = False
        while not kept:
            self._folder.pending.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):  # the driver removes the folder whenever it finds it empty
                write_whole(self._folder.generators_of(round), lambda aside: save_arrays(generators, aside))
                kept = True

    def evaluate_kept(self, round: int) -> dict[str, object]:
        """Evaluate the generators that are kept of a round.

        Raises:
            RunError: the file is damaged.
        """
        path = self._folder.generators_of(round)
        try:
            generators = load_file(path)
        except (OSError, SafetensorError) as error:
            raise RunError(
                f"{path}: damaged; remove it, and the evaluation of round {round} is left out", code="damaged"
            ) from error
        return self.evaluate(round, generators)

    def _follow_log(self) -> TensorBoardMirror | None:
        """Follow the log from the first call on: by then a resumed run has dropped the lines it will write again."""
        with self._mirror_begins:
            if self._mirror is None and "tensorboard" in self._config.track:
                late = self._folder.pending_rounds()
                self._mirror = TensorBoardMirror(self._folder.root, self._first_round, late)
        return self._mirror

    @cached_property
    def _evaluator(self) -> Evaluator:
        """Build the evaluator. Its classifier stays with the run, also when it is resumed or measured elsewhere."""
        evaluator = Evaluator(self._config, self._images, self._folder.classifier)
        if evaluator.yardstick is not None:
            save_yardstick(evaluator.yardstick, self._folder.classifier)
        return evaluator

    def _network(self) -> FlatModule:
        network = FlatModule(build_generator(self._config.gan, self._images.shape), torch.device("cpu"))
        network.module.eval().requires_grad_(False)
        return network

    def _measure(self, generators: State) -> dict[str, dict[str, object]]:
        """Returns the metrics of the averaged and of the raw generator."""
        network, found = self._network(), {}
        for weights in ("ema", "raw"):
            network.load(generators[weights])
            found[weights] = self._evaluator.measure(network.module)
        return found

    def save(
        self,
        round: int,
        server: State,
        workers: Iterable[Mapping[int, State] | range],
        flying: Mapping[int, list[int]],
        *downs: np.ndarray,
    ) -> None:
        """Write a checkpoint. `workers` has the states of each worker's devices.

        For a lost worker it has the range of its devices, which are saved with their states of the last checkpoint.
        `flying` has the devices under way by the round in which they started, and `downs` what they started from.
        """
        self._follow_log()
        devices: dict[int, State] = {}
        for states in workers:
            devices |= self.saved_states(states) if isinstance(states, range) else states
        under_way = {started: Flying(flying[started], down) for started, down in zip(flying, downs, strict=True)}
        save_snapshot(self._folder.checkpoints, Snapshot(round, server, devices, self._settings, under_way))
        self._saved = round
        self._remove_old()

    def saved_states(self, devices: Iterable[int]) -> dict[int, State]:
        """Returns the states, at the newest whole checkpoint if any, of those of these devices that had taken part.

        A checkpoint of a later round, left by an earlier attempt before it was resumed, does not count.
        """
        snapshot, _ = load_newest(self._folder.checkpoints, self._saved)
        return snapshot.of(devices) if snapshot is not None else {}

    def export(self, round: int, generators: State) -> None:
        """End a run: write evaluation.json if the last round is to be measured, then generator.safetensors.

        A user who presses Ctrl-C between two evaluations does not want to wait for one.
        """
        if (mirror := self._follow_log()) is not None:
            mirror.close()  # this process may be killed as soon as the last file is there
        self._remove_old()
        if self._config.is_measured(round):
            self._conclude(round, generators)
        save_generator(self._folder.generator, generators, self._config.gan, self._images.shape, round)

    def close(self) -> None:
        """End the threads of the recorder."""
        if self._mirror is not None:
            self._mirror.close()
        self._lock.release()

    def _conclude(self, round: int, generators: State) -> None:
        """Write evaluation.json, and the picture of the nearest training images."""
        with threads(1):
            measured = self._measured[1] if self._measured[0] == round else self._measure(generators)
            network = self._network()
            network.load(generators["ema"])
            devices = by_device(self._config, self._images, self._evaluator, network.module, measured["ema"])
            nearest, picture = memorised(self._config, self._images, network.module)
            about = self._config, self._images, self._evaluator, network.module
            attacked = inferred(*about, round, self._folder.checkpoints)
        if picture is not None:
            save_picture(picture, self._folder.nearest)
        spent = spent_by(self._config, self._images, round)
        found = {**measured, **devices, **nearest, **attacked, **spent, **self._evaluator.about}
        self._folder.write_evaluation({"round": round, **found})

    def _remove_old(self) -> None:
        remove_old(self._folder.checkpoints, self._config.checkpoint.keep, self._folder.log.last_round())

    def _draw(self, round: int, network: FlatModule) -> None:
        config, rows = self._config, self._config.eval.grid
        count = 1000 if len(self._images.shape) == 1 else rows * rows
        batches = sample_batches(
            network.module, count, config.gan, config.seed, Role.SAMPLES, rows_of_classes(config.gan, count, rows)
        )
        save_picture(picture_of(torch.cat(list(batches)), rows), self._folder.picture(round))

"""Measurements at the end of a run: FD-clf against each device's shard, and distances to training images."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from raygan.components import DISCRIMINATORS
from raygan.config.tree import Config
from raygan.data import ImageSet, dealt
from raygan.data.classes import with_classes
from raygan.errors import InputError
from raygan.evaluation.checks import check_weights, load_again
from raygan.evaluation.evaluator import Evaluator, as_row, real_batches
from raygan.evaluation.membership import membership
from raygan.evaluation.sampling import sample_batches
from raygan.gan.batches import to_bytes
from raygan.metrics.frechet import Frechet
from raygan.metrics.nearest import nearest_images
from raygan.privacy.accountant import accountant_of, facts_of
from raygan.record.checkpoint import load_server
from raygan.record.folder import RunFolder
from raygan.record.generator_file import read_generator
from raygan.record.log import Row
from raygan.report.grid import image_grid
from raygan.rng import Role
from raygan.round.checks import method_of
from raygan.round.compute import threads
from raygan.round.simulation import as_run

DEVICES = 100
"""Maximum number of devices to measure against."""
OF_THE_END = {"devices", "nearest", "membership", "privacy", "round"}
"""Fields of evaluation.json that lines of evaluations.jsonl do not have."""
_NEIGHBOURS = 3


def by_device(
    config: Config, images: ImageSet, evaluator: Evaluator, generator: nn.Module, pooled: Mapping[str, object]
) -> dict[str, object]:
    """Returns FD-clf against the shards of the first devices, their mean, and FD-clf against all shards together.

    They may disagree: a generator that has learned all classes is far from a shard of two classes. Small shards are far
    from everything, so compare devices with similar shards. `config` is that of the run. Returns nothing if FD-clf is
    not measured.
    """
    if "fd_clf" not in pooled or config.devices == 1:
        return {}
    shards = dealt(images, config)
    generated = evaluator.features(evaluator.samples(generator))
    found = [
        _distance(evaluator, images.images[shards[device]], generated) for device in range(min(len(shards), DEVICES))
    ]
    known = [distance for distance in found if distance is not None]
    mean = sum(known) / len(known) if known else None
    return {"devices": {"fd_clf": found, "mean_fd_clf": mean, "pooled_fd_clf": pooled["fd_clf"]}}


def _distance(evaluator: Evaluator, shard: np.ndarray, generated: Tensor) -> float | None:
    """Returns FD-clf against a shard; None if the shard has too few samples for a covariance."""
    return Frechet(evaluator.features(real_batches(shard))).measure(generated)["fd"] if len(shard) > 1 else None


def memorised(config: Config, images: ImageSet, generator: nn.Module) -> tuple[dict[str, object], Image.Image | None]:
    """Returns how near `eval.nearest` samples are to training images, and a picture of both, a sample per row."""
    count = config.eval.nearest
    if len(images.shape) != 3 or len(images) * (1 - config.data.held_out) <= _NEIGHBOURS or count == 0:
        return {}, None
    samples = torch.cat(list(sample_batches(generator, count, config.gan, config.seed, Role.SAMPLES)))
    training = images.images[np.sort(dealt(images, config).indices)] if config.data.held_out else images.images
    found = nearest_images(samples, training, _NEIGHBOURS)
    rows = np.concatenate([to_bytes(samples)[:, None], training[found.indices]], axis=1)
    facts = {
        "samples": count,
        "neighbours": _NEIGHBOURS,
        "distances": [float(distance) for distance in found.distances],
        "real_median": found.real_median,
        "ratio_median": float(np.median(found.distances)) / found.real_median if found.real_median else None,
    }
    return {"nearest": facts}, image_grid(rows.reshape(-1, *images.shape), columns=1 + _NEIGHBOURS)


def evaluate_run(config: Config, folder: Path, own: str | None) -> dict[str, Any]:
    """Measure the generator in a run folder as `config.eval` says; returns the content of evaluation.json.

    Raises:
        InputError: the run has no generator yet, or one of another config, or its data is missing or has changed.
    """
    check_weights(config)
    path = RunFolder(folder).generator
    trained = {weights: read_generator(path, weights, own) for weights in ("ema", "raw")}
    config = as_run(config)
    images = load_again(config)
    if (digest := RunFolder(folder).data_digest()) not in (None, images.digest):
        raise InputError(
            f"{folder}: the data is not what the run was trained on (its hash was {digest}, now it is "
            f"{images.digest}); put it back, or name the place where it is: data.root=PLACE",
            code="mismatch",
        )
    config = with_classes(config, images, dealt(images, config))
    if (trained["ema"].gan, trained["ema"].shape) != (config.gan, images.shape):
        raise InputError(
            f"{folder}: gan or data in config.yaml are not those that {path.name} was trained with", code="mismatch"
        )
    with threads(1):
        evaluator = Evaluator(config, images, RunFolder(folder).classifier)
        measured = {weights: evaluator.measure(one.network.module) for weights, one in trained.items()}
        averaged = trained["ema"].network.module
        devices = by_device(config, images, evaluator, averaged, measured["ema"])
        nearest, _ = memorised(config, images, averaged)
        known = config.gan.discriminator in DISCRIMINATORS  # the folder alone must not run the code of another
        saved = RunFolder(folder).checkpoints if known else None
        attacked = inferred(config, images, evaluator, averaged, trained["ema"].round, saved)
    spent = spent_by(config, images, trained["ema"].round)
    return {"round": trained["ema"].round, **measured, **devices, **nearest, **attacked, **spent, **evaluator.about}


def inferred(
    config: Config,
    images: ImageSet,
    evaluator: Evaluator,
    generator: nn.Module,
    round: int,
    checkpoints: Path | None,
) -> dict[str, object]:
    """Returns what tells members from held-out samples, if any: also by the discriminator of a checkpoint of `round`.

    Raises:
        InputError: that checkpoint is damaged.
    """
    if not config.data.held_out:
        return {}
    server = load_server(checkpoints, round) if checkpoints is not None else None
    discriminator = None if server is None else server.get("discriminator")
    generated = torch.cat(list(evaluator.samples(generator)))
    return membership(config, images, generated, discriminator, DEVICES)


def spent_by(config: Config, images: ImageSet, round: int) -> dict[str, object]:
    """Returns epsilon after a round of a private run."""
    if config.privacy.name == "none":
        return {}
    accountant = accountant_of(config, method_of(config), dealt(images, config).sizes)
    return {} if accountant is None else facts_of(accountant.after(round))


def measured_with(classifier: Path, folders: Sequence[Path]) -> list[Row]:
    """Returns a row per run folder: its last generator, evaluated with one classifier for all.

    Each is measured against its own data, with the sample count of the first run.

    Raises:
        InputError: as `evaluate_run`; a custom network is measured by `raygan evaluate` only.
    """
    samples = RunFolder(folders[0]).read_config().eval.samples
    rows: list[Row] = []
    for folder in folders:
        words = [f"eval.classifier={json.dumps(str(classifier.resolve()))}", f"eval.samples={samples}"]
        found = evaluate_run(RunFolder(folder).read_config(words), folder, None)
        averaged, raw = found.pop("ema"), found.pop("raw")
        rows.append(as_row(averaged, raw) | {key: found[key] for key in found.keys() - OF_THE_END})
    return rows

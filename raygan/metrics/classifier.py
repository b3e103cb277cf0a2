"""A small classifier of a data set, whose features FD-clf compares.

It is trained once per content and settings, then cached, and kept with every run that it measured. Values depend on the
classifier: never compare across data sets or classifiers; `digest` names the one in use. Training gives different last
bits on another kind of processor, so runs from two machines are comparable only if both use one file.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from raygan.errors import InputError
from raygan.files import cache_folder, keep_in_cache, load_json, write_whole
from raygan.rng import Role, stream, torch_seeded

FEATURES = 128
TRAINING_IMAGES = 20_000
HELD_OUT_IMAGES = 5_000
LEAST_STEPS = 200
_BATCH = 100
_VERSION = 2  # increase it when network or training change, so that older caches are not used


class Classifier(nn.Module):
    """Three strided convolutions and a feature layer; images (N, C, H, W) in [-1, 1] to (N, 128) features."""

    num_features = FEATURES

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.channels = channels
        layers: list[nn.Module] = []
        for before, after in ((channels, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.features = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64 * 16, FEATURES), nn.ReLU()
        )
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the features of `images`."""
        features: Tensor = self.features(images)
        return features


@dataclass(frozen=True)
class Yardstick:
    """A trained classifier, and how reliable it is."""

    network: Classifier
    """The classifier, in evaluation mode."""
    classes: int
    accuracy: float | None
    """Accuracy on the held-out images; None: too few images of every class to hold any out."""
    held_out: int
    """Number of images that it was not trained on."""
    chance: float
    """Share of the largest class among all images: the accuracy of always predicting it."""

    @property
    def digest(self) -> str:
        """Hash of the weights."""
        hasher = hashlib.blake2b(digest_size=8)
        for tensor in self.network.state_dict().values():
            hasher.update(tensor.numpy().tobytes())
        return hasher.hexdigest()

    def weakness(self, images: int) -> str | None:
        """Returns why distances on its features say little about a set of so many images, or None if nothing is known.

        The bounds are ours: a held-out accuracy a quarter of the way from chance to 1, and one image per feature, below
        which the covariance of the features does not have full rank.
        """
        least = self.chance + (1 - self.chance) / 4
        if self.accuracy is None:
            return "FD-clf is no yardstick here: no class has five images, so none could be held out to test it"
        if self.accuracy < least:
            return (
                f"FD-clf is no yardstick here: its classifier names {self.accuracy:.0%} of {self.held_out:,} held-out "
                f"images right, and {least:.0%} are needed"
            )
        if images < FEATURES:
            return f"FD-clf is no yardstick here: {images:,} images are fewer than its {FEATURES} features"
        return None


def train_classifier(images: np.ndarray, labels: np.ndarray, classes: int, epochs: int) -> Yardstick:
    """Returns the classifier of a data set, trained or cached.

    `images` (N, C, H, W) uint8, `labels` (N,). The seed is fixed, so that runs with different seeds share one
    yardstick. A fifth of every class is held out, at most `HELD_OUT_IMAGES`. Training makes `epochs` passes over the
    rest, and more over small sets, until `LEAST_STEPS` steps are taken: with fewer, noise is as near to the data as
    the data are.
    """
    key = hashlib.blake2b(repr((_VERSION, images.shape, classes, epochs)).encode(), digest_size=16)
    key.update(np.ascontiguousarray(images).data)
    key.update(np.ascontiguousarray(labels).data)
    name = f"{key.hexdigest()}.safetensors"
    try:
        return load_yardstick(cache_folder("classifiers") / name)
    except InputError:  # missing, truncated by a full disk, or no cache
        trained = _train(images, labels, classes, epochs)
        keep_in_cache("classifiers", name, lambda aside: _write(trained, aside))
        return trained


def save_yardstick(yardstick: Yardstick, path: Path) -> None:
    """Write a classifier as safetensors, atomically. The same classifier gives the same bytes."""
    write_whole(path, lambda aside: _write(yardstick, aside))


def _write(yardstick: Yardstick, path: Path) -> None:
    network = yardstick.network
    about = {
        "channels": network.channels,
        "classes": yardstick.classes,
        "accuracy": yardstick.accuracy,
        "held_out": yardstick.held_out,
        "chance": yardstick.chance,
    }
    save_file(network.state_dict(), path, {"raygan": json.dumps(about, sort_keys=True)})


def load_yardstick(path: Path) -> Yardstick:
    """Read a file of `save_yardstick`. No code is loaded.

    Raises:
        InputError: the file cannot be read, or has other content; names the file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = load_json(file.metadata()["raygan"])
            network = Classifier(int(about["channels"]), int(about["classes"]))
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        accuracy = None if about["accuracy"] is None else float(about["accuracy"])
        held_out, chance = int(about["held_out"]), float(about["chance"])
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: no classifier that raygan wrote ({type(error).__name__})", code="damaged") from error
    network.eval().requires_grad_(False)
    return Yardstick(network, network.head.out_features, accuracy, held_out, chance)


def _train(images: np.ndarray, labels: np.ndarray, classes: int, epochs: int) -> Yardstick:
    with torch_seeded(0, Role.CLASSIFIER):
        classifier = Classifier(images.shape[1], classes)
    random = stream(0, Role.CLASSIFIER, round=1)
    order = random.permutation(len(images))
    held = _held_out(labels, order)
    chosen = order[~np.isin(order, held)][:TRAINING_IMAGES]
    batches = -(-len(chosen) // _BATCH)
    passes = max(epochs, -(-LEAST_STEPS // batches))
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=passes * batches)
    classifier.train()
    for _ in range(passes):
        for batch in np.array_split(random.permutation(chosen), batches):
            logits = classifier.head(classifier(scale(images[batch])))
            loss = F.cross_entropy(logits, torch.from_numpy(labels[batch]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    classifier.eval().requires_grad_(False)
    counts = np.bincount(labels, minlength=classes)
    accuracy = _accuracy(classifier, images[held], labels[held]) if len(held) else None
    return Yardstick(classifier, classes, accuracy, len(held), float(counts.max() / counts.sum()))


def _held_out(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Returns the indices of the first fifth of every class in `order`, rounded down, up to the allowed number."""
    by_class = [order[labels[order] == label] for label in np.unique(labels)]
    share = min(0.2, HELD_OUT_IMAGES / len(labels))
    return np.concatenate([members[: int(share * len(members))] for members in by_class])


def _accuracy(classifier: Classifier, images: np.ndarray, labels: np.ndarray) -> float:
    named = [
        classifier.head(classifier(scale(part))).argmax(dim=1).numpy()
        for part in np.array_split(images, -(-len(images) // _BATCH))
    ]
    return float((np.concatenate(named) == labels).mean())


def scale(images: np.ndarray) -> Tensor:
    """uint8 pixels to float32 in [-1, 1]."""
    return torch.from_numpy(images).float().div_(127.5).sub_(1)

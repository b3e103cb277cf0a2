"""A small classifier trained on a data set, whose features FD-clf compares.

Trained once per content, settings and seed, then cached. Values depend on the classifier: never compare
across data sets or classifiers; `digest` names the one in use.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from raygan.files import write_whole
from raygan.rng import Role, stream, torch_seeded

FEATURES = 128
TRAINING_IMAGES = 20_000
_BATCH = 100
_VERSION = 1  # raise when network or training change, so that older caches are not used


class Classifier(nn.Module):
    """Three strided convolutions and a feature layer; images (N, C, H, W) in [-1, 1] to (N, 128) features."""

    num_features = FEATURES

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((channels, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.features = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64 * 16, FEATURES), nn.ReLU()
        )
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Features of `images`."""
        features: Tensor = self.features(images)
        return features


def train_classifier(
    images: np.ndarray, labels: np.ndarray, classes: int, epochs: int, cache: Path
) -> tuple[Classifier, str]:
    """The classifier of a data set, in evaluation mode, and the hash of its weights.

    `images` (N, C, H, W) uint8, `labels` (N,). Read from the folder `cache` when it is there; the seed is
    fixed, so that runs with different seeds share one yardstick.
    """
    key = hashlib.blake2b(repr((_VERSION, images.shape, classes, epochs)).encode(), digest_size=16)
    key.update(np.ascontiguousarray(images).data)
    key.update(np.ascontiguousarray(labels).data)
    path = cache / f"{key.hexdigest()}.safetensors"
    with torch_seeded(0, Role.CLASSIFIER):
        classifier = Classifier(images.shape[1], classes)
    try:
        classifier.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError):  # absent, or cut off by a full disk: train again
        _train(classifier, images, labels, epochs)
        write_whole(path, lambda aside: save_file(classifier.state_dict(), aside))
    classifier.eval().requires_grad_(False)
    return classifier, _digest(classifier)


def _train(classifier: Classifier, images: np.ndarray, labels: np.ndarray, epochs: int) -> None:
    random = stream(0, Role.CLASSIFIER, round=1)
    chosen = random.permutation(len(images))[:TRAINING_IMAGES]
    steps = epochs * -(-len(chosen) // _BATCH)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    classifier.train()
    for _ in range(epochs):
        order = random.permutation(chosen)
        for batch in np.array_split(order, -(-len(order) // _BATCH)):
            logits = classifier.head(classifier(scale(images[batch])))
            loss = F.cross_entropy(logits, torch.from_numpy(labels[batch]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def scale(images: np.ndarray) -> Tensor:
    """uint8 pixels to float32 in [-1, 1]."""
    return torch.from_numpy(images).float().div_(127.5).sub_(1)


def _digest(classifier: Classifier) -> str:
    hasher = hashlib.blake2b(digest_size=8)
    for tensor in classifier.state_dict().values():
        hasher.update(tensor.numpy().tobytes())
    return hasher.hexdigest()

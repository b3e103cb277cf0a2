"""The classes of the data, for networks that are given them, and for parties that go by who holds which."""

import numpy as np

from raygan.config.tree import Config
from raygan.data.images import ImageSet
from raygan.data.shards import Shards
from raygan.errors import InputError


def with_classes(config: Config, images: ImageSet, shards: Shards) -> Config:
    """Returns the config with `gan.class_weights`: as many as the data has classes, by default the shards' samples.

    Without a condition it is unchanged.

    Raises:
        InputError: the data has one class, or there is not a weight for each.
    """
    gan, classes = config.gan, len(images.classes)
    if gan.condition == "none":
        return config
    if classes < 2:
        raise InputError(
            f"gan.condition: {gan.condition} needs classes, but all samples of data.name={config.data.name} are of "
            "one; set gan.condition=none, or give the data labels",
            code="few",
        )
    if gan.class_weights and len(gan.class_weights) != classes:
        raise InputError(
            f"gan.class_weights: {len(gan.class_weights)} weights for {classes} classes; give one for each, or none",
            code="mismatch",
        )
    counts = np.bincount(images.labels[shards.indices], minlength=classes)
    weights = gan.class_weights or tuple(counts.astype(float).tolist())
    return config.model_copy(update={"gan": gan.model_copy(update={"class_weights": weights})})


def class_counts(images: ImageSet, shards: Shards) -> np.ndarray:
    """Returns the number of samples of each class on each device, (K, C) int64."""
    classes = len(images.classes)
    holders = np.repeat(np.arange(len(shards)), shards.sizes)
    counted = np.bincount(holders * classes + images.labels[shards.indices], minlength=len(shards) * classes)
    return counted.reshape(len(shards), classes)

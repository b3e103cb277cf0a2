"""A description of a data set and its partition, without samples."""

import numpy as np

from raygan.data.images import ImageSet
from raygan.data.shards import Shards

LISTED = 1000
"""At most so many devices are listed one by one."""


def about(name: str, images: ImageSet, shards: Shards) -> dict[str, object]:
    """Returns counts of samples: by class, and by device and class for the first devices."""
    classes = len(images.classes)
    listed = range(min(len(shards), LISTED))
    return {
        "name": name,
        "digest": images.digest,
        "samples": len(images),
        "shape": images.shape,
        "classes": images.classes,
        "class_counts": np.bincount(images.labels, minlength=classes).tolist(),
        "devices": len(shards),
        "device_class_counts": [np.bincount(images.labels[shards[k]], minlength=classes).tolist() for k in listed],
    }

"""What there is to say of a data set and of how it is dealt, without a sample of it."""

import numpy as np

from raygan.data.images import ImageSet
from raygan.data.shards import Shards

LISTED = 1000
"""At most so many devices are listed one by one."""


def about(name: str, images: ImageSet, shards: Shards) -> dict[str, object]:
    """Counts of samples: by class, and by device and class for the first devices."""
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

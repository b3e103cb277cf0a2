"""A description of a data set and its partition, without samples."""

import numpy as np

from raygan.config.data import Data
from raygan.config.partitions import Natural
from raygan.data.images import ImageSet
from raygan.data.natural import device_names
from raygan.data.shards import Shards

LISTED = 1000
"""At most so many devices are listed one by one."""


def about(data: Data, images: ImageSet, shards: Shards) -> dict[str, object]:
    """Returns counts of samples: by class, and by device and class for the first devices; and the devices' holders."""
    classes = len(images.classes)
    listed = range(min(len(shards), LISTED))
    return {
        "name": data.name,
        "digest": images.digest,
        "samples": len(images),
        "shape": images.shape,
        "classes": images.classes,
        "class_counts": np.bincount(images.labels, minlength=classes).tolist(),
        "devices": len(shards),
        "notes": images.notes,
        **({"device_names": device_names(images, shards, LISTED)} if isinstance(data.partition, Natural) else {}),
        "device_class_counts": [np.bincount(images.labels[shards[k]], minlength=classes).tolist() for k in listed],
    }

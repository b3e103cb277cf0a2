"""Image sets, and how they are dealt over the devices."""

from raygan.data.images import ImageSet, load_data
from raygan.data.partition import split
from raygan.data.shards import Shards

__all__ = ["ImageSet", "Shards", "load_data", "split"]

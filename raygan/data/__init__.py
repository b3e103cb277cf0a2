"""Image sets, and how they are dealt over the devices."""

from raygan.data.images import ImageSet, load_data
from raygan.data.partition import split

__all__ = ["ImageSet", "load_data", "split"]

"""Data sets, and their partition over the devices."""

from raygan.data.images import ImageSet, load_data
from raygan.data.partition import dealt, parted, split
from raygan.data.shards import Shards

__all__ = ["ImageSet", "Shards", "dealt", "load_data", "parted", "split"]

"""Switches of each method. Every default is ours unless a source is named."""

from typing import Literal

from raygan.config.section import Count, Positive, Section


class Averaged(Section):
    """Switches of `method: averaged` that the paper's abstract leaves open. Every default is ours."""

    weights: Literal["uniform", "shard", "batch"] = "uniform"
    """Weight of a device in the average: 1, its number of samples, or its batch size."""
    optimizer_state: Literal["keep", "reset", "average"] = "keep"
    """A device optimiser's moments between rounds: kept on the device, fresh every round, or averaged too, which sends
    them both ways."""
    buffers: Literal["average", "local", "reset"] = "average"
    """Buffers of the discriminator (such as BatchNorm statistics): averaged too, kept on the device, or reset to the
    initial ones in every round; the server then has its own. Spectral normalisation's vectors, which follow from the
    weights, are recomputed after the average whatever is set."""
    upload: Literal["weights", "delta"] = "weights"
    """What goes up: the discriminator, or its difference to the one that came down."""


class Fedgan(Section):
    """Switches of `method: fedgan` (arXiv 2006.07228)."""

    weights: Literal["shard", "uniform"] = "shard"
    """Weight of a device in the average: its number of samples (the paper's p_i), or 1 (FL-GAN of arXiv 1811.03850)."""
    optimizer_state: Literal["keep", "reset"] = "keep"
    """Both device optimisers' moments between rounds: kept on the device, or fresh every round."""


class Mdgan(Section):
    """Switches of `method: mdgan` (arXiv 1811.03850)."""

    batches: Count | None = None
    """Fake batches per round, the paper's k (null: the natural logarithm of the number of devices, rounded up)."""
    swap_epochs: Positive | None = 1.0
    """Discriminators change places after so many passes over a shard of mean size (passes; null: never)."""
    downlink: Literal["unicast", "broadcast"] = "unicast"
    """Each device is sent its own two batches (the paper's count), or all k go to everyone at once (for the clock)."""
    swap_moments: Literal["travel", "stay", "reset"] = "travel"
    """The discriminator optimiser's moments at a swap: sent with it, kept on the device, or started again."""

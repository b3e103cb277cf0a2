"""Config of each method. Every default is ours unless a source is named."""

from typing import Literal

from raygan.config.section import Count, NotNegative, Positive, Section


class Averaged(Section):
    """Switches of `method: averaged` that the paper's abstract leaves open. Every default is ours."""

    weights: Literal["uniform", "shard", "batch"] = "uniform"
    """Weight of a device in the average: 1 (`uniform`), its number of samples (`shard`), or its batch size
    (`batch`)."""
    optimizer_state: Literal["keep", "reset", "average"] = "keep"
    """A device optimiser's moments between rounds: kept on the device, reset every round, or averaged too, which sends
    them both ways."""
    buffers: Literal["average", "local", "reset"] = "average"
    """Buffers of the discriminator (such as BatchNorm statistics): averaged too, kept on the device, or reset to the
    initial ones in every round. If they are not averaged, the server has its own. Spectral normalisation's vectors are
    derived from the weights, and are recomputed after averaging in every case."""
    upload: Literal["weights", "delta"] = "weights"
    """The upload of a device: its discriminator, or the difference to the one it received."""


class Fedgan(Section):
    """Switches of `method: fedgan` (arXiv 2006.07228)."""

    weights: Literal["shard", "uniform"] = "shard"
    """Weight of a device in the average: its number of samples (the paper's p_i), or 1 (FL-GAN of arXiv 1811.03850)."""
    optimizer_state: Literal["keep", "reset"] = "keep"
    """Moments of both device optimisers between rounds: kept on the device, or reset every round."""
    upload: Literal["weights", "delta"] = "weights"
    """The upload of a device: both networks, or the difference to those it received."""


class Fegan(Section):
    """Switches of `method: fegan` (Guerraoui et al., Middleware 2020)."""

    weights: Literal["softmax", "linear", "dirac"] = "softmax"
    """Weight of a device in the average, by its score: the KL divergence of its classes from those of all data, times
    its share of the samples. `softmax`: the exponential of the score; `linear`: the score; `dirac`: likewise, but a
    device with half of the round's score or more is alone."""


class Mdgan(Section):
    """Switches of `method: mdgan` (arXiv 1811.03850)."""

    feedback: Literal["mean", "odds", "forgiving", "adaptive"] = "mean"
    """What the generator descends. `mean`: the mean of the devices' losses. The others send the logit of each image up
    and weigh the devices image by image: `odds`, the odds of all discriminators together (UA-GAN, arXiv 2102.04655);
    `forgiving`, the largest logit (F2U, arXiv 1905.09684); `adaptive`, a mean in which larger logits weigh more, by a
    lambda that is learned (F2A, likewise). They need `swap_epochs: null`."""
    lambda_start: NotNegative = 0.1
    """F2A's lambda in the first round (0: all devices weigh alike; for `adaptive`, as the next two)."""
    lambda_lr: NotNegative = 0.01
    """Step size of lambda, which descends the generator's loss (0: it stays)."""
    lambda_decay: NotNegative = 0.1
    """Weight of the square of lambda in the loss that lambda descends; without it lambda only grows."""
    batches: Count | None = None
    """Fake batches per round, the paper's k (null: the natural logarithm of the number of devices, rounded up; 1 where
    `feedback` is not `mean`, as all devices then judge the same images)."""
    swap_epochs: Positive | None = 1.0
    """Devices swap discriminators after so many passes over a shard of mean size (passes; null: never)."""
    downlink: Literal["unicast", "broadcast"] = "unicast"
    """Each device is sent its own two batches (the paper's count), or all k are broadcast at once (for the clock)."""
    swap_moments: Literal["travel", "stay", "reset"] = "travel"
    """The discriminator optimiser's moments at a swap: sent with it, kept on the device, or reset."""

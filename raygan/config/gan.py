"""The networks, the loss and the optimisers."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Tag

from raygan.components import DISCRIMINATORS, GENERATORS, LOSSES, check_name
from raygan.config.section import NO_OPTIONS, Count, Options, Positive, Section, Share, named

Norm = Literal["batch", "group", "none", "spectral"]


class Gan(Section):
    """The networks and the loss."""

    generator: Annotated[str, AfterValidator(lambda name: check_name(GENERATORS, name))] = "dcgan"
    """`dcgan` (images), `mlp` (2-D points), or an import path to a class called with `(shape, gan)`."""
    discriminator: Annotated[str, AfterValidator(lambda name: check_name(DISCRIMINATORS, name))] = "dcgan"
    """As `generator`; it returns one logit per sample. Your own promises with an attribute `per_sample = True` that a
    logit depends on its sample alone and that passes leave no trace: then a step takes one pass instead of two."""
    loss: Annotated[str, AfterValidator(lambda name: check_name(LOSSES, name))] = "non_saturating"
    """`non_saturating`, `minimax`, `hinge`, `least_squares`, `wgan_gp`, or an import path to a `Loss`."""
    gradient_penalty: Positive = 10.0
    """Weight of the gradient penalty (lambda of arXiv 1704.00028); used by losses that have one (`wgan_gp`)."""
    latent: Count = 64
    """Length of the latent vector z (numbers)."""
    generator_width: Count = 32
    """Channels of the generator's last hidden layer; each earlier layer doubles it (hidden units for `mlp`)."""
    discriminator_width: Count = 32
    """Channels of the discriminator's first layer; each later layer doubles it (hidden units for `mlp`)."""
    generator_norm: Norm = "batch"
    """Normalisation inside the generator."""
    discriminator_norm: Norm = "spectral"
    """Normalisation inside the discriminator."""
    ema: Share = 0.98
    """Decay of the generator's exponential moving average, per generator step (0: the average is the raw one)."""
    options: Options = NO_OPTIONS
    """Free settings your own networks read."""


class Adam(Section):
    """Adam (arXiv 1412.6980)."""

    name: Literal["adam"] = "adam"
    lr: Positive = 2e-3
    """Learning rate (per step)."""
    beta1: Share = 0.0
    """Decay of the first moment (0, common with spectral normalisation)."""
    beta2: Share = 0.999
    """Decay of the second moment."""


class Sgd(Section):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"
    lr: Positive = 1e-2
    """Learning rate (per step)."""
    momentum: Share = 0.0
    """Momentum (0: none)."""


Optimizer = Annotated[
    Annotated[Adam, Tag("<adam>")] | Annotated[Sgd, Tag("<sgd>")],
    Field(discriminator=named("adam", ("adam", "sgd"))),
]

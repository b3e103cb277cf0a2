"""Config of the networks, the loss and the optimisers."""

from bisect import bisect_right
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Tag

from raygan.components import DISCRIMINATORS, GENERATORS, LOSSES, check_name
from raygan.config.section import (
    NO_OPTIONS,
    Count,
    NotNegative,
    OneOrMany,
    Options,
    Positive,
    Section,
    Share,
    named,
)

Norm = Literal["batch", "group", "none", "spectral"]
Precision = Literal["float32", "tf32", "bfloat16"]
Condition = Literal["none", "auxiliary", "projection", "concat"]


def _some_weight(weights: tuple[float, ...]) -> tuple[float, ...]:
    if weights and not any(weights):
        raise ValueError("all weights are 0; at least one class is needed that is drawn")
    return weights


Change = Literal["colour", "translation", "cutout"]


class Gan(Section):
    """The networks and the loss."""

    generator: Annotated[str, AfterValidator(lambda name: check_name(GENERATORS, name))] = "dcgan"
    """`dcgan` (images), `resnet` (SNGAN's) and `r3gan` for images of up to 128 pixels, `mlp` (2-D points), or an import
    path to a class called with `(shape, gan)`."""
    discriminator: Annotated[str, AfterValidator(lambda name: check_name(DISCRIMINATORS, name))] = "dcgan"
    """As `generator`; it returns one logit per sample. A custom class may set `per_sample = True` to declare that a
    logit depends on its own sample only and that passes change no state, or `one_pass = True` that it regularises alike
    over real and generated samples together (spectral normalisation): a step then takes one pass instead of two. Both
    networks may set `replayable = True` to declare that they run the same operations for all values, and draw
    random numbers on the GPU or not at all: `engine.cuda_graphs` then applies to them."""
    loss: Annotated[str, AfterValidator(lambda name: check_name(LOSSES, name))] = "non_saturating"
    """`non_saturating`, `minimax`, `hinge`, `least_squares`, `wgan_gp`, `relativistic` (not for `averaged`, whose
    server has no real samples), or an import path to a `Loss`."""
    gradient_penalty: Positive = 10.0
    """Weight of the gradient penalty (lambda of arXiv 1704.00028); used by losses that have one (`wgan_gp`)."""
    condition: Condition = "none"
    """Class conditions: the generator is given a class, G(z, y). `auxiliary`: the discriminator also names the class,
    and both losses add its error; `projection`: its logit depends on the class through an inner product, D(x, y);
    `concat`: it is given the class as planes beside the image, D(x, y). The data needs two classes or more."""
    auxiliary_loss: Literal["cross_entropy", "d2d_ce"] = "cross_entropy"
    """Error in naming classes (`condition: auxiliary`). `cross_entropy` of scores of all classes (ACGAN); `d2d_ce`:
    data-to-data cross-entropy of embeddings (ReACGAN, arXiv 2111.01118), for many classes."""
    auxiliary_weight: Positive = 1.0
    """Weight of that error in both losses."""
    d2d_size: Count = 64
    """Length of the embeddings (`auxiliary_loss: d2d_ce`; numbers)."""
    d2d_margin: Annotated[float, Field(gt=0, le=1)] = 0.98
    """Cosine with the proxy of its class from which on a sample is near enough; samples of other classes are far enough
    from it up to a cosine of 1 less this."""
    d2d_temperature: Positive = 0.5
    """What cosines are divided by."""
    fake_classes: Literal["own", "global"] | None = None
    """Classes of the fakes that a device generates. `own`: those of its real batch, so as frequent as on the device;
    `global`: drawn by `class_weights`, the device's own classes or not. null: `own` where devices generate; with
    `mdgan` the server generates all images, and their classes are `global`."""
    class_weights: Annotated[tuple[NotNegative, ...], AfterValidator(_some_weight)] = ()
    """How often the server, and `fake_classes: global`, draw each class (weights; empty: as often as in all training
    data, of which each device reports once its number of samples of each class)."""
    r1: NotNegative = 0.0
    """Weight gamma of R1 (arXiv 1801.04406): gamma / 2 times the mean squared gradient of the logits at real samples
    (0: none)."""
    r2: NotNegative = 0.0
    """Weight of R2, the same at generated samples (0: none)."""
    penalty_every: Count = 1
    """Interval of R1 and R2 on a device, which then weigh as many times as much (steps; a round begins anywhere in it).
    They are part of that step's loss, so the optimiser needs no correction."""
    augment: Literal["none", "diffaugment", "ada"] = "none"
    """Differentiable augmentation of what the discriminator judges, real and generated, in every step. `diffaugment`:
    all of `augment_policy` (arXiv 2006.10738); `ada`: each change with a probability p, which the server adapts
    (arXiv 2006.06676)."""
    augment_policy: Annotated[tuple[Change, ...], OneOrMany] = ("colour", "translation", "cutout")
    """Changes of the augmentation: `colour` (brightness, saturation, contrast), `translation`, `cutout`."""
    ada_target: Share = 0.6
    """Mean sign of the discriminators' logits of real samples above which p rises, and below which it falls."""
    ada_images: Count = 500_000
    """Real samples that a discriminator sees while p rises from 0 to 1."""
    latent: Count = 64
    """Length of the latent vector z (numbers)."""
    generator_width: Count = 32
    """Channels of the generator's last hidden layer; each earlier layer doubles it (hidden units for `mlp`; the same in
    all layers for `r3gan`, and for `resnet` up to 32 pixels)."""
    discriminator_width: Count = 32
    """Channels of the discriminator's first layer; each later layer doubles it (with the same exceptions)."""
    depth: Count = 1
    """Residual blocks at each size of `resnet` and `r3gan` (the authors' have 1 and 2)."""
    generator_norm: Norm = "batch"
    """Normalisation inside the generator."""
    discriminator_norm: Norm = "spectral"
    """Normalisation inside the discriminator."""
    ema: Share = 0.98
    """Decay of the generator's exponential moving average, per generator step (0: the average is the raw generator)."""
    statistics: Literal["average", "recompute"] = "average"
    """Batch normalisation's statistics of a generator that is measured or saved. `average`: as in training, averaged
    like the parameters; `recompute`: recomputed for its weights over 2,500 latent points. No step depends on them."""
    precision: Precision = "float32"
    """Precision of products in training. Weights, losses and optimisers stay float32, and the saved generator is
    measured in float32. `tf32`: a GPU's products of float32 with 10 bits of mantissa; `bfloat16`: torch's autocast."""
    options: Options = NO_OPTIONS
    """Free settings for custom networks."""

    def conflict(self) -> str | None:
        """Returns what is wrong with the keys of class conditions together, as one line that names the key, or None."""
        if self.condition == "none":
            for key in ("fake_classes", "class_weights"):
                if getattr(self, key):
                    return f"gan.{key}: without a class condition no class is drawn; set gan.condition"
        if self.auxiliary_loss != "cross_entropy" and self.condition != "auxiliary":
            return (
                f"gan.auxiliary_loss: {self.auxiliary_loss} is for a discriminator that names classes; set "
                "gan.condition=auxiliary"
            )
        return None

    @property
    def num_classes(self) -> int:
        """The number of classes that the networks tell apart; 0 without a condition, which a single class is, too.

        It is known when the data is (`raygan.data.classes`).
        """
        classes = len(self.class_weights)
        return classes if self.condition != "none" and classes > 1 else 0


class LrStep(Section):
    """A learning rate that applies from a round on."""

    round: Annotated[int, Field(ge=2)]
    """First round with this rate."""
    lr: Positive
    """Learning rate (per step)."""


def _in_order(steps: tuple[LrStep, ...]) -> tuple[LrStep, ...]:
    for one, other in pairwise(steps):
        if other.round <= one.round:
            raise ValueError(f"round {other.round} comes after round {one.round}; put them in order, each once")
    return steps


class LearningRates(Section):
    """The keys of every optimiser."""

    lr: Positive
    """Learning rate (per step)."""
    lr_steps: Annotated[tuple[LrStep, ...], AfterValidator(_in_order)] = ()
    """Other rates, each from a round on: `[{round: 401, lr: 1e-4}]`. Rates of future rounds may be changed when a run
    is resumed."""

    def lr_at(self, round: int) -> float:
        """Returns the learning rate of a round (rounds count from 1)."""
        begun = bisect_right(self.lr_steps, round, key=lambda step: step.round)
        return self.lr_steps[begun - 1].lr if begun else self.lr


class Adam(LearningRates):
    """Adam (arXiv 1412.6980), with epsilon 1e-8."""

    name: Literal["adam"] = "adam"
    lr: Positive = 2e-3
    """Learning rate (per step)."""
    beta1: Share = 0.0
    """Decay of the first moment (0, common with spectral normalisation)."""
    beta2: Share = 0.999
    """Decay of the second moment."""


class Sgd(LearningRates):
    """Stochastic gradient descent, without weight decay."""

    name: Literal["sgd"] = "sgd"
    lr: Positive = 1e-2
    """Learning rate (per step)."""
    momentum: Share = 0.0
    """Momentum (0: none)."""


_Optimizers = Annotated[Adam, Tag("<adam>")] | Annotated[Sgd, Tag("<sgd>")]
Optimizer = Annotated[_Optimizers, Field(discriminator=named("adam", _Optimizers))]

CHANGING = ("device_optimizer.lr", "generator_optimizer.lr")
"""Keys that may change during a run: each has a key `..._steps` beside it."""

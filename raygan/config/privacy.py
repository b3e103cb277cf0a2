"""Config of differential privacy."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from raygan.config.section import NotNegative, Positive, Section, named

if TYPE_CHECKING:
    from raygan.config.tree import Config


class NoPrivacy(Section):
    """No privacy: updates count as they are."""

    name: Literal["none"] = "none"


class _Accounted(Section):
    """What an account is kept of. Needs the `privacy` extra."""

    noise_multiplier: NotNegative = 1.0
    """Standard deviation z of the noise, in units of `clip`: with `user` on the sum of a round's updates, with `record`
    on the sum of a step's gradients (0: none, and no epsilon). The noise is drawn by `seed`: it protects nobody who
    does not keep that secret."""
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    """The delta that epsilon is given at. It must be below 1 / `devices`, or with `record` below 1 / the samples of
    every device."""
    target_epsilon: Positive | None = None
    """Largest epsilon after the last round; a run that would exceed it does not start, and `raygan plan` says which
    `noise_multiplier` keeps to it (null: any)."""
    accountant: Literal["rdp", "pld"] = "rdp"
    """How releases compose. `rdp`: by Renyi divergences, at once; `pld`: by privacy loss distributions, a smaller
    epsilon, which takes 0.03 to 1.3 seconds for each row (not with `selection.name: uniform`)."""

    @model_validator(mode="after")
    def _a_target_needs_noise(self) -> Self:
        if self.target_epsilon is not None and not self.noise_multiplier:
            raise ValueError("target_epsilon: without noise there is no epsilon; set noise_multiplier, or leave it out")
        return self


class UserLevel(_Accounted):
    """User-level differential privacy (DP-FedAvg-GAN, arXiv 1911.06679): each device's update is clipped, and Gaussian
    noise is added once at the server. Needs the `privacy` extra, which accounts for it."""

    name: Literal["user"] = "user"
    clip: Positive | None = 1.0
    """Largest L2 norm S of an update, as the difference to what the device received; for `mdgan`, of the gradient of
    each image (null: no clipping, which is for `noise_multiplier: 0`)."""
    clip_quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Adaptive clipping (arXiv 1905.03871): `clip` is where S begins, and it follows this quantile of the norms of
    updates, which is estimated with noise (null: S stays)."""
    clip_rate: Annotated[float, Field(gt=0, le=10)] = 0.2
    """Step of the logarithm of S, times how far the share of updates within S is from `clip_quantile`."""
    quantile_noise: Positive = 0.05
    """Standard deviation of the noise on the share of devices within S. What it spends of the privacy of a round makes
    the noise of the updates larger, so that epsilon is that of `noise_multiplier`."""

    @model_validator(mode="after")
    def _noise_is_of_something(self) -> Self:
        if self.clip is None and self.noise_multiplier:
            raise ValueError(
                "clip: null leaves no norm for the noise to be relative to; give one, or set noise_multiplier=0"
            )
        if self.clip is None and self.clip_quantile is not None:
            raise ValueError("clip: adaptive clipping needs a norm to begin with; give one, or leave clip_quantile out")
        return self


class RecordLevel(_Accounted):
    """Record-level differential privacy within each device (DP-SGD, arXiv 1607.00133): every sample is in a batch by a
    coin of its own, the discriminator's gradient is clipped sample by sample, and the device adds Gaussian noise to
    each step. Needs the `privacy` extra, which accounts for it."""

    name: Literal["record"] = "record"
    clip: Positive = 1.0
    """Largest L2 norm C of the gradient of one real sample and the fake that it is paired with."""


_Privacies = (
    Annotated[NoPrivacy, Tag("<none>")] | Annotated[UserLevel, Tag("<user>")] | Annotated[RecordLevel, Tag("<record>")]
)
Privacy = Annotated[_Privacies, Field(discriminator=named("none", _Privacies))]


def conflict(config: "Config") -> str | None:
    """Returns which key lets something past the mechanism, or breaks its account, as one line, or None."""
    privacy = config.privacy
    if isinstance(privacy, NoPrivacy):
        return None
    why = f"with privacy.name={privacy.name}"
    if config.schedule == "asynchronous":
        return f"schedule: {why} asynchronous is out: {_ASYNCHRONOUS[privacy.name]}"
    if config.selection.name == "balanced":
        return f"selection.name: {why} no device may report its classes, as balanced asks; take uniform or poisson"
    if config.gan.augment == "ada":
        return f"gan.augment: {why} ada is out: it sends a statistic of each device's samples; take diffaugment"
    if config.gan.condition != "none" and not config.gan.class_weights:
        return f"gan.class_weights: {why} no device may report its classes; give the weights"
    return _past_users(config, privacy) if isinstance(privacy, UserLevel) else _past_records(config)


_ASYNCHRONOUS = {
    "user": "updates would count around another state than they were clipped at",
    "record": "how often a device takes part is not known beforehand",
}


def _past_records(config: "Config") -> str | None:
    why, gan = "with privacy.name=record", config.gan
    if gan.discriminator_norm in ("batch", "spectral"):
        return (
            f"gan.discriminator_norm: {why} a gradient must be of one sample, and {gan.discriminator_norm} "
            "normalisation has a state that all of a batch move; take group or none"
        )
    if gan.loss == "relativistic":
        return f"gan.loss: {why} the generator may see no real samples, which relativistic compares with"
    if gan.loss == "wgan_gp":
        return f"gan.loss: {why} wgan_gp is out: gradients of pairs have no penalty; take another loss"
    if gan.condition == "auxiliary" and gan.auxiliary_loss == "d2d_ce":
        return f"gan.auxiliary_loss: {why} d2d_ce is out: it compares the samples of a batch; take cross_entropy"
    for key in ("r1", "r2"):
        if getattr(gan, key):
            return f"gan.{key}: {why} gradients of pairs have no penalty; set it to 0"
    if gan.condition != "none" and gan.fake_classes != "global" and config.method != "mdgan":
        return f"gan.fake_classes: {why} fakes may not have the classes of a device's samples; set global"
    if config.method == "mdgan" and config.device_steps > 1:
        return f"device_steps: {why} each step needs a draw of its own, and mdgan takes all on the same images; set 1"
    return None


def _past_users(config: "Config", privacy: UserLevel) -> str | None:
    if config.devices and privacy.delta >= 1 / config.devices:
        return f"privacy.delta: {privacy.delta:g} is not below 1 / devices={config.devices}, where it promises nothing"
    if privacy.accountant == "pld" and config.selection.name == "uniform":
        return "privacy.accountant: pld knows no draw of a fixed number, as uniform is; take rdp, or poisson"
    why = "with privacy.name=user"
    if config.aggregation.name != "mean":
        return (
            f"aggregation.name: {why} it must be mean, whose noise is accounted; {config.aggregation.name} has no bound"
        )
    if config.compression.name != "none":
        return f"compression.name: {why} updates go up as they were clipped; set none, not {config.compression.name}"
    if config.scaffold.option != "none":
        return f"scaffold.option: {why} control variates are out: they go up beside what is clipped; set none"
    if privacy.clip_quantile is not None and (wrong := _wrong_quantile(config, privacy)):
        return wrong
    past = _PAST_IT.get(config.method)
    return past(config) if past else None


def _wrong_quantile(config: "Config", privacy: UserLevel) -> str | None:
    if config.method == "mdgan":
        return "privacy.clip_quantile: mdgan clips image by image, and no one norm would follow; leave it out"
    least = more_noise_on_share(config, privacy.noise_multiplier)
    if least is None:
        return None
    return (
        f"privacy.quantile_noise: {privacy.quantile_noise:g} on the share of devices spends all that "
        f"noise_multiplier={privacy.noise_multiplier:g} allows; set it above {least:.3g}"
    )


def more_noise_on_share(config: "Config", noise_multiplier: float) -> float | None:
    """Returns what `privacy.quantile_noise` must be above for adaptive clipping with so much noise, or None."""
    privacy = config.privacy
    planned = getattr(config.selection, "count", None) or config.devices
    if not isinstance(privacy, UserLevel) or privacy.clip_quantile is None or not planned:
        return None
    least = noise_multiplier / (2 * planned)
    return None if privacy.quantile_noise > least else least


def _past_averaged(config: "Config") -> str | None:
    switches = config.averaged
    if switches.weights != "uniform":
        return (
            f"averaged.weights: with privacy.name=user all devices weigh the same; set uniform, not {switches.weights}"
        )
    if switches.optimizer_state == "average":
        return "averaged.optimizer_state: with privacy.name=user average is out: noise makes second moments negative"
    return None


def _past_fedgan(config: "Config") -> str | None:
    if config.fedgan.weights == "uniform":
        return None
    return "fedgan.weights: with privacy.name=user all devices weigh the same; set uniform, not shard"


def _past_fegan(config: "Config") -> str | None:
    return "method: with privacy.name=user all devices weigh the same, and report no classes, unlike fegan; take fedgan"


def _past_mdgan(config: "Config") -> str | None:
    if config.mdgan.feedback != "mean":
        return (
            f"mdgan.feedback: with privacy.name=user all devices weigh the same; set mean, not {config.mdgan.feedback}"
        )
    if config.mdgan.swap_epochs is None:
        return None
    return "mdgan.swap_epochs: with privacy.name=user no discriminator may go from device to device; set null"


_PAST_IT = {"averaged": _past_averaged, "fedgan": _past_fedgan, "fegan": _past_fegan, "mdgan": _past_mdgan}

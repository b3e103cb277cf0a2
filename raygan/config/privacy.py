"""Config of differential privacy."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from raygan.config.section import NotNegative, Positive, Section, named

if TYPE_CHECKING:
    from raygan.config.tree import Config


class NoPrivacy(Section):
    """No privacy: updates count as they are."""

    name: Literal["none"] = "none"


class UserLevel(Section):
    """User-level differential privacy (DP-FedAvg-GAN, arXiv 1911.06679): each device's update is clipped, and Gaussian
    noise is added once at the server. Needs the `privacy` extra, which accounts for it."""

    name: Literal["user"] = "user"
    clip: Positive | None = 1.0
    """Largest L2 norm S of an update, as the difference to what the device received; for `mdgan`, of the gradient of
    each image (null: no clipping, which is for `noise_multiplier: 0`)."""
    noise_multiplier: NotNegative = 1.0
    """Standard deviation z of the noise, in units of `clip`, on the sum of a round's updates (0: none, and no epsilon).
    The noise is drawn by `seed`: it protects nobody who does not keep that secret."""
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    """The delta that epsilon is given at; it must be below 1 / `devices`."""
    target_epsilon: Positive | None = None
    """Largest epsilon after the last round; a run that would exceed it does not start, and `raygan plan` says which
    `noise_multiplier` keeps to it (null: any)."""

    @model_validator(mode="after")
    def _noise_is_of_something(self) -> Self:
        if self.clip is None and self.noise_multiplier:
            raise ValueError(
                "clip: null leaves no norm for the noise to be relative to; give one, or set noise_multiplier=0"
            )
        if self.target_epsilon is not None and not self.noise_multiplier:
            raise ValueError("target_epsilon: without noise there is no epsilon; set noise_multiplier, or leave it out")
        return self


_Privacies = Annotated[NoPrivacy, Tag("<none>")] | Annotated[UserLevel, Tag("<user>")]
Privacy = Annotated[_Privacies, Field(discriminator=named("none", _Privacies))]


def conflict(config: "Config") -> str | None:
    """Returns which key lets something past the mechanism, or breaks its account, as one line, or None."""
    privacy = config.privacy
    if not isinstance(privacy, UserLevel):
        return None
    if config.devices and privacy.delta >= 1 / config.devices:
        return f"privacy.delta: {privacy.delta:g} is not below 1 / devices={config.devices}, where it promises nothing"
    why = "with privacy.name=user"
    if config.aggregation.name != "mean":
        return (
            f"aggregation.name: {why} it must be mean, whose noise is accounted; {config.aggregation.name} has no bound"
        )
    if config.schedule == "asynchronous":
        return (
            f"schedule: {why} asynchronous is out: updates would count around another state than they were clipped at"
        )
    if config.compression.name != "none":
        return f"compression.name: {why} updates go up as they were clipped; set none, not {config.compression.name}"
    if config.scaffold.option != "none":
        return f"scaffold.option: {why} control variates are out: they go up beside what is clipped; set none"
    if config.selection.name == "balanced":
        return f"selection.name: {why} no device may report its classes, as balanced asks; take uniform or poisson"
    if config.gan.augment == "ada":
        return f"gan.augment: {why} ada is out: it sends a statistic of each device's samples; take diffaugment"
    if config.gan.condition != "none" and not config.gan.class_weights:
        return f"gan.class_weights: {why} no device may report its classes; give the weights"
    past = _PAST_IT.get(config.method)
    return past(config) if past else None


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

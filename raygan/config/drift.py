"""Config against the drift of devices: the server's optimiser, the proximal term and control variates."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from raygan.config.section import NotNegative, Positive, Section, Share, named


class NoServerOptimizer(Section):
    """None: the aggregate of the devices' networks is the new global network."""

    name: Literal["none"] = "none"


class ServerSgd(Section):
    """Momentum at the server (FedAvgM, arXiv 1909.06335). With momentum 0 and rate 1 it is `none`."""

    name: Literal["sgd"] = "sgd"
    lr: Positive = 1.0
    """Learning rate (per round)."""
    momentum: Share = 0.9
    """Momentum (0: none)."""


class _Adaptive(Section):
    """The keys of both adaptive optimisers."""

    lr: Positive = 3e-3
    """Learning rate (per round)."""
    beta1: Share = 0.0
    """Decay of the mean change (0 as in `device_optimizer`; the authors take 0.9)."""
    beta2: Share = 0.99
    """Decay of its squares."""
    tau: Positive = 1e-3
    """What is added to the root of the squares; smaller is more adaptive."""


class ServerAdam(_Adaptive):
    """Adam at the server, without correction of bias (FedAdam, arXiv 2003.00295)."""

    name: Literal["adam"] = "adam"


class ServerYogi(_Adaptive):
    """Yogi at the server, whose squares change more slowly than Adam's (FedYogi, the same source)."""

    name: Literal["yogi"] = "yogi"


_ServerOptimizers = (
    Annotated[NoServerOptimizer, Tag("<none>")]
    | Annotated[ServerSgd, Tag("<sgd>")]
    | Annotated[ServerAdam, Tag("<adam>")]
    | Annotated[ServerYogi, Tag("<yogi>")]
)
ServerOptimizer = Annotated[_ServerOptimizers, Field(discriminator=named("none", _ServerOptimizers))]


class Proximal(Section):
    """The proximal term of FedProx (arXiv 1812.06127) in the loss of a device."""

    mu: NotNegative = 0.0
    """Weight mu of mu / 2 times the squared distance to the parameters that the device received (0: none)."""


class Scaffold(Section):
    """The control variates of SCAFFOLD (arXiv 1910.06378), which correct the gradients of devices."""

    option: Literal["none", "I", "II"] = "none"
    """A device's control variate after its steps. `I`: its gradient at the parameters that it received, on the batch of
    its first step; `II`: the mean gradient of its steps, for plain SGD alone; `none`: no control variates."""

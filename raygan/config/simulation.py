"""Config of the simulation around the training: links, computing speeds, and device selection.

A constant without a source beside it is ours. The 3GPP figures are the usual ones of cell simulations, given from
general knowledge: check the reports before you cite them. Antenna gains and wall losses are left out.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, Tag, model_validator

from raygan.components import CHANNELS, SELECTIONS, check_name
from raygan.config.section import NO_OPTIONS, Count, NotNegative, Options, PerDevice, Positive, Section, Seed, named

# --- channel --------------------------------------------------------------------------------------


class Links(Section):
    """The keys of every channel."""

    bits_per_parameter: Count = 32
    """Bits per value on the link, parameter or pixel (bits; only counted: training itself stays float32)."""
    seed: Seed | None = None
    """Seed of positions, shadowing and fading: set it to keep one cell while `seed` varies (null: the run's `seed`)."""


class NoChannel(Links):
    """Links that take no time. Bytes are counted all the same."""

    name: Literal["none"] = "none"


class Constant(Links):
    """Links with fixed rates per device."""

    name: Literal["constant"] = "constant"
    uplink_bps: PerDevice = (10e6,)
    """Rate from a device to the server (bit/s; one number, or a list with one per device)."""
    downlink_bps: PerDevice = (50e6,)
    """Rate from the server to a device (bit/s; likewise). A broadcast has the rate of the slowest participant."""


class Wireless(Links):
    """A cell: devices placed at random, path loss, Rayleigh block fading per round, Shannon rates.

    The participants share the uplink's bandwidth equally. A broadcast uses the whole downlink, at the rate of the
    slowest device. Different content for each device uses equal shares of band and power.
    """

    name: Literal["wireless"] = "wireless"
    bandwidth_hz: Positive = 10e6
    """Bandwidth of the uplink, and of the downlink (Hz; an LTE carrier)."""
    radius_m: Positive = 500.0
    """Radius of the disc the devices are placed in, uniformly (m)."""
    min_distance_m: Positive = 35.0
    """Minimum distance of a device from the base station (m; 3GPP TR 36.814, macro cell)."""
    path_loss_db_at_1km: NotNegative = 128.1
    """Path loss at 1 km (dB; 3GPP TR 36.814, macro cell: 128.1 + 37.6 log10 of km, at 2 GHz)."""
    path_loss_exponent: Positive = 3.76
    """Path loss grows with distance to this power (the same source)."""
    shadowing_db: NotNegative = 8.0
    """Standard deviation of log-normal shadowing, drawn once per device (dB; the same source)."""
    noise_dbm_per_hz: float = -174.0
    """Thermal noise density (dBm/Hz; kT at 290 K)."""
    device_power_dbm: float = 23.0
    """Transmit power of a device (dBm; 3GPP TR 36.101, power class 3)."""
    device_noise_figure_db: NotNegative = 9.0
    """Noise figure of a device's receiver (dB; 3GPP TR 36.942)."""
    server_power_dbm: float = 46.0
    """Transmit power of the base station (dBm; 3GPP TR 36.942, 10 MHz carrier)."""
    server_noise_figure_db: NotNegative = 5.0
    """Noise figure of the base station's receiver (dB; 3GPP TR 36.942)."""
    outage_probability: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Probability that a device's uplink fades so much that the device misses the round, and likewise for its downlink
    (0: never, and then the times of rounds have no finite mean)."""

    @model_validator(mode="after")
    def _there_is_room(self) -> Self:
        if self.min_distance_m >= self.radius_m:
            raise ValueError(f"min_distance_m={self.min_distance_m:g} must be below radius_m={self.radius_m:g}")
        return self


class OwnChannel(Links):
    """A custom channel: `name` is an import path to a `raygan.channel.links.Links` class, called with `(config)`."""

    name: Annotated[str, AfterValidator(lambda name: check_name(CHANNELS, name))]
    options: Options = NO_OPTIONS
    """Free settings for your class."""


_Channels = (
    Annotated[NoChannel, Tag("<none>")]
    | Annotated[Constant, Tag("<constant>")]
    | Annotated[Wireless, Tag("<wireless>")]
    | Annotated[OwnChannel, Tag("<own>")]
)
Channel = Annotated[_Channels, Field(discriminator=named("none", _Channels))]


# --- compute --------------------------------------------------------------------------------------


class Compute(Section):
    """Simulated computing speeds: the time of a step is its counted FLOPs divided by the speed."""

    device_flops: PerDevice = (10e9,)
    """Sustained speed of a device (FLOP/s; one number, or a list with one per device)."""
    device_spread: NotNegative = 0.0
    """Each device's speed is multiplied once by exp(spread x a standard normal number) (0: as stated)."""
    server_flops: Positive = 100e9
    """Sustained speed of the server (FLOP/s)."""
    seed: Seed | None = None
    """Seed of the devices' factors (null: the run's `seed`)."""


# --- selection ------------------------------------------------------------------------------------


class Policy(Section):
    """The keys of every selection."""

    deadline_s: Positive | None = None
    """Devices that would not answer within this time after the round's start are left out (simulated seconds)."""


class All(Policy):
    """Every device takes part in every round."""

    name: Literal["all"] = "all"


class Some(Policy):
    """A fixed number of devices per round."""

    count: Count
    """Devices that take part in a round."""


class Uniform(Some):
    """Devices drawn anew each round, all equally likely."""

    name: Literal["uniform"] = "uniform"


class Poisson(Some):
    """Each device takes part with probability `count` / `devices`, independently of the others (Poisson sampling)."""

    name: Literal["poisson"] = "poisson"
    count: Count
    """Devices that take part in a round, on average."""


class RoundRobin(Some):
    """Devices in turn, by number."""

    name: Literal["round_robin"] = "round_robin"


class BestChannel(Some):
    """The devices with the highest uplink rates of the round."""

    name: Literal["best_channel"] = "best_channel"


class ProportionalFair(Some):
    """The devices with the highest uplink rates relative to their past (Viswanath, Tse, Laroia, IEEE T-IT 48(6),
    2002)."""

    name: Literal["proportional_fair"] = "proportional_fair"
    window: Annotated[float, Field(gt=1)] = 100.0
    """Time constant of the moving average of past rates (rounds; t_c of the source)."""


class Balanced(Some):
    """One after the other the next device that holds the class trained least so far: FeGAN's balanced sampling
    (Guerraoui et al., Middleware 2020)."""

    name: Literal["balanced"] = "balanced"


class OwnPolicy(Policy):
    """A custom selection: `name` is an import path to a `raygan.channel.selection.Selection` class."""

    name: Annotated[str, AfterValidator(lambda name: check_name(SELECTIONS, name))]
    count: Count | None = None
    """Devices that take part in a round, if your class reads it."""
    options: Options = NO_OPTIONS
    """Free settings for your class."""


_Selections = (
    Annotated[All, Tag("<all>")]
    | Annotated[Uniform, Tag("<uniform>")]
    | Annotated[Poisson, Tag("<poisson>")]
    | Annotated[RoundRobin, Tag("<round_robin>")]
    | Annotated[BestChannel, Tag("<best_channel>")]
    | Annotated[ProportionalFair, Tag("<proportional_fair>")]
    | Annotated[Balanced, Tag("<balanced>")]
    | Annotated[OwnPolicy, Tag("<own>")]
)
Selection = Annotated[_Selections, Field(discriminator=named("all", _Selections))]

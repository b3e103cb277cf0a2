"""The config tree: every key, its default and its unit, typed and frozen.

The paper (arXiv 2107.08681) leaves most of these open, so every default here is ours.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from raygan.components import METHODS, check_name
from raygan.config.aggregation import Aggregation, Plain, TrimmedMean, secure_conflict
from raygan.config.asynchronous import Asynchronous
from raygan.config.compression import Compression, DownlinkCompression, Whole, WholeModel
from raygan.config.data import Data, Digits
from raygan.config.drift import NoServerOptimizer, Proximal, Scaffold, ServerOptimizer
from raygan.config.gan import Adam, Gan, Optimizer
from raygan.config.methods import Averaged, Fedgan, Fegan, Mdgan
from raygan.config.privacy import NoPrivacy, Privacy, conflict
from raygan.config.running import Checkpoint, Engine, Eval
from raygan.config.section import (
    NO_OPTIONS,
    Count,
    NotNegativeCount,
    OneOrMany,
    Options,
    Section,
    Seed,
)
from raygan.config.simulation import All, Channel, Compute, Constant, NoChannel, Selection


class Config(Section):
    """A whole run. The same config gives the same generator, bit for bit."""

    method: Annotated[str, AfterValidator(lambda name: check_name(METHODS, name))] = "averaged"
    """`averaged` (arXiv 2107.08681), `fedgan`, `fegan`, `mdgan`, `centralized`, or an import path to a `Method`."""
    method_options: Options = NO_OPTIONS
    """Free settings for a custom `method`."""
    schedule: Literal["serial", "parallel", "asynchronous"] = "serial"
    """Schedule of `averaged`. `serial`: the generator waits for the new average; `parallel`: it trains on the old
    one; `asynchronous` (of `fedgan`, too): no device waits for another, and a round is a version of the server's."""
    asynchronous: Asynchronous = Asynchronous()
    """Settings of `schedule: asynchronous`."""
    devices: NotNegativeCount = 5
    """Number of devices K (0: as many as holders, which `data.partition.name=natural` has by default)."""
    rounds: Count = 800
    """Number of rounds."""
    seed: Seed = 0
    """Seed of every random stream (including those of links and speeds, unless these have their own)."""
    batch_size: Count = 32
    """Real images per discriminator step on a device (images; a smaller shard is used whole)."""
    generator_batch_size: Count = 64
    """Generated images per generator step on the server (images; `fedgan` generates as many as there are real ones in a
    step, `mdgan` generates `batch_size`)."""
    device_steps: Count = 1
    """Discriminator steps of a device per round (n_d; `fedgan`: steps of both networks; `mdgan`: all on the same
    images)."""
    generator_steps: Count = 1
    """Generator steps of the server per round (n_g; for `averaged` and `centralized`)."""
    data: Data = Digits()
    """The data set and its partition."""
    gan: Gan = Gan()
    """The networks and the loss."""
    device_optimizer: Optimizer = Adam()
    """Optimiser of the local discriminators."""
    generator_optimizer: Optimizer = Adam()
    """Optimiser of the generator."""
    averaged: Averaged = Averaged()
    """Switches of `method: averaged`."""
    fedgan: Fedgan = Fedgan()
    """Switches of `method: fedgan`."""
    fegan: Fegan = Fegan()
    """Switches of `method: fegan`."""
    mdgan: Mdgan = Mdgan()
    """Switches of `method: mdgan`."""
    aggregation: Aggregation = Plain()
    """Aggregation of the updates: their mean, or a rule that tolerates a few bad devices."""
    privacy: Privacy = NoPrivacy()
    """Differential privacy of the updates."""
    server_optimizer: ServerOptimizer = NoServerOptimizer()
    """Optimiser of the server, which steps along the mean change of the networks that devices train (`averaged`: the
    discriminator; `fedgan`: both)."""
    proximal: Proximal = Proximal()
    """The proximal term in the devices' loss (`averaged`, `fedgan`)."""
    scaffold: Scaffold = Scaffold()
    """Control variates of the devices' gradients (`averaged`, `fedgan`)."""
    compression: Compression = Whole()
    """Compression of the updates on their way up."""
    downlink_compression: DownlinkCompression = WholeModel()
    """Compression of the model on its way down: codes of its changes, with the server's memory of what they leave out
    (`averaged`, `fedgan`, `fegan`)."""
    channel: Channel = NoChannel()
    """The simulated links between devices and server."""
    compute: Compute = Compute()
    """Simulated computing speeds."""
    selection: Selection = All()
    """Selection of the devices that take part in a round."""
    engine: Engine = Engine()
    """Execution of the run."""
    eval: Eval = Eval()
    """Evaluation."""
    checkpoint: Checkpoint = Checkpoint()
    """Saved states."""
    track: Annotated[tuple[Literal["tensorboard", "mlflow", "wandb"], ...], OneOrMany] = ("tensorboard",)
    """Trackers that are given config, metrics, sample grids and the generator: `tensorboard` (files in the run folder),
    `mlflow`, `wandb` (each needs the extra of its name, and is set up by its own environment variables)."""

    def is_measured(self, round: int) -> bool:
        """Returns whether the generator is measured after a round, counted from 1."""
        return round % self.eval.every == 0 or round == self.rounds

    @model_validator(mode="after")
    def _fits_the_devices(self) -> Self:
        natural = self.data.partition.name == "natural"
        if natural and "devices" not in self.model_fields_set:
            self.__dict__["devices"] = 0  # a frozen model has no other way
        if self.devices == 0:  # checked again when the data is loaded
            if not natural:
                raise ValueError("devices: 0 is for data.partition.name=natural alone; give the number of devices")
            return self._fits_together()
        count = getattr(self.selection, "count", None)
        if count is not None and count > self.devices:
            raise ValueError(f"selection.count: {count} is more than devices={self.devices}")
        together = count or self.devices
        if isinstance(self.aggregation, TrimmedMean) and 2 * self.aggregation.trim >= together:
            raise ValueError(
                f"aggregation.trim: {self.aggregation.trim} at either end leaves nothing of the {together} devices "
                f"of a round; at most {(together - 1) // 2}"
            )
        lists = {"compute.device_flops": self.compute.device_flops}
        if isinstance(self.channel, Constant):
            lists |= {f"channel.{name}": getattr(self.channel, name) for name in ("uplink_bps", "downlink_bps")}
        for key, values in lists.items():
            if len(values) not in (1, self.devices):
                raise ValueError(f"{key}: {len(values)} values for devices={self.devices}; give one, or one per device")
        return self._fits_together()

    def _fits_together(self) -> Self:
        if schedule := self._schedule_conflict():
            raise ValueError(schedule)
        if self.gan.precision == "tf32" and not (self.engine.gpus_per_device or self.engine.server_gpus):
            raise ValueError(
                "gan.precision: tf32 is how a GPU multiplies, and none is asked for; set engine.gpus_per_device and "
                "engine.server_gpus, or take float32"
            )
        if self.gan.penalty_every > 1 and not (self.gan.r1 or self.gan.r2):
            raise ValueError(
                f"gan.penalty_every: there is no penalty to add every {self.gan.penalty_every} steps; set gan.r1 "
                "or gan.r2"
            )
        if self.gan.augment == "ada" and not self.gan.augment_policy:
            raise ValueError("gan.augment_policy: ada has no change to apply; name one, or set gan.augment=none")
        if wrong := self.gan.conflict() or conflict(self) or secure_conflict(self):
            raise ValueError(wrong)
        if self.compression.name in ("topk", "randk") and self.aggregation.name in ("median", "trimmed_mean"):
            raise ValueError(
                f"aggregation.name: {self.aggregation.name} goes value by value, and {self.compression.name} leaves "
                "most of them 0; take mean or clipped_mean, or compression.name=sign or qsgd"
            )
        stacked, together = self.engine.stacked, self.engine.devices_per_actor
        if together % stacked and not 0 < self.devices <= together:
            raise ValueError(
                f"engine.stacked: {stacked} devices are computed together, so they share an actor; set "
                f"engine.devices_per_actor to a multiple of {stacked}, not {together}"
            )
        if self.channel.name == "none" and self.selection.name in ("best_channel", "proportional_fair"):
            raise ValueError(f"selection.name: {self.selection.name} ranks devices by their links; set channel.name")
        return self

    def _schedule_conflict(self) -> str | None:
        """Returns what the schedule rules out, if that is set: a line that begins with its key."""
        if self.schedule != "asynchronous":
            default, own = Asynchronous(), self.asynchronous
            for key in Asynchronous.model_fields:
                if getattr(own, key) != getattr(default, key):
                    return f"asynchronous.{key}: it is for schedule=asynchronous, not {self.schedule}; leave it out"
            return None
        if self.selection.name != "all":
            return (
                f"selection.name: {self.selection.name} chooses the devices of a round, and with schedule=asynchronous "
                "whoever is idle starts; leave it out, and set asynchronous.running"
            )
        if self.selection.deadline_s is not None:
            return "selection.deadline_s: with schedule=asynchronous nobody waits for a device; leave it out"
        if self.aggregation.name != "mean":
            return (
                f"aggregation.name: {self.aggregation.name} compares updates of one round, and those of "
                "schedule=asynchronous are of several versions; take mean"
            )
        if self.scaffold.option != "none":
            return (
                "scaffold.option: the server's control variate is the mean of the devices', and the merge of "
                "schedule=asynchronous discounts their changes; set scaffold.option=none"
            )
        if self.averaged.optimizer_state == "average" and self.averaged.upload == "delta":
            return (
                "averaged.upload: differences of Adam's moments to an older version may add up to less than nothing; "
                "with schedule=asynchronous and averaged.optimizer_state=average take weights"
            )
        for key in ("running", "buffer"):
            count = getattr(self.asynchronous, key)
            if self.devices and count is not None and count > self.devices:
                return f"asynchronous.{key}: {count} is more than devices={self.devices}"
        return None

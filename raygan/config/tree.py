"""The one typed, frozen, strict config tree: every knob, its default and its unit.

The paper (arXiv 2107.08681) leaves most of these open, so every default here is ours.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from raygan.components import METHODS, METRICS, check_name
from raygan.config.aggregation import Aggregation, Plain, TrimmedMean
from raygan.config.data import Data, Digits
from raygan.config.gan import Adam, Gan, Optimizer
from raygan.config.methods import Averaged, Fedgan, Mdgan
from raygan.config.section import NO_OPTIONS, Count, NotNegative, OneOrMany, Options, Positive, Section, Seed
from raygan.config.simulation import All, Channel, Compute, Constant, NoChannel, Selection


class Engine(Section):
    """Where the work runs. A run's numbers depend on the thread counts, on whether a party computes on a GPU, and on
    what is left out where something fails; on nothing else here."""

    executor: Literal["ray", "inline"] = "ray"
    """`ray`: actors; `inline`: this process, no Ray."""
    devices_per_actor: Count = 1
    """Devices that share one actor and take turns in it."""
    cpus_per_device: Annotated[float, Field(ge=0)] = 1.0
    """Logical CPUs an actor asks Ray for, per actor (cores; a Ray started by the run has as many as it needs)."""
    gpus_per_device: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a GPU each actor asks Ray for, and the most of its memory it may take (0: computes on the CPU)."""
    server_gpus: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a GPU for the server, likewise."""
    cuda_graphs: bool = True
    """On a GPU, the kernels of a step are recorded once and launched together (the same bits, less time between
    kernels)."""
    threads_per_device: Count = 1
    """Threads of one device's computation (part of the numbers: sums differ in their last bits)."""
    server_threads: Count = 1
    """Threads of the server's computation (part of the numbers)."""
    address: str | None = None
    """Ray cluster to join: `auto` or host:port (null: the process's own, $RAY_ADDRESS, or one started for the run)."""
    placement: Literal["spread", "pack"] = "spread"
    """Of the device actors. `spread`: every node is filled to the same part; `pack`: one node after the other, the
    server's first. In a Tune trial Ray decides."""
    pre_average: bool = True
    """The device actors of a node other than the server's send one sum together (the same bits, fewer bytes)."""
    nodes_timeout_s: NotNegative = 600.0
    """How long to wait for nodes that are coming, on a cluster that has too few (seconds; 0: not at all)."""
    ready_timeout_s: Positive = 300.0
    """How long all actors together may take to start, and others to give up what they hold (seconds)."""
    hang_timeout_s: NotNegative = 3600.0
    """After so long without anything done, the process that is waited for is ended and counts as lost (seconds; 0: it
    is waited for). Measuring may take longer. Who is waited for is said after a minute."""
    on_device_failure: Literal["replay", "drop"] = "replay"
    """A device's process dies. `replay`: all goes on from the last checkpoint, to the same numbers. `drop`: its devices
    miss the rounds under way and come back as the last checkpoint has them (the numbers depend on when it died)."""
    on_bad_update: Literal["stop", "drop"] = "stop"
    """An update is not finite or has the wrong shape. `stop`: the run ends, its state saved; `drop`: the device misses
    the round."""


class Eval(Section):
    """Evaluation, beside the training."""

    every: Count = 100
    """Evaluate at round 0, every so many rounds, and at the last one (rounds)."""
    samples: Annotated[int, Field(ge=2)] = 2000
    """Generated samples per evaluation. Frechet distances at different counts do not compare."""
    metrics: Annotated[
        tuple[Annotated[str, AfterValidator(lambda name: check_name(METRICS, name))], ...], OneOrMany
    ] = tuple(METRICS)
    """What is measured, by names or import paths to a `Metric`. 2-D mixtures: their mode coverage, and of these what
    needs no classifier."""
    classifier_epochs: Count = 8
    """Passes over at most 20,000 images when the data set's classifier is trained (once; cached); more where they are
    fewer than 200 steps of 100 images."""
    classifier: Path | None = None
    """A classifier to measure with, so that runs from other machines compare: a run folder, or the
    classifier.safetensors in it (null: the run's own, or the data set's, trained here)."""
    inception_weights: Path | None = None
    """Inception weights, the file pt_inception-2015-12-05-6726825d.pth itself: adds `fid`, `kid` and more; needs the
    `fid` extra."""
    gpus: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a GPU for `fid` (the rest is measured on a CPU)."""
    grid: Annotated[int, Field(ge=1, le=32)] = 10
    """Rows and columns of the sample grids (images)."""
    nearest: Annotated[int, Field(ge=0, le=100)] = 8
    """Samples whose nearest training images are drawn when the run is over (0: none, so that no training image is
    in the run folder)."""


class Checkpoint(Section):
    """Saved states."""

    every: Count = 500
    """Save the whole state every so many rounds, at the last one and when interrupted (rounds)."""
    keep: Count = 2
    """Newest checkpoints that are kept."""


class Config(Section):
    """A whole run. The same config gives the same generator, bit for bit."""

    method: Annotated[str, AfterValidator(lambda name: check_name(METHODS, name))] = "averaged"
    """`averaged` (arXiv 2107.08681), `fedgan`, `mdgan`, `centralized`, or an import path to a `Method`."""
    method_options: Options = NO_OPTIONS
    """What a `method` of your own reads."""
    schedule: Literal["serial", "parallel"] = "serial"
    """Of `averaged`. `serial`: the generator step waits for the new average; `parallel`: it runs on the old one."""
    devices: Count = 5
    """Number of devices K."""
    rounds: Count = 800
    """Number of rounds."""
    seed: Seed = 0
    """Seed of every random stream (of the links' and the speeds' too, unless they have their own)."""
    batch_size: Count = 32
    """Real images per discriminator step on a device (images; a smaller shard gives all it has)."""
    generator_batch_size: Count = 64
    """Generated images per generator step on the server (images; `fedgan` generates as many as it has real ones in a
    step, `mdgan` `batch_size`)."""
    device_steps: Count = 1
    """Discriminator steps of a device per round (n_d; steps of both networks for `fedgan`; of `mdgan` all on the same
    images)."""
    generator_steps: Count = 1
    """Generator steps of the server per round (n_g; of `averaged` and `centralized`)."""
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
    mdgan: Mdgan = Mdgan()
    """Switches of `method: mdgan`."""
    aggregation: Aggregation = Plain()
    """What the server makes of the updates: their mean, or what a few bad devices cannot move far."""
    channel: Channel = NoChannel()
    """The simulated links between devices and server."""
    compute: Compute = Compute()
    """Simulated computing speeds."""
    selection: Selection = All()
    """Which devices take part in a round."""
    engine: Engine = Engine()
    """Where the work runs."""
    eval: Eval = Eval()
    """Evaluation."""
    checkpoint: Checkpoint = Checkpoint()
    """Saved states."""

    def is_measured(self, round: int) -> bool:
        """Whether the generator is measured after a round, from 1 on."""
        return round % self.eval.every == 0 or round == self.rounds

    @model_validator(mode="after")
    def _fits_the_devices(self) -> Self:
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
        if self.gan.precision == "tf32" and not (self.engine.gpus_per_device or self.engine.server_gpus):
            raise ValueError(
                "gan.precision: tf32 is how a GPU multiplies, and none is asked for; set engine.gpus_per_device and "
                "engine.server_gpus, or take float32"
            )
        if self.channel.name == "none" and self.selection.name in ("best_channel", "proportional_fair"):
            raise ValueError(f"selection.name: {self.selection.name} ranks devices by their links; set channel.name")
        return self

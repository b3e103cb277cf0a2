"""Config of how a run is executed, measured and saved."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from raygan.components import METRICS, check_name
from raygan.config.section import Count, NotNegative, OneOrMany, Positive, Section


class Engine(Section):
    """Execution of the run. Of these keys, a run's numbers depend only on the thread counts, on `stacked`, on whether
    devices or server compute on a GPU, and on what is left out after a failure."""

    executor: Literal["ray", "inline"] = "ray"
    """`ray`: Ray actors; `inline`: a single process without Ray."""
    devices_per_actor: Count = 1
    """Devices that share one actor and take turns in it."""
    stacked: Count = 1
    """Devices of an actor whose steps are one computation, over their stacked parameters: faster for small networks,
    the same numbers but for rounding. `devices_per_actor` must be a multiple, or all devices. Device n is in group n
    divided by this, rounded down. Custom networks set `stackable = True` to be stacked."""
    workers: Literal["fork", "spawn"] = "fork"
    """`fork`: actors are forks of one process of their node that has imported torch (on Linux), which saves seconds and
    300 MB each; `spawn`: each starts and imports on its own."""
    cpus_per_device: Annotated[float, Field(ge=0)] = 1.0
    """Logical CPUs that each actor requests from Ray (cores; a Ray started by the run has as many as needed)."""
    gpus_per_device: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a GPU that each actor requests from Ray, and of its memory that it may use (0: computes on the CPU)."""
    server_gpus: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a GPU for the server, likewise."""
    cuda_graphs: bool = True
    """Record the kernels of a step once and launch them together, on a GPU (the same bits, less time between
    kernels)."""
    threads_per_device: Count = 1
    """Threads of a device's computation (numbers depend on it: sums differ in their last bits)."""
    server_threads: Count = 1
    """Threads of the server's computation (numbers depend on it)."""
    address: str | None = None
    """Ray cluster to join: `auto` or host:port (null: this process's Ray, $RAY_ADDRESS, or one started for the run)."""
    placement: Literal["spread", "pack"] = "spread"
    """Placement of the device actors. `spread`: all nodes are filled to the same share; `pack`: one node after another,
    the server's first. In a Tune trial Ray decides."""
    pre_average: bool = True
    """Device actors on the same node send one combined sum to a server on another node (the same bits, fewer bytes; not
    with `schedule=asynchronous`, where none waits for another)."""
    nodes_timeout_s: NotNegative = 600.0
    """How long to wait for nodes to join a cluster that has too few (seconds; 0: not at all). What an autoscaler can
    never add is not waited for."""
    ready_timeout_s: Positive = 300.0
    """How long all actors together may take to start, and others to release resources (seconds)."""
    hang_timeout_s: NotNegative = 3600.0
    """After so long without progress, the process that the run waits for is ended and counts as lost (seconds; 0:
    never). Measuring may take longer. After a minute, a message names the process."""
    on_device_failure: Literal["replay", "drop"] = "replay"
    """Action after the death of a device's process. `replay`: the run continues from the last checkpoint, to the same
    numbers. `drop`: its devices miss the current rounds and return with their states of the last checkpoint (the
    numbers depend on when it died)."""
    on_bad_update: Literal["stop", "drop"] = "stop"
    """Action after an update that is not finite or has the wrong shape. `stop`: the run ends with its state saved;
    `drop`: the device misses the round."""


class Eval(Section):
    """Evaluation, alongside the training."""

    every: Count = 100
    """Interval of evaluations, which also happen at round 0 and after the last round (rounds)."""
    samples: Annotated[int, Field(ge=2)] = 2000
    """Generated samples per evaluation. Frechet distances at different counts are not comparable."""
    metrics: Annotated[
        tuple[Annotated[str, AfterValidator(lambda name: check_name(METRICS, name))], ...], OneOrMany
    ] = tuple(METRICS)
    """Metrics, by names or import paths to a `Metric`. 2-D mixtures use mode coverage, and those of these metrics that
    need no classifier."""
    classifier_epochs: Count = 8
    """Passes over at most 20,000 images to train the data set's classifier (once; cached); more if they are fewer than
    200 steps of 100 images."""
    classifier: Path | None = None
    """A classifier to measure with, to compare runs of different machines: a run folder, or the classifier.safetensors
    in it (null: the run's own, or the data set's, trained here)."""
    inception_weights: Path | None = None
    """Inception weights, exactly the file pt_inception-2015-12-05-6726825d.pth: adds `fid`, `kid` and more; needs the
    `fid` extra."""
    gpus: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a GPU for `fid` (the rest is measured on a CPU)."""
    grid: Annotated[int, Field(ge=1, le=32)] = 10
    """Rows and columns of the sample grids (images)."""
    nearest: Annotated[int, Field(ge=0, le=100)] = 8
    """Number of samples whose nearest training images are drawn at the end of the run (0: none, which keeps training
    images out of the run folder)."""


class Checkpoint(Section):
    """Saved states."""

    every: Count = 500
    """Interval of checkpoints, which are also saved after the last round and on interruption (rounds)."""
    keep: Count = 2
    """Number of newest checkpoints to keep."""

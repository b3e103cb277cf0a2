"""Reports: the scalars of a round, from the workers and the server to the driver."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from raygan.methods.base import Metrics
from raygan.round.timing import ServerTimes, WorkerTimes, spent


@dataclass
class WorkerReport:
    """A worker's part of a round."""

    devices: dict[int, Metrics] = field(default_factory=dict)
    """Scalars by device."""
    dropped: dict[int, str] = field(default_factory=dict)
    """Devices that were left out, with the reason."""
    times: WorkerTimes | None = None
    """None of a worker that was lost."""


@dataclass
class ServerReport:
    """The server's part of a round."""

    metrics: Metrics
    dropped: dict[int, str]
    times: ServerTimes


@dataclass(frozen=True)
class Outcome:
    """The outcome of a round."""

    metrics: Metrics
    """`d_loss`, `g_loss` and others that the method measures; none of devices if no device took part."""
    dropped: dict[int, str]
    """Devices that were to take part and are not in the average, with the reason."""
    spent_s: dict[str, float]
    """Seconds of the round by phase; see `raygan.round.timing.spent`."""


def outcome_of(workers: Sequence[WorkerReport], server: ServerReport, asked: float) -> Outcome:
    """Returns the outcome of a round that was `asked` for at that moment (seconds, as `timing.now`).

    Device metrics are means over the devices in the average that have them.
    """
    dropped = dict(server.dropped)
    for worker in workers:  # a worker's reasons are nearer the cause
        dropped |= worker.dropped
    devices = {number: worker.devices[number] for worker in workers for number in worker.devices}
    counted = [devices[number] for number in sorted(devices.keys() - dropped.keys())]
    means = {}
    for name in dict.fromkeys(name for metrics in counted for name in metrics):
        values = [metrics[name] for metrics in counted if name in metrics]
        means[name] = sum(values) / len(values)
    times = [worker.times for worker in workers if worker.times is not None]
    return Outcome(means | server.metrics, dict(sorted(dropped.items())), spent(times, server.times, asked))

"""What the rounds of a run would have cost with other links or computing speeds; nothing is trained."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from raygan.channel.simulated import SimulatedRound
from raygan.config.tree import Config
from raygan.data import ImageSet, Shards, dealt, load_data
from raygan.data.classes import with_classes
from raygan.errors import InputError
from raygan.record.folder import RunFolder
from raygan.record.log import Row
from raygan.report.priced import Priced
from raygan.round.simulation import as_run, try_out

_KEYS = ("channel.", "compute.")


def priced(folder: Path, words: Sequence[str]) -> Priced:
    """The run in a folder with `key=value` words of `channel.` and `compute.` laid over its config.

    Raises:
        InputError: a word of another section, or one that does not fit the run's config; or the data, of which it
            matters who holds how much, is not there or another.
    """
    for word in words:
        if "=" not in word:
            raise InputError(
                f"--price: {word} is not of the form key=value (for example channel.uplink_bps=1e6)", code="value"
            )
        if not word.startswith(_KEYS):
            raise InputError(
                f"--price: {word}: only keys of channel. and compute. can be set, for example channel.uplink_bps=1e6",
                code="unknown",
            )
    record = RunFolder(folder)
    own = record.read_config()
    try:
        price = record.read_config(words)
    except InputError as error:
        raise InputError(f"--price: {error} (in {folder})", code=error.code) from error
    dealt, rounds = _dealt(own, folder), record.log.last_round()
    rows: list[Row] = [{"sim_s": 0.0}]
    sim_s, others = 0.0, 0
    for was, now in zip(timed(own, rounds, *dealt), timed(price, rounds, *dealt), strict=True):
        others += (was.devices, was.staleness) != (now.devices, now.staleness)
        sim_s += now.phases.seconds
        sent = {"bytes_down": now.bytes_down, "bytes_up": now.bytes_up, "bytes_swap": now.bytes_swap}
        who = {"devices": len(now.devices), "unreached": now.unreached, "late": now.late}
        rows.append({"sim_s": sim_s, "phases_s": now.phases.by_name(), **sent, **who})
    return Priced(words, price, rows, others)


def timed(config: Config, rounds: int, images: ImageSet, shards: Shards) -> Iterator[SimulatedRound]:
    """The first rounds of a run on data that is dealt so, as the clock has them."""
    weighed = bool(config.gan.class_weights)
    _, clock = try_out(with_classes(as_run(config), images, shards), images, shards, weighed)
    for round in range(1, rounds + 1):
        yield clock.round(round)


def _dealt(config: Config, folder: Path) -> tuple[ImageSet, Shards]:
    config = as_run(config)
    try:
        images = load_data(config.data, config.seed)
    except InputError as error:
        raise InputError(
            f"{error} (--price reads the data of {folder} again: larger shards take longer)", code=error.code
        ) from error
    if (digest := RunFolder(folder).data_digest()) not in (None, images.digest):
        raise InputError(
            f"{folder}: --price reads the data again, and it is not what the run was trained on (its hash was "
            f"{digest}, now it is {images.digest}); put it back",
            code="mismatch",
        )
    return images, dealt(images, config)

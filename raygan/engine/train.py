"""A whole run: data, executor, the round loop, what is left behind."""

import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from signal import Signals

import numpy as np

from raygan.channel.clock import Clock, SimulatedRound
from raygan.config.tree import Config
from raygan.data import ImageSet, load_data, split
from raygan.engine.checkpoint import Snapshot, load_newest, newest
from raygan.engine.checks import check_weights
from raygan.engine.executor import Done, Executor, Pending
from raygan.engine.ledger import Ledger, Watcher
from raygan.engine.signals import StopWish, stop_wish
from raygan.engine.simulation import as_played, make_clock
from raygan.errors import InputError, RunError
from raygan.gan.steps import check_networks
from raygan.run_folder import Row, RunFolder, check_same_run


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    out: Path
    """The run folder."""
    round: int
    """The last round played."""
    stopped_by: Signals | None
    """The signal that ended the run early, if one did."""

    @property
    def generator(self) -> Path:
        """The trained generator's file."""
        return RunFolder(self.out).generator

    @property
    def rows(self) -> list[Row]:
        """The lines of metrics.jsonl."""
        return RunFolder(self.out).rows()

    @property
    def evaluations(self) -> list[Row]:
        """The lines of the rounds that were evaluated, round 0 first."""
        evaluated = {path.stem for path in RunFolder(self.out).samples.glob("round_*.png")}
        return [row for row in self.rows if f"round_{row['round']:06d}" in evaluated]

    @property
    def picture(self) -> Path | None:
        """The newest sample grid."""
        return max(RunFolder(self.out).samples.glob("round_*.png"), default=None)


def train(config: Config, out: str | Path, *, resume: bool = False, watchers: Iterable[Watcher] = ()) -> Result:
    """Train as `config` says, into the run folder `out`.

    Ctrl-C or SIGTERM ends the run after the round, its state saved; `resume` goes on from the newest whole
    checkpoint in `out`.

    Raises:
        InputError: config, data or folder are wrong; nothing has been changed.
        RunError: the run failed; what was done is kept.
    """
    folder = RunFolder(Path(out).resolve())
    if resume:
        check_same_run(folder.read_config(), config)
    else:
        folder.create(config)
    observers = list(watchers)

    def tell(text: str) -> None:
        for watcher in observers:
            watcher.on_phase(text)

    try:
        check_weights(config)
        played = as_played(config)
        tell(f"loading {config.data.name}")
        images = load_data(played.data, config.seed)
        shards = split(images.labels, played.devices, played.data.partition, config.seed)
        check_networks(played, images.shape, min(map(len, shards)))
        clock = make_clock(played, images, shards)
        if resume:
            folder.check_same_data(images.digest)
        start = _newest_checkpoint(folder, config, tell) if resume else None
        tell(f"starting {played.devices} device{'s' if played.devices > 1 else ''} and a server")
        executor = _open(played, folder, images, shards, start)
    except BaseException:
        if not resume:
            folder.discard()
        raise
    with closing(executor):
        tell("training")
        rounds = _Rounds(config, folder, executor, clock, observers)
        return rounds.play(start.round if start is not None else 0, images.digest)


def _newest_checkpoint(folder: RunFolder, config: Config, tell: Callable[[str], None]) -> Snapshot | None:
    start, damaged = load_newest(folder.checkpoints)
    for line in damaged:
        tell(line)
    tell(f"going on after round {start.round}" if start is not None else "no whole checkpoint: starting again")
    if start is not None and start.round >= config.rounds and folder.generator.exists():
        raise InputError(
            f"--resume: {folder.root} has played {start.round} of {config.rounds} rounds; set rounds to go further"
        )
    return start


def _open(
    config: Config, folder: RunFolder, images: ImageSet, shards: list[np.ndarray], start: Snapshot | None
) -> Executor:
    if config.engine.executor == "inline":
        from raygan.engine.inline import InlineExecutor

        return InlineExecutor(config, folder.root, images, shards, start)
    from raygan.engine.on_ray import RayExecutor

    return RayExecutor(config, folder.root, images, shards, start)


class _Rounds:
    """The round loop: starts work, a few rounds ahead of what is finished, and never waits for weights."""

    def __init__(
        self, config: Config, folder: RunFolder, executor: Executor, clock: Clock, watchers: list[Watcher]
    ) -> None:
        self._config = config
        self._folder = folder
        self._executor = executor
        self._clock = clock
        self._sim_s = 0.0
        self._watchers = watchers
        self._saving: Pending[None] = Done(None)

    def play(self, start: int, data_digest: str) -> Result:
        """Play the rounds behind `start`."""
        config, executor, folder = self._config, self._executor, self._folder
        with _kept(folder), stop_wish() as wish:
            folder.generator.unlink(missing_ok=True)
            folder.write_config(config)
            folder.write_environment({"data_digest": data_digest, **executor.facts()})
            folder.trim(start if start else -1)
            for round in range(1, start + 1):
                self._simulate(round)
            ledger = Ledger(folder, self._watchers, self._seconds_before())
            try:
                played = self._play_rounds(start, ledger, wish)
                ledger.finish()
            except BaseException:
                ledger.rescue()
                raise
            self._saving.result()
            executor.export().result()
        return Result(folder.root, played, wish.signal if played < config.rounds else None)

    def _play_rounds(self, start: int, ledger: Ledger, wish: StopWish) -> int:
        """Returns the last round played; a checkpoint of it is under way."""
        config, executor = self._config, self._executor
        played = start
        if start == 0:
            ledger.add(0, None, executor.evaluate(), {"sim_s": 0.0})
        while played < config.rounds and wish.signal is None:
            played += 1
            simulated, row = self._simulate(played)
            playing = executor.play(played, simulated.devices, simulated.partners)
            due = played % config.eval.every == 0 or played == config.rounds
            ledger.add(played, playing, executor.evaluate() if due else None, row)
            if played % config.checkpoint.every == 0:
                self._save()
        if played > start and played % config.checkpoint.every != 0:
            self._save()
        return played

    def _save(self) -> None:
        self._saving.result()
        self._saving = self._executor.save()

    def _simulate(self, round: int) -> tuple[SimulatedRound, Row]:
        """A round as the clock has it, and what of it is recorded."""
        simulated = self._clock.round(round)
        self._sim_s += simulated.phases.seconds
        return simulated, {
            "sim_s": self._sim_s,
            "phases_s": asdict(simulated.phases),
            "devices": len(simulated.devices),
            "late": simulated.late,
            "bytes_down": simulated.bytes_down,
            "bytes_up": simulated.bytes_up,
            "bytes_swap": simulated.bytes_swap,
        }

    def _seconds_before(self) -> float:
        rows = self._folder.rows()
        return float(str(rows[-1]["wall_s"])) if rows else 0.0


@contextmanager
def _kept(folder: RunFolder) -> Iterator[None]:
    """Say of a failure what is kept and how to go on; the traceback goes to error.txt."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        saved = newest(folder.checkpoints)
        kept = f"the state is kept up to {saved.name}; go on with --resume" if saved else "no checkpoint had been saved"
        what = str(error) if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
        with suppress(OSError):
            folder.error.write_text(traceback.format_exc(), encoding="utf-8")
        raise RunError(f"{what} ({kept}; the traceback is in {folder.error})") from error

"""A whole run: data, executor, the round loop, what is left behind."""

import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

import numpy as np

from raygan.channel.clock import Clock
from raygan.config.tree import Config
from raygan.data import ImageSet, load_data, split
from raygan.engine.checkpoint import Snapshot, load_newest, newest
from raygan.engine.checks import check_weights
from raygan.engine.executor import Executor
from raygan.engine.ledger import Watcher
from raygan.engine.rounds import Rounds
from raygan.engine.signals import StopWish, stop_wish
from raygan.engine.simulation import as_played, make_clock
from raygan.errors import InputError, ProcessLostError, RunError
from raygan.files import write_whole
from raygan.gan.steps import check_networks
from raygan.run_folder import Row, RunFolder, check_same_run

PATIENCE = 3
"""Processes lost behind the same round before a run gives up."""


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
    try:
        run = _prepare(config, folder, list(watchers), resume)
        start = run.newest_checkpoint() if resume else None
        executor = run.open(start)
    except BaseException:
        if not resume:
            folder.discard()
        raise
    with _kept(folder), stop_wish() as wish:
        played = _play(run, executor, start, wish)
    return Result(folder.root, played, wish.signal if played < config.rounds else None)


@dataclass(frozen=True)
class _Run:
    """What stays the same however often the processes of a run are started."""

    config: Config
    played: Config
    folder: RunFolder
    images: ImageSet
    shards: list[np.ndarray]
    clock: Clock
    watchers: list[Watcher]

    def tell(self, text: str) -> None:
        """Say to everyone who watches what goes on."""
        for watcher in self.watchers:
            watcher.on_phase(text)

    def newest_checkpoint(self) -> Snapshot | None:
        """The newest whole one that metrics.jsonl reaches; says which it is, and which were passed over."""
        start, passed_over = load_newest(self.folder.checkpoints, self.folder.last_round())
        for line in passed_over:
            self.tell(line)
        self.tell(f"going on after round {start.round}" if start else "no whole checkpoint: starting again")
        if start is not None and start.round >= self.config.rounds and self.folder.generator.exists():
            raise InputError(
                f"--resume: {self.folder.root} has played {start.round} of {self.config.rounds} rounds; "
                "set rounds to go further"
            )
        return start

    def open(self, start: Snapshot | None) -> Executor:
        """Start the processes, in the state of a checkpoint or as new."""
        self.tell(f"starting {self.played.devices} device{'s' if self.played.devices > 1 else ''} and a server")
        if self.config.engine.executor == "inline":
            from raygan.engine.inline import InlineExecutor

            return InlineExecutor(self.played, self.folder.root, self.images, self.shards, start)
        from raygan.engine.on_ray import RayExecutor

        return RayExecutor(self.played, self.folder.root, self.images, self.shards, start)


def _prepare(config: Config, folder: RunFolder, watchers: list[Watcher], resume: bool) -> _Run:
    """Load, deal and check everything before a process is started."""
    check_weights(config)
    played = as_played(config)
    for watcher in watchers:
        watcher.on_phase(f"loading {config.data.name}")
    images = load_data(played.data, config.seed)
    shards = split(images.labels, played.devices, played.data.partition, config.seed)
    check_networks(played, images.shape, min(map(len, shards)))
    clock = make_clock(played, images, shards)
    if resume:
        folder.check_same_data(images.digest)
    return _Run(config, played, folder, images, shards, clock, watchers)


def _play(run: _Run, executor: Executor, start: Snapshot | None, wish: StopWish) -> int:
    """Play to the end; when a process is lost, start all anew from the newest checkpoint. Returns the last round."""
    lost: Counter[int] = Counter()
    folder = run.folder
    folder.generator.unlink(missing_ok=True)
    folder.write_config(run.config)
    while True:
        with closing(executor):
            folder.write_environment({"data_digest": run.images.digest, **executor.facts()})
            run.tell("training")
            after = start.round if start is not None else 0
            rounds = Rounds(run.config, folder, executor, run.clock.fresh(), run.watchers, after)
            try:
                return rounds.play(wish)
            except ProcessLostError as error:
                lost[rounds.completed] += 1
                if lost[rounds.completed] == PATIENCE:
                    raise RunError(f"{error}; it is the third time after round {rounds.completed}") from error
                run.tell(f"{error}; starting again")
        start, executor = _start_again(run)


def _start_again(run: _Run) -> tuple[Snapshot | None, Executor]:
    """From the newest checkpoint; when that fails as well, tried as often as other losses.

    Ray places processes on a machine that is gone until it has noticed, and then they are lost, too.
    """
    for _ in range(PATIENCE - 1):
        try:
            start = run.newest_checkpoint()
            return start, run.open(start)
        except ProcessLostError as error:
            run.tell(f"{error}; starting again")
        except InputError as error:  # such as a cluster that has become too small
            raise RunError(f"a process was lost, and the run could not be started again: {error}") from error
    raise RunError(f"a process was lost, and so were those that were started again, {PATIENCE - 1} times")


@contextmanager
def _kept(folder: RunFolder) -> Iterator[None]:
    """Say of a failure what is kept and how to go on; the traceback goes to error.txt."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        saved = newest(folder.checkpoints, folder.last_round())
        kept = f"the state is kept up to {saved.name}; go on with --resume" if saved else "no checkpoint had been saved"
        what = str(error) if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
        try:
            write_whole(folder.error, lambda aside: aside.write_text(traceback.format_exc(), encoding="utf-8"))
            where = f"the traceback is in {folder.error}"
        except OSError:  # a full disk, such as may have ended the run
            where = f"the traceback could not be written to {folder.error}"
        raise RunError(f"{what} ({kept}; {where})") from error

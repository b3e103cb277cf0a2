"""A whole run: data, executor, the round loop, what is left behind."""

import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from raygan.channel.clock import Clock
from raygan.config.tree import Config
from raygan.data import load_data, split
from raygan.engine.checkpoint import Snapshot, load_newest, newest
from raygan.engine.checks import check_weights
from raygan.engine.executor import PATIENCE, Executor, Setup
from raygan.engine.ledger import Watcher
from raygan.engine.result import Result
from raygan.engine.rounds import Rounds
from raygan.engine.saving import Saving
from raygan.engine.signals import StopWish, stop_wish
from raygan.engine.simulation import as_played, try_out
from raygan.errors import InputError, ProcessLostError, RunError, StorageError
from raygan.files import write_whole
from raygan.gan.steps import check_networks
from raygan.run_folder import RunFolder, check_same_run, lasting
from raygan.storage import Store, store_at


def train(config: Config, out: str | Path, *, resume: bool = False, watchers: Iterable[Watcher] = ()) -> Result:
    """Train as `config` says, into the run folder `out`: a path, or a URI such as s3://bucket/runs/x.

    Ctrl-C or SIGTERM ends the run after the round, its state saved; `resume` goes on from the newest whole
    checkpoint in `out`.

    Raises:
        InputError: config, data or folder are wrong; nothing has been changed.
        RunError: the run failed; what was done is kept.
    """
    store = store_at(out)
    with store.named():
        run, start, executor = _begin(config, store, list(watchers), resume)
    with _kept(store), stop_wish() as wish:
        played = _play(run, executor, start, wish)
        store.push()
    return Result(store.local, played, wish.signal if played < config.rounds else None, store.uri)


@dataclass(frozen=True)
class Run:
    """What stays the same however often the processes of a run are started."""

    config: Config
    """As the user has it."""
    store: Store
    folder: RunFolder
    setup: Setup
    clock: Clock
    watchers: list[Watcher]

    def tell(self, text: str) -> None:
        """Say to everyone who watches what goes on."""
        for watcher in self.watchers:
            watcher.on_phase(text)

    def report(self, text: str) -> None:
        """Say to everyone who watches what happened."""
        for watcher in self.watchers:
            watcher.on_event(text)

    def newest_checkpoint(self) -> Snapshot | None:
        """The newest whole one that metrics.jsonl reaches; says which it is, and which were passed over."""
        start, passed_over = load_newest(self.folder.checkpoints, len(self.folder.rows()) - 1)
        for line in passed_over:
            self.report(line)
        self.report(f"going on after round {start.round}" if start else "no whole checkpoint: starting again")
        if start is not None:
            check_same_run(start.settings, self.config)  # config.yaml may have been changed since
        return start

    def open(self, start: Snapshot | None) -> Executor:
        """Start the processes, in the state of a checkpoint or as new."""
        self.tell(
            f"starting {self.setup.config.devices} device{'s' if self.setup.config.devices > 1 else ''} and a server"
        )
        if self.config.engine.executor == "inline":
            from raygan.engine.inline import InlineExecutor

            return InlineExecutor(self.setup, start)
        from raygan.engine.on_ray import RayExecutor

        return RayExecutor(self.setup, start)


def _begin(
    config: Config, store: Store, watchers: list[Watcher], resume: bool
) -> tuple[Run, Snapshot | None, Executor]:
    """Everything up to the first round; a new run that does not get there leaves nothing."""
    folder = RunFolder(store.local)
    if resume:
        store.pull()
        check_same_run(lasting(folder.read_config()), config)
    else:
        store.clear()
        folder.create(config)
    try:
        store.claim()
        run = prepare(config, store, watchers, resume)
        start = run.newest_checkpoint() if resume else None
        if start is not None and start.round >= config.rounds and folder.generator.exists():
            raise InputError(
                f"--resume: {folder.root} has played {start.round} of {config.rounds} rounds; set rounds to go further"
            )
        return run, start, run.open(start)
    except BaseException:
        if not resume:
            folder.discard()
            with suppress(StorageError):
                store.push()
        raise


def prepare(config: Config, store: Store, watchers: list[Watcher], resume: bool) -> Run:
    """Load, deal and check everything before a process is started."""
    check_weights(config)
    played = as_played(config)
    for watcher in watchers:
        watcher.on_phase(f"loading {config.data.name}")
    images = load_data(played.data, config.seed)
    shards = split(images.labels, played.devices, played.data.partition, config.seed)
    check_networks(played, images.shape, int(shards.sizes.min()))
    problem, clock = try_out(played, images, shards)
    folder = RunFolder(store.local)
    if resume:
        folder.check_same_data(images.digest)
    return Run(config, store, folder, Setup(played, folder.root, images, shards, problem), clock, watchers)


def _play(run: Run, executor: Executor, start: Snapshot | None, wish: StopWish) -> int:
    """Play to the end; when a process is lost, start all anew from the newest checkpoint. Returns the last round."""
    lost: Counter[int] = Counter()
    folder = run.folder
    while True:
        with closing(executor), Saving(run.store, run.report) as saving:
            folder.generator.unlink(missing_ok=True)
            folder.write_config(run.config)
            folder.write_environment({"data_digest": run.setup.images.digest, **executor.facts()})
            run.tell("training")
            after = start.round if start is not None else 0
            rounds = Rounds(run.config, folder, executor, saving, run.clock.fresh(), run.watchers, after)
            try:
                return rounds.play(wish)
            except ProcessLostError as error:
                lost[rounds.completed] += 1
                if lost[rounds.completed] == PATIENCE:
                    raise RunError(f"{error}; it is the third time after round {rounds.completed}") from error
                run.report(f"{error}; starting again")
        start, executor = _start_again(run)


def _start_again(run: Run) -> tuple[Snapshot | None, Executor]:
    """From the newest checkpoint; when that fails as well, tried as often as other losses.

    Ray places processes on a machine that is gone until it has noticed, and then they are lost, too.
    """
    for _ in range(PATIENCE - 1):
        try:
            start = run.newest_checkpoint()
            return start, run.open(start)
        except ProcessLostError as error:
            run.report(f"{error}; starting again")
        except InputError as error:  # such as a cluster that has become too small
            raise RunError(f"a process was lost, and the run could not be started again: {error}") from error
    raise RunError(f"a process was lost, and so were those that were started again, {PATIENCE - 1} times")


@contextmanager
def _kept(store: Store) -> Iterator[None]:
    """Say of a failure what is kept and how to go on; the traceback goes to error.txt."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        folder = RunFolder(store.local)
        saved = newest(folder.checkpoints, folder.last_round())
        kept = f"the state is kept up to {saved.name}; go on with --resume" if saved else "no checkpoint had been saved"
        what = str(error) if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
        where = f"the traceback is in {f'error.txt at {store.uri}' if store.uri else folder.error}"
        try:
            write_whole(folder.error, lambda aside: aside.write_text(traceback.format_exc(), encoding="utf-8"))
        except OSError:  # a full disk, such as may have ended the run
            where = f"the traceback could not be written to {folder.error}"
        try:
            store.push()
        except StorageError as unsent:
            what = what if isinstance(error, StorageError) else f"{what}; {unsent}"
            kept = f"all is kept in {folder.root}; --resume goes on from what had been sent, and puts this aside"
            where = f"the traceback is in {folder.error}"
        raise RunError(f"{what} ({kept}; {where})") from error

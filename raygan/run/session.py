"""One run: its preparation before processes are started, and its tries until the end."""

from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from raygan.channel.clock import Clock
from raygan.cluster.connection import Connection, connect
from raygan.cluster.waiting import Patience
from raygan.config.paths import absolute
from raygan.config.tree import Config
from raygan.data import dealt, load_data
from raygan.data.about import about
from raygan.data.classes import with_classes
from raygan.data.images import ImageSet
from raygan.errors import InputError, ProcessLostError, RunError
from raygan.evaluation.checks import check_weights, load_again
from raygan.evaluation.custom_metrics import check_metrics
from raygan.executors.executor import Executor
from raygan.executors.setup import PATIENCE, Setup
from raygan.executors.vigil import Vigil
from raygan.files import cache_problem
from raygan.gan.networks import check_networks
from raygan.privacy.accountant import Accountant, accountant_of, over_budget
from raygan.record.checkpoint import Snapshot, load_newest
from raygan.record.folder import RunFolder
from raygan.record.lock import wait_for_recorder
from raygan.record.settings import check_same_run, lasting
from raygan.record.store import Store
from raygan.round.checks import method_of
from raygan.round.lanes import told_of_stacking
from raygan.round.likeness import unlike_before, unlike_each_other
from raygan.round.simulation import as_run, try_out
from raygan.run.ledger import Watcher
from raygan.run.loop import Rounds
from raygan.run.saving import Saving
from raygan.signals import StopWish
from raygan.tracking.tracking import check_trackers


@dataclass(frozen=True)
class Run:
    """The parts of a run that stay the same when its processes are started again."""

    config: Config
    """The config as the user has it."""
    store: Store
    folder: RunFolder
    setup: Setup
    clock: Clock
    accountant: Accountant | None
    """The account of a private run."""
    watchers: list[Watcher]
    wish: StopWish = field(default_factory=StopWish)
    """Tells whether the user wishes for the end."""

    def tell(self, text: str) -> None:
        """Say to everyone who watches what goes on."""
        for watcher in self.watchers:
            watcher.on_phase(text)

    def report(self, text: str) -> None:
        """Say to everyone who watches what happened."""
        for watcher in self.watchers:
            watcher.on_event(text)

    def note(self, text: str) -> None:
        """Keep in the run folder what happened."""
        with suppress(OSError, InputError):  # a full disk, or damage, has worse to say
            self.folder.note(text)

    def happened(self, text: str) -> None:
        """Say it, and keep it."""
        self.report(text)
        self.note(text)

    def saved(self, round: int) -> None:
        """Say to everyone who watches that the state after a round is kept."""
        for watcher in self.watchers:
            watcher.on_checkpoint(round)

    def newest_checkpoint(self) -> Snapshot | None:
        """The newest whole one that the log reaches; says which were passed over."""
        start, passed_over = load_newest(self.folder.checkpoints, self.folder.log.last_round())
        for line in passed_over:
            self.report(line)
        if start is not None:
            check_same_run(start.settings, self.config, start.round)  # config.yaml may have been changed since
        return start

    def say_where_it_goes_on(self, start: Snapshot | None) -> None:
        """Say which checkpoint the run goes on from."""
        self.report(f"going on after round {start.round}" if start else "no whole checkpoint: starting again")

    def open(self, start: Snapshot | None, connection: Connection | None = None) -> Executor:
        """Start the processes, in the state of a checkpoint or as new, on a connection to Ray that is there already."""
        wait_for_recorder(self.folder.root)
        if self.config.engine.executor == "inline":
            from raygan.executors.in_process import InProcess

            self.tell("starting in this process")
            return Executor(self.setup, start, self.setup.config.devices, InProcess(self.setup.config), self.happened)
        from raygan.executors.ray_transport import RayTransport

        connection = connection or connect(self.setup.config)
        patience = Patience(
            connection.may_grow, self.tell, self.report, lambda: self.wish.signal is not None, connection.ask
        )
        vigil = Vigil(self.config.engine.hang_timeout_s, self.happened, self.wish)
        transport = RayTransport(self.setup.config, connection, patience, vigil)
        return Executor(self.setup, start, self.setup.config.engine.devices_per_actor, transport, self.happened)


def prepare(config: Config, store: Store, watchers: list[Watcher], resume: bool, loaded: ImageSet | None = None) -> Run:
    """Load, deal and check everything before a process is started. `loaded`: the data, if it has been loaded before."""
    check_weights(config)
    check_metrics(config)
    check_trackers(config)
    placed = absolute(config)  # other processes have other working folders
    used = as_run(placed)
    if problem_of_cache := cache_problem():
        for watcher in watchers:
            watcher.on_event(problem_of_cache)
    if loaded is None or used.data != placed.data:  # centralized training takes holders that are too small for a device
        for watcher in watchers:
            watcher.on_phase(f"loading {config.data.name}")
        loaded = load_again(used) if resume else load_data(used.data, config.seed)
    images = loaded
    shards, weighed = dealt(images, used), bool(used.gan.class_weights)
    used = with_classes(used, images, shards)
    check_networks(used, images.shape, int(shards.sizes.min()))
    if used.eval.classifier is not None:
        from raygan.evaluation.evaluator import check_classifier  # with metrics that a driver does not need otherwise

        check_classifier(used, images)
    problem, clock = try_out(used, images, shards, weighed)
    if reason := told_of_stacking(used, images.shape):
        for watcher in watchers:
            watcher.on_event(reason)
    accountant = accountant_of(used, method_of(used), shards.sizes)
    if accountant is not None and (reason := over_budget(used, accountant)):
        raise InputError(reason, code="conflict")
    for note in images.notes:
        for watcher in watchers:
            watcher.on_event(note)
    folder = RunFolder(store.local)
    if resume:
        folder.check_same_data(images.digest)
    setup = Setup(used, lasting(config), folder.root, images, shards, problem)
    return Run(config, store, folder, setup, clock, accountant, watchers)


def run_to_end(run: Run, executor: Executor, after: int) -> int:
    """Play to the end what goes on after a round; when a process is lost, start all anew from the newest checkpoint.

    Returns the last round.
    """
    lost: Counter[int] = Counter()
    with ExitStack() as stack:
        while True:
            stack.callback(executor.close)
            with Saving(run.store, run.happened, run.saved) as saving:
                _write_beginning(run, executor, after)
                run.tell("training" if after else "measuring round 0, and training")
                clock = run.clock.fresh()
                rounds = Rounds(run.config, run.folder, executor, saving, clock, run.watchers, after, run.accountant)
                try:
                    last = rounds.run(run.wish)
                except ProcessLostError as error:
                    lost[rounds.completed] += 1
                    if lost[rounds.completed] == PATIENCE:
                        third = f"{error}; it is the third time after round {rounds.completed}"
                        raise RunError(third, code=error.code) from error
                    run.happened(f"{error}; starting again")
                else:
                    if run.wish.signal is not None and last < run.config.rounds:
                        run.note(f"stopped after round {last} by {run.wish.signal.name}")
                    return last
            executor, after = _start_again(run, executor)
            stack.pop_all()  # the executor from now on, which may be the same one, is closed in the next turn


def _write_beginning(run: Run, executor: Executor, after: int) -> None:
    """Write what a run folder says from the first round on; remove what the end of an earlier try wrote."""
    folder = run.folder
    for of_an_end in (folder.generator, folder.evaluation, folder.nearest, folder.error):
        of_an_end.unlink(missing_ok=True)
    folder.write_config(run.config)
    facts, before = executor.facts(), folder.processes() if after else []
    folder.write_environment({"data_digest": run.setup.images.digest, **facts})
    folder.write_data(about(run.config.data, run.setup.images, run.setup.shards))
    for unlike in (unlike_each_other(facts["processes"]), unlike_before(facts["processes"], before)):
        if unlike is not None:
            run.happened(unlike)
    if after:
        run.note(f"going on after round {after}")


def _start_again(run: Run, executor: Executor) -> tuple[Executor, int]:
    """Go back to the newest checkpoint with the processes that are left, or with new ones; returns who plays on.

    If a process is lost meanwhile, all are started anew, as often as for other losses: Ray places processes on a
    machine that is gone until it has noticed, and then they are lost, too.
    """
    stands = True
    for _ in range(PATIENCE - 1):
        try:
            if stands and executor.end_recorder():
                wait_for_recorder(run.folder.root)
                start = run.newest_checkpoint()
                if start is not None and executor.go_back(start):
                    run.say_where_it_goes_on(start)
                    return executor, start.round
            executor.close()
            start = run.newest_checkpoint()
            run.say_where_it_goes_on(start)
            return run.open(start), start.round if start is not None else 0
        except ProcessLostError as error:
            executor.close()
            stands = False
            run.happened(f"{error}; starting again")
        except InputError as error:  # such as a cluster that has become too small
            raise RunError(
                f"a process was lost, and the run could not be started again: {error}", code=error.code
            ) from error
    raise RunError(
        f"a process was lost, and so were those that were started again, {PATIENCE - 1} times", code="failed"
    )

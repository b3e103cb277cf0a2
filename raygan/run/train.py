"""A whole run, from the run folder to what is left in it.

What imports torch is imported where it is needed: that takes as long as Ray takes to start, and goes on beside it.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from raygan.cluster.connection import connect
from raygan.cluster.joining import refuse_ray_client
from raygan.config.tree import Config
from raygan.errors import InputError, RunError, StorageError
from raygan.files import write_whole
from raygan.record.folder import RunFolder
from raygan.record.settings import check_same_run, lasting
from raygan.record.storage import store_at
from raygan.record.store import Store
from raygan.run.result import Result
from raygan.signals import StopWish, ending_at_once, noting

if TYPE_CHECKING:
    from raygan.data.images import ImageSet
    from raygan.executors.executor import Executor
    from raygan.run.ledger import Watcher
    from raygan.run.session import Run


def train(
    config: Config,
    out: str | Path,
    *,
    resume: bool = False,
    watchers: "Iterable[Watcher]" = (),
    experiment: str = "raygan",
) -> Result:
    """Train as `config` says, into the run folder `out`: a path, or a URI such as s3://bucket/runs/x.

    Ctrl-C or SIGTERM ends the run after the round, its state saved; `resume` goes on from the newest whole
    checkpoint in `out`. `experiment` is the name of the group of runs at the trackers in `config.track`.

    Raises:
        InputError: config, data or folder are wrong; nothing has been changed.
        RunError: the run failed; what was done is kept.
    """
    if config.engine.executor == "ray":
        refuse_ray_client(config.engine.address)
    wish = StopWish()
    store = store_at(out)
    with _releasing(store):
        with store.named(), ending_at_once():
            run, executor, after = begin(config, store, list(watchers), resume, wish)
        with _kept(store), noting(wish):
            from raygan.run.session import run_to_end
            from raygan.tracking.tracking import tracked

            with tracked(run.config, run.folder, experiment, run.report, wish) as trackers:
                run = replace(run, watchers=[*run.watchers, *trackers])
                last = run_to_end(run, executor, after)
            store.push()
    return Result(store.local, last, wish.signal, store.uri, last >= config.rounds)


def begin(
    config: Config, store: Store, watchers: "list[Watcher]", resume: bool, wish: StopWish
) -> "tuple[Run, Executor, int]":
    """Everything up to the first round, and which one it comes after; the states restored are not kept here.

    A new run that does not get there leaves nothing.
    """
    if not config.devices:
        _tell(watchers, f"loading {config.data.name}")
    config, images = with_devices(config)
    folder = RunFolder(store.local)
    if resume:
        store.hold(_to_all(watchers))
        store.pull(_to_all(watchers))
        check_same_run(lasting(folder.read_config()), config, played=0)  # the checkpoint says how far it was played
    else:
        store.clear()
        folder.create(config)
    connection = None
    try:
        store.hold()
        store.claim()
        _tell(watchers, "importing torch")
        with ThreadPoolExecutor(1) as beside:
            preparing = beside.submit(_prepare, config, store, watchers, resume, images)
            connection = connect(config) if config.engine.executor == "ray" else None
        run = replace(preparing.result(), wish=wish)
        start = run.newest_checkpoint() if resume else None
        if start is not None and start.round >= config.rounds and folder.generator.exists():
            raise InputError(
                f"--resume: {folder.root} has played {start.round} of {config.rounds} rounds; set a larger rounds=N to "
                "go further",
                code="finished",
            )
        if resume:
            run.say_where_it_goes_on(start)
        return run, run.open(start, connection), start.round if start is not None else 0
    except BaseException:
        if connection is not None:
            connection.close()
        if not resume:
            folder.discard()
            with suppress(StorageError):
                store.push()
        raise


def with_devices(config: Config) -> "tuple[Config, ImageSet | None]":
    """Returns the config with as many devices as its data has holders, if the number is left open (`devices=0`).

    The data comes with it, if it had to be loaded for that.

    Raises:
        InputError: the data cannot be loaded, or a key does not fit that number of devices.
    """
    if config.devices:
        return config, None
    from raygan.config.paths import absolute
    from raygan.data import load_data
    from raygan.data.natural import settled

    images = load_data(absolute(config).data, config.seed)
    return settled(config, images), images


def _tell(watchers: "list[Watcher]", text: str) -> None:
    for watcher in watchers:
        watcher.on_phase(text)


def _to_all(watchers: "list[Watcher]") -> Callable[[str], None]:
    def say(text: str) -> None:
        for watcher in watchers:
            watcher.on_event(text)

    return say


def _prepare(config: Config, store: Store, watchers: "list[Watcher]", resume: bool, images: "ImageSet | None") -> "Run":
    from raygan.run.session import prepare

    return prepare(config, store, watchers, resume, images)


@contextmanager
def _releasing(store: Store) -> Iterator[None]:
    """Let others write in the end."""
    try:
        yield
    finally:
        store.release()


@contextmanager
def _kept(store: Store) -> Iterator[None]:
    """Say of a failure what is kept and how to go on; the traceback goes to error.txt."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        from raygan.record.checkpoint import newest

        folder = RunFolder(store.local)
        saved = newest(folder.checkpoints, folder.log.last_round())
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
            kept = f"all is kept in {folder.root}; --resume goes on from it here, elsewhere from what had been sent"
            where = f"the traceback is in {folder.error}"
        raise RunError(f"{what} ({kept}; {where})", code=getattr(error, "code", None)) from error

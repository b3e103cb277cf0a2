"""A run on a cluster that this process is a client of (Ray Client, `engine.address=ray://host:10001`).

The run's driver is an actor on the node of the client's server: weights and data never cross the client's connection,
and the recorder writes beside the driver. The client hears of what goes on, and says when it is to stop.
"""

import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from operator import methodcaller
from pathlib import Path
from queue import Empty, SimpleQueue
from signal import Signals
from typing import TYPE_CHECKING, Any, NamedTuple

import ray

from raygan.cluster.client import check_versions, connected, is_afar, is_client, there
from raygan.config.tree import Config
from raygan.errors import InputError, ProcessLostError, RunError
from raygan.executors.results import Fetcher
from raygan.record.folder import RunFolder
from raygan.record.log import Row
from raygan.record.storage import is_uri, opened, store_at
from raygan.run.result import Result
from raygan.signals import StopWish, stop_wish

if TYPE_CHECKING:
    from raygan.run.ledger import Watcher

Told = Callable[["Watcher"], None]
"""Something to tell a watcher."""

_WAIT = 1.0  # seconds that a question for news may take, and so until a Ctrl-C is passed on


class News(NamedTuple):
    """What a driver has to say when it is asked."""

    told: list[Told]
    begun: bool
    """Whether the first round has begun, so that the run leaves something whatever becomes of it."""
    over: bool


def plays_there(config: Config) -> bool:
    """Whether a run's driver is to be on a cluster that this process is, or will be, a client of."""
    return config.engine.executor == "ray" and is_afar(config.engine.address)


def train_there(config: Config, out: str | Path, resume: bool, watchers: "list[Watcher]") -> Result:
    """As `raygan.train`, with the driver on the cluster; `out` must be a URI that it and this process reach.

    Raises:
        InputError, RunError: as they were raised there; or the cluster cannot be reached, or is lost.
    """
    if not is_uri(out):
        raise InputError(
            f"--out: {out} is on this machine, but with engine.address=ray:// the run is written on the cluster; name "
            "a URI that both reach, such as s3://bucket/runs/x"
        )
    store = store_at(out)
    for watcher in watchers:
        watcher.on_phase("connecting to the cluster")
    with connected(config.engine.address), stop_wish() as wish:
        check_versions()
        played, stopped_by = _conduct(config, str(out), resume, watchers, wish)
    store.pull()
    return Result(store.local, played, stopped_by, store.uri, played >= config.rounds)


def _conduct(
    config: Config, out: str, resume: bool, watchers: "list[Watcher]", wish: StopWish
) -> tuple[int, Signals | None]:
    """Start the driver, pass on what it tells until it is done, and return what it came to."""
    driver: Any = there(ray.remote(Driver), max_concurrency=2).remote(sys.argv)
    fetch = Fetcher()
    try:
        fetch.roles[driver._actor_id.hex()] = "the driver on the cluster"
        done = driver.train.remote(config, out, resume)
        news = News([], begun=False, over=False)
        while not news.over:
            before = news
            (news,) = fetch([driver.news.remote(wish.signal)])
            if news.begun and not before.begun:
                check_that_it_is_seen(out)
            for told in news.told:
                for watcher in watchers:
                    told(watcher)
        came_to: tuple[int, Signals | None] | None = fetch([done])[0]
    except ProcessLostError as error:
        raise RunError(f"{error} (go on from the last checkpoint with --resume)") from error
    except ConnectionError as error:
        raise RunError(
            "the connection to the cluster was lost, and the run goes with it (go on from the last checkpoint with "
            "--resume)"
        ) from error
    finally:
        if is_client():  # Ray would start another Ray here to kill it
            ray.kill(driver)
    if came_to is None:
        raise KeyboardInterrupt
    return came_to


class Driver:
    """The run's driver, as an actor; `train` in one thread of it, questions of the client in another."""

    def __init__(self, command: list[str]) -> None:
        sys.argv[:] = command  # which environment.json records
        self._wish = StopWish()
        self._reporter = _Reporter()
        self._over = False

    def train(self, config: Config, out: str, resume: bool) -> tuple[int, Signals | None] | None:
        """The ordinary run, in the Ray that this process is part of; returns the last round, and who ended it early.

        None: it was to end while it waited for room.
        """
        from raygan.run.train import train_here

        try:
            result = train_here(config, out, resume, [self._reporter], self._wish, nullcontext)
            return result.round, result.stopped_by
        except KeyboardInterrupt:
            return None
        finally:
            self._over = True

    def news(self, stop: Signals | None) -> News:
        """What there is to tell since the last time, waited for, but not for long; a signal is a wish to stop."""
        self._wish.signal = self._wish.signal or stop
        over = self._over  # before the queue is emptied: nothing comes behind it
        told: list[Told] = []
        with suppress(Empty):
            told.append(self._reporter.told.get(timeout=0 if over else _WAIT))
            while True:
                told.append(self._reporter.told.get_nowait())
        return News(told, self._reporter.begun, over)


class _Reporter:
    """A watcher that notes what watchers elsewhere are to be told."""

    def __init__(self) -> None:
        self.told: SimpleQueue[Told] = SimpleQueue()
        self.begun = False

    def on_phase(self, text: str) -> None:
        self.told.put(methodcaller("on_phase", text))

    def on_event(self, text: str) -> None:
        self.told.put(methodcaller("on_event", text))

    def on_round(self, row: Row) -> None:
        self.begun = True
        self.told.put(methodcaller("on_round", dict(row)))  # its measurements are added to it later

    def on_evaluation(self, round: int, metrics: Row) -> None:
        self.told.put(methodcaller("on_evaluation", round, metrics))

    def on_checkpoint(self, round: int) -> None:
        self.told.put(methodcaller("on_checkpoint", round))


def check_that_it_is_seen(out: str) -> None:
    """Refuse a URI that is one place there and another here, such as file:/// on no shared disk.

    Raises:
        InputError: what a run there begins with is not seen here.
    """
    with opened(out, "config.yaml") as folder:
        if not RunFolder(folder).config.is_file():
            raise InputError(
                f"--out: what the run writes to {out} on the cluster is not seen from here; name a URI that both "
                "reach, such as s3://bucket/runs/x"
            )

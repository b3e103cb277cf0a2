"""The tracking of a run: a watcher that hands on what it hears to trackers, in a thread beside the rounds."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pkgutil import resolve_name
from queue import Queue
from threading import Thread

from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.record.folder import RunFolder
from raygan.record.log import Row
from raygan.signals import StopWish
from raygan.tracking.sink import Sink, Status

_TIMES = ("wall_s",)
"""Keys of a row that say nothing of the run itself."""
_FILES = ("config.yaml", "environment.json", "evaluation.json", "generator.safetensors")

SinkCall = Callable[[Sink], None]
_SINKS = {"mlflow": "raygan.tracking.mlflow:MlflowSink", "wandb": "raygan.tracking.wandb:WandbSink"}


def check_trackers(config: Config) -> None:
    """Raise InputError if a tracker that a config names is not installed."""
    for name in config.track:
        if name in _SINKS and find_spec(name) is None:
            raise InputError(
                f'track: {name} needs the extra of that name: pip install "raygan[{name}]"', code="package"
            )


def _begun(config: Config, folder: RunFolder, experiment: str, say: Callable[[str], None]) -> list[tuple[str, Sink]]:
    """Returns the trackers that a config names, each with its run begun; says of those that cannot begin one."""
    found: list[tuple[str, Sink]] = []
    for name in config.track:
        if name not in _SINKS:
            continue
        try:
            found.append((name, resolve_name(_SINKS[name])(folder, experiment)))
        except Exception as error:  # whatever a tracker raises, such as that its server is not there
            say(f"track: {name} cannot begin, and the run goes on without it: {_reason(error)}")
    return found


class Tracking:
    """A watcher. A tracker that fails is told of once, and the run goes on without it."""

    def __init__(self, folder: RunFolder, sinks: Sequence[tuple[str, Sink]], say: Callable[[str], None]) -> None:
        self._folder = folder
        self._sinks = dict(sinks)
        self._say = say
        self._failed: list[str] = []
        self._waiting: Queue[SinkCall | None] = Queue()
        self._thread = Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def on_phase(self, text: str) -> None:
        """Nothing to track."""

    def on_event(self, text: str) -> None:
        """Nothing to track."""

    def on_checkpoint(self, round: int) -> None:
        """Nothing to track."""

    def on_round(self, row: Row) -> None:
        """Hand on its scalars."""
        round = int(str(row["round"]))
        values = {name: value for name, value in _scalars(row).items() if name not in ("round", *_TIMES)}
        self._hand_on(lambda sink: sink.metrics(values, round))

    def on_evaluation(self, round: int, metrics: Row) -> None:
        """Hand on its measurements and the sample grid."""
        values, picture = _scalars(metrics), self._folder.picture(round)
        self._hand_on(lambda sink: sink.metrics(values, round))
        if picture.is_file():
            self._hand_on(lambda sink: sink.picture(picture, round))

    def close(self, status: Status) -> None:
        """Hand on the files of the run folder, and wait until all trackers have everything."""
        for path in (self._folder.root / name for name in _FILES):
            if path.is_file():
                self._hand_on(lambda sink, path=path: sink.file(path))  # type: ignore[misc]
        self._hand_on(lambda sink: sink.close(status))
        self._waiting.put(None)
        self._thread.join()
        self._tell()

    def _hand_on(self, call: SinkCall) -> None:
        self._waiting.put(call)
        self._tell()

    def _tell(self) -> None:
        while self._failed:
            self._say(self._failed.pop(0))

    def _work(self) -> None:
        while (call := self._waiting.get()) is not None:
            for name in list(self._sinks):
                try:
                    call(self._sinks[name])
                except Exception as error:  # whatever a tracker raises: the run is worth more than its record there
                    del self._sinks[name]
                    self._failed.append(f"track: {name} failed, and the run goes on without it: {_reason(error)}")


@contextmanager
def tracked(
    config: Config, folder: RunFolder, experiment: str, say: Callable[[str], None], wish: StopWish
) -> Iterator[list[Tracking]]:
    """Yields the watcher of a run's trackers, none if the config names none; closes it with how the run ended."""
    sinks = _begun(config, folder, experiment, say)
    if not sinks:
        yield []
        return
    tracking = Tracking(folder, sinks, say)
    status: Status = "failed"
    try:
        yield [tracking]
        status = "stopped" if wish.signal is not None else "finished"
    except KeyboardInterrupt:
        status = "stopped"
        raise
    finally:
        tracking.close(status)


def _reason(error: Exception) -> str:
    lines = str(error).strip().partition("\n")
    return f"{type(error).__name__}: {lines[0]}"


def _scalars(row: Row) -> dict[str, float]:
    """Returns the numbers of a row by name."""
    return {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }

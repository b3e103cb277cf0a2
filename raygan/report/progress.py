"""The live progress of a run in a terminal or a notebook, or plain lines elsewhere."""

from importlib.util import find_spec
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from raygan.record.log import Row


class ProgressDisplay:
    """Shows round, losses, the newest measurement, rounds per second, time left and simulated traffic."""

    def __init__(self, rounds: int, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
        self._progress = Progress(*_columns(console.width >= _WIDE), console=console, disable=not self._live)
        self._task = self._progress.add_task("starting", total=rounds, speed="", losses="", quality="", traffic="")
        self._bytes = 0
        self._began = False

    def __enter__(self) -> Self:
        """Start the display."""
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Leave the last state on the screen."""
        self._progress.stop()

    def on_phase(self, text: str) -> None:
        """Show the current phase before and after the rounds."""
        self._progress.update(self._task, description=text)
        if not self._live:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def on_event(self, text: str) -> None:
        """Print an event above the progress."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def on_round(self, row: Row) -> None:
        """Advance the progress to a round."""
        round = int(str(row["round"]))
        if round == 0:
            return
        if not self._began:
            self._began = True
            self._progress.reset(self._task, completed=round - 1)  # a resumed run starts at its checkpoint
        self._bytes += sum(int(str(row[name])) for name in ("bytes_down", "bytes_up", "bytes_swap"))
        speed = self._progress.tasks[self._task].speed
        losses = [f"{party} {row[name]:.3f}" for party, name in (("D", "d_loss"), ("G", "g_loss")) if name in row]
        self._progress.update(
            self._task,
            completed=round,
            losses=" ".join(losses),
            speed=f"{speed:.1f}/s" if speed else "",
            traffic=f"simulated {bytes_in_words(self._bytes)} {duration(float(str(row['sim_s'])))}",
        )

    def on_evaluation(self, round: int, metrics: Row) -> None:
        """Show the newest measurement."""
        quality = in_brief(metrics)
        self._progress.update(self._task, quality=quality)
        if not self._live:
            self._console.print(f"round {round}: {quality}", highlight=False, markup=False)

    def on_checkpoint(self, round: int) -> None:
        """Do nothing."""


def _columns(wide: bool) -> list[ProgressColumn]:
    """Returns the columns that fit: rounds, time left and quality first."""
    rounds = [TextColumn("{task.description}", markup=False), BarColumn(24 if wide else 12), MofNCompleteColumn()]
    times = [TextColumn("{task.fields[speed]}"), TimeElapsedColumn()] if wide else []
    left = [TextColumn("left"), TimeRemainingColumn()]
    losses = [TextColumn("{task.fields[losses]}")] if wide else []
    traffic = [TextColumn("{task.fields[traffic]}")] if wide else []
    return [*rounds, *times, *left, *losses, TextColumn("[bold]{task.fields[quality]}"), *traffic]


_WIDE = 120  # columns


def in_brief(metrics: Row) -> str:
    """Returns a measurement in a few words."""
    words = []
    if "fd_clf" in metrics:
        words.append(f"FD-clf {metrics['fd_clf']:.1f}")
    if "fid" in metrics:
        words.append(f"FID {metrics['fid']:.1f}")
    if "class_shares" in metrics and isinstance(shares := metrics["class_shares"], list):
        words.append(f"{metrics['classes_found']}/{len(shares)} classes")
    if "modes_found" in metrics:
        words.append(f"{metrics['modes_found']} modes, {metrics['high_quality']:.0%} of points on them")
    return ", ".join(words) or _describe_other(metrics)


def _describe_other(metrics: Row) -> str:
    from raygan.report.quality import first_measured, in_words  # imports pandas, which few runs need here

    name = first_measured(metrics)
    return "nothing is measured" if name is None else in_words(metrics, name)


def bytes_in_words(count: float) -> str:
    """Returns a number of bytes in a short form."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Returns a duration in a short form."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    for unit, length in (("s", 120), ("min", 120), ("h", 72)):
        if seconds < length:
            return f"{seconds:.1f} {unit}"
        seconds /= 24 if unit == "h" else 60
    return f"{seconds:.1f} d"

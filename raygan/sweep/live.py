"""The live table of a sweep in a terminal, or plain lines elsewhere."""

from math import inf, isfinite, isnan, nan
from types import TracebackType
from typing import Any, ClassVar, Self

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.console import Console
from rich.live import Live
from rich.table import Table

from raygan.sweep.answer import varied_keys
from raygan.sweep.spec import Sweep
from raygan.sweep.trial import LAST

_LINES = 20
_TURN = {"RUNNING": 0, "PAUSED": 1, "PENDING": 2, "TERMINATED": 3, "ERROR": 4}


class SweepDisplay:
    """Shows the state of every trial, the best of them, and the number still to come."""

    def __init__(self, sweep: Sweep, total: int, console: Console) -> None:
        self._sweep = sweep
        self._total = total
        self._console = console
        self._trials: list[Trial] = []
        self._live = (
            Live(console=console, auto_refresh=False, get_renderable=self._table) if console.is_terminal else None
        )

    def __enter__(self) -> Self:
        """Start the display."""
        Relay.display = self
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Leave the last state on the screen."""
        Relay.display = None
        if self._live is not None:
            self._live.stop()

    def on_change(self, trials: list[Trial], trial: Trial, what: str) -> None:
        """Update the display after an event of a trial."""
        self._trials = trials
        if self._live is not None:
            self._live.refresh()
        else:
            self._console.print(f"{trial}: {what}", highlight=False, markup=False, soft_wrap=True)

    def describe(self, result: dict[str, Any]) -> str:
        """Returns a report in a few words."""
        words = [f"round {result['round']}", f"{self._sweep.metric} {_short(result[self._sweep.metric])}"]
        if self._sweep.quality != self._sweep.metric:
            words.append(f"{self._sweep.quality} {result[self._sweep.quality]:.4g}")
        return ", ".join(words)

    def settings(self, trial: Trial) -> str:
        """Returns a trial's settings in a few words."""
        keys = [*varied_keys(self._sweep), *(["seed"] if self._sweep.seeds else [])]
        return ", ".join(f"{key}={_short(trial.config[key])}" for key in keys if key in trial.config)

    def _table(self) -> Table:
        over = sum(trial.is_finished() for trial in self._trials)
        table = Table(title=f"{over} of {self._total} trials are over", title_justify="left", box=None, expand=False)
        for name in ("trial", "state", "settings", "round", self._sweep.metric, "simulated s", "MB"):
            table.add_column(name, justify="left" if name in ("trial", "state", "settings") else "right")
        shown = sorted(self._trials, key=self._order)
        for trial in shown[:_LINES]:
            table.add_row(*self._row(trial))
        if len(shown) > _LINES:
            table.caption = f"and {len(shown) - _LINES} more"
        return table

    def _order(self, trial: Trial) -> tuple[int, float]:
        value = float((trial.last_result or {}).get(self._sweep.metric, nan))
        if isnan(value):  # no value yet: after all trials that have one
            return _TURN[trial.status], inf
        return _TURN[trial.status], value if self._sweep.mode == "min" else -value

    def _row(self, trial: Trial) -> list[str]:
        result = trial.last_result or {}
        numbers = [result.get(name) for name in ("round", self._sweep.metric, "sim_s", "megabytes")]
        return [str(trial), _state(trial), self.settings(trial), *(_short(value) for value in numbers)]


def _state(trial: Trial) -> str:
    if trial.status == Trial.TERMINATED:
        return "finished" if (trial.last_result or {}).get(LAST) else "stopped"
    return {"ERROR": "failed"}.get(trial.status, trial.status.lower())


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if isfinite(value) else "not reached"
    return "" if value is None else str(value)


class Relay(Callback):
    """Forwards events to the current display: Tune saves callbacks in a file, and loads them from there to resume."""

    display: ClassVar[SweepDisplay | None] = None

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Tune's hook."""
        if self.display is not None:
            reported = (trial.last_result or {}).get("round")
            what = f"goes on after round {reported}" if reported else "started"
            self.display.on_change(trials, trial, f"{what} with {self.display.settings(trial)}")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Tune's hook."""
        if self.display is not None:
            self.display.on_change(trials, trial, self.display.describe(result))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Tune's hook."""
        if self.display is not None:
            result = trial.last_result or {}
            over = "finished" if result.get(LAST) else f"stopped after round {result.get('round', 0)}"
            self.display.on_change(trials, trial, over)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Tune's hook."""
        if self.display is not None:
            self.display.on_change(trials, trial, "failed")

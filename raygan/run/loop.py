"""The round loop: starts work a few rounds ahead of what is finished, and never waits for weights."""

from dataclasses import asdict

from raygan.channel.clock import Clock, SimulatedRound
from raygan.config.tree import Config
from raygan.executors.interface import Executor
from raygan.record.checkpoint import remove_later
from raygan.record.folder import RunFolder
from raygan.record.log import Row
from raygan.run.ledger import Ledger, Watcher
from raygan.run.saving import Saving
from raygan.signals import StopWish


class Rounds:
    """One try at the rounds of a run: on one executor, behind the round `start` that it was restored to."""

    def __init__(
        self,
        config: Config,
        folder: RunFolder,
        executor: Executor,
        saving: Saving,
        clock: Clock,
        watchers: list[Watcher],
        start: int,
    ) -> None:
        self._config = config
        self._folder = folder
        self._executor = executor
        self._saving = saving
        self._clock = clock
        self._watchers = watchers
        self._start = start
        self._sim_s = 0.0
        remove_later(folder.checkpoints, start)
        folder.trim(start if start else -1)
        self._ledger = Ledger(folder, watchers, start)
        for round in folder.pending_rounds():  # of an earlier try that had no time left for them
            self._ledger.add_late(round, executor.evaluate_kept(round))
        for round in range(1, start + 1):
            self._simulate(round)

    @property
    def completed(self) -> int:
        """The last round that is known to be over."""
        return self._ledger.completed

    def play(self, wish: StopWish) -> int:
        """Play until the last round or until a stop is wished for; returns the last round played.

        Its state is saved, and generator.safetensors is written.
        """
        try:
            played = self._play_rounds(wish)
            self._ledger.finish()
        except Exception:  # who presses Ctrl-C twice does not want to wait for evaluations
            self._ledger.rescue()
            raise
        self._saving.finish()
        self._executor.export().result()
        return played

    def _play_rounds(self, wish: StopWish) -> int:
        """Returns the last round played; a checkpoint of it is under way."""
        config, executor, ledger = self._config, self._executor, self._ledger
        played = self._start
        if played == 0:
            ledger.add(0, None, executor.evaluate(), {"sim_s": 0.0})
        while played < config.rounds and wish.signal is None:
            played += 1
            simulated, row = self._simulate(played)
            playing = executor.play(played, simulated.devices, simulated.partners)
            ledger.add(played, playing, executor.evaluate() if config.is_measured(played) else None, row)
            self._saving.move_on()
            if played % config.checkpoint.every == 0:
                self._saving.begin(played, executor.save)
        if wish.signal is not None and played < config.rounds:
            for watcher in self._watchers:
                watcher.on_event(f"stopping after round {played}: the state is being saved (once more gives it up)")
        if played > self._start and played % config.checkpoint.every != 0:
            self._saving.begin(played, executor.save)
        return played

    def _simulate(self, round: int) -> tuple[SimulatedRound, Row]:
        """A round as the clock has it, and what of it is recorded."""
        simulated = self._clock.round(round)
        self._sim_s += simulated.phases.seconds
        return simulated, {
            "sim_s": self._sim_s,
            "phases_s": asdict(simulated.phases),
            "devices": len(simulated.devices),
            "unreached": simulated.unreached,
            "late": simulated.late,
            "bytes_down": simulated.bytes_down,
            "bytes_up": simulated.bytes_up,
            "bytes_swap": simulated.bytes_swap,
        }

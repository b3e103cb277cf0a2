"""The round loop: starts each stage of a round in order, a few rounds ahead of what is finished.

No stage is waited for here, and no weights pass through: stages hand on references. `Ledger` waits for the scalars.
"""

from raygan.channel.clock import Clock
from raygan.channel.simulated import SimulatedRound
from raygan.config.tree import Config
from raygan.executors.executor import Executor
from raygan.executors.transport import Pending
from raygan.privacy.accountant import Accountant
from raygan.record.checkpoint import remove_later
from raygan.record.folder import RunFolder
from raygan.record.log import Row
from raygan.round.reports import Outcome
from raygan.run.ledger import Ledger, Watcher
from raygan.run.saving import Saving
from raygan.signals import StopWish


def start_round(executor: Executor, number: int, plan: SimulatedRound) -> Pending[Outcome]:
    """Start the stages of one round; returns its outcome, to be waited for."""
    down = executor.broadcast()  # the server's vector, to the devices
    who = plan.at_once, down, plan.overdue
    prompt = executor.update_devices(number, *who, cohort=plan.cohort)  # each device on its own shard
    executor.update_ahead(number, plan.ahead, down)  # likewise, for later rounds, where the schedule is asynchronous
    updates = executor.with_arrived(prompt, plan.staleness)
    report = executor.update_server(number, updates, plan.staleness, plan.cohort)  # aggregates, updates the generator
    executor.exchange(plan.partners)  # device to device, where the method has it
    return executor.outcome(updates, report)


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
        accountant: Accountant | None = None,
    ) -> None:
        self._config = config
        self._accountant = accountant
        self._executor = executor
        self._saving = saving
        self._clock = clock
        self._watchers = watchers
        self._start = start
        self._sim_s = 0.0
        remove_later(folder.checkpoints, start)
        folder.trim(start if start else -1)
        self._ledger = Ledger(folder, watchers, start)
        for kept in folder.pending_rounds():  # an earlier try had no time left for their evaluation
            self._ledger.add_evaluation(kept, executor.evaluate_kept(kept))
        for played in range(1, start + 1):
            self._plan(played)

    @property
    def completed(self) -> int:
        """The last round that is known to be over."""
        return self._ledger.completed

    def run(self, wish: StopWish) -> int:
        """Run until the last round or until a stop is wished for; returns the last round.

        Its state is saved, and generator.safetensors is written.
        """
        try:
            last = self._run_rounds(wish)
            self._ledger.finish()
        except Exception:  # who presses Ctrl-C twice does not want to wait for evaluations
            self._ledger.rescue()
            raise
        self._saving.finish()
        self._executor.export().result()
        return last

    def _run_rounds(self, wish: StopWish) -> int:
        """Returns the last round; a checkpoint of it is under way."""
        config, last = self._config, self._start
        if last == 0:
            self._ledger.add_round(0, None, {"sim_s": 0.0} | self._spent(0))
            self._ledger.add_evaluation(0, self._executor.evaluate())
        while last < config.rounds and wish.signal is None:
            last += 1
            self._run_round(last)
        if wish.signal is not None and last < config.rounds:
            for watcher in self._watchers:
                watcher.on_event(f"stopping after round {last}: the state is being saved (again: stop without it)")
        if last > self._start and last % config.checkpoint.every != 0:
            self._saving.begin(last, self._executor.save)
        return last

    def _run_round(self, number: int) -> None:
        """Start one round, and what is due behind it."""
        config, executor, ledger, saving = self._config, self._executor, self._ledger, self._saving
        plan, row = self._plan(number)  # who takes part, and the simulated seconds and bytes
        ledger.add_round(number, start_round(executor, number, plan), row | self._spent(number))  # rounds.jsonl
        if config.is_measured(number):
            ledger.add_evaluation(number, executor.evaluate())  # evaluations.jsonl, and a picture
        saving.move_on()
        if number % config.checkpoint.every == 0:
            saving.begin(number, executor.save)  # checkpoints/

    def _plan(self, number: int) -> tuple[SimulatedRound, Row]:
        """Returns a round as the clock has it, and what of it is recorded."""
        plan = self._clock.round(number)
        self._sim_s += plan.phases.seconds
        return plan, {
            "sim_s": self._sim_s,
            "phases_s": plan.phases.by_name(),
            "devices": len(plan.devices),
            "unreached": plan.unreached,
            "late": plan.late,
            "bytes_down": plan.bytes_down,
            "bytes_up": plan.bytes_up,
            "bytes_swap": plan.bytes_swap,
            **(plan.ages if self._config.schedule == "asynchronous" else {}),
        }

    def _spent(self, rounds: int) -> Row:
        """Returns the epsilon of a private run after so many rounds (null: no bound)."""
        return {} if self._accountant is None else {"epsilon": self._accountant.after(rounds).epsilon}

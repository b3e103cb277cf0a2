"""The server of a round."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from raygan.config.tree import Config
from raygan.errors import BadUpdateError, RunError
from raygan.methods.base import Mean, Metrics, ServerSide, State
from raygan.methods.exact_sum import OverweightError
from raygan.privacy.mechanism import mechanism_of
from raygan.round.checks import check_scalars, located, method_of
from raygan.round.compute import threads
from raygan.round.likeness import server_steps
from raygan.round.messages import NONE_STALE, MaskedSum, Message, Refused, Slots, collected
from raygan.round.problem import Problem
from raygan.round.reports import ServerReport
from raygan.round.timing import ServerTimes, now
from raygan.round.worker import own_copy
from raygan.secure.protocol import TooFewError

_COPY = "compression.copy"
"""The name of the model as devices have it, beside the method's state in what is saved."""


class Server:
    """Holds the global GAN and does the server's part of each round."""

    def __init__(
        self, config: Config, problem: Problem, computes_on: torch.device, counts: np.ndarray | None = None
    ) -> None:
        """`counts` are the samples of each class of every device, (K, C), if devices report them."""
        self._config = config
        self._problem = problem
        self.computes_on = computes_on
        with threads(config.engine.server_threads), located("server, at the start"):
            method = method_of(config)
            self.side: ServerSide = method.server(config, problem.shape, computes_on)
            if counts is not None:
                self.side.reported(counts)
        self._mechanism = mechanism_of(config, method)
        self._downlink = problem.downlink(config)
        self._copy: np.ndarray | None = None
        """The model that devices have, before what is sent next; None: none yet, or they are sent it whole."""
        self._next_copy: np.ndarray | None = None
        self._sent = 0.0

    def down(self, round: int) -> np.ndarray:
        """Returns what devices have received when they begin `round`. Asked again, it is the same."""
        with threads(self._config.engine.server_threads):
            down = self.side.down(round)
            if self._downlink is not None:
                with located(f"round {round}, server"):
                    down, self._next_copy = self._downlink.sent(down, self._copy, round)
        self._sent = now()
        return down

    def update(
        self,
        round: int,
        messages: Iterable[Message],
        staleness: Mapping[int, int] = NONE_STALE,
        cohort: Sequence[int] = (),
    ) -> tuple[np.ndarray, ServerReport]:
        """Do one round: the work that waits for nobody, the messages as they arrive, the work on their average.

        `staleness`: the rounds since devices started, of those that did so in an earlier one. `cohort`: the devices
        that have shared keys, with secure aggregation; if too few of them answer, nobody's update counts.

        Returns what devices receive for the next round, and scalars. If no update arrives, nothing is averaged
        and the work on the average is left out, but for a private run, whose noise is all that there is then.

        Raises:
            BadUpdateError: an update is not finite or does not fit.
            RunError: the generator or its loss is not finite; or the server's own code raised.
        """
        where = f"round {round}, server"
        self._copy = self._next_copy
        metrics, dropped = Metrics(), dict[int, str]()
        with threads(self._config.engine.server_threads):
            with located(where):
                metrics |= check_scalars(self.side.meanwhile(round), self._config.method)
            slots = collected(self._config, self._problem)
            received = now()
            for message in messages:
                received = now()
                for refused in slots.take_in(message, staleness):
                    dropped |= self._drop(refused, where)
                dropped |= message.lost
            with located(where):
                means = self._means(round, slots, cohort, dropped)
                averaged = now()
                if means:
                    metrics |= check_scalars(self.side.finish(round, means), self._config.method)
            finite = bool(self.side.networks.generator.vector.isfinite().all())
        if not (finite and np.isfinite(list(metrics.values())).all()):
            raise RunError(
                f"{where}: the generator has diverged (losses {metrics}); try a smaller generator_optimizer.lr",
                code="not_finite",
            )
        report = ServerReport(metrics, dropped, ServerTimes(self._sent, received, averaged, now()))
        return self.down(round + 1), report

    def _means(
        self, round: int, slots: Slots | MaskedSum, cohort: Sequence[int], dropped: dict[int, str]
    ) -> dict[int, Mean]:
        """Returns the means of the slots; notes who is `dropped` because too few are there to unmask their sum."""
        if isinstance(slots, MaskedSum):
            try:
                means = {0: slots.mean(round, cohort, self.side.reference(round))}
            except TooFewError as error:
                dropped |= dict.fromkeys(slots.devices, f"round {round}, server: {error}")
                means = {}
        elif self._problem.gathers:
            return {slot: self.side.combine(round, updates) for slot, updates in slots.gathered().items()}
        else:
            means = slots.means(lambda: self.side.reference(round))
        if self._mechanism is None:
            return means
        return self._mechanism.released(round, means, self.side.reference(round), self.side.slots)

    def generators(self) -> State:
        """Returns the generator as it is and its moving average, to be measured and saved."""
        with threads(self._config.engine.server_threads):
            return self.side.generators()

    def state(self) -> State:
        """Returns everything that later rounds depend on."""
        return self.side.state() | ({} if self._copy is None else {_COPY: self._copy})

    def restore(self, state: State) -> None:
        """Go back to a `state`, copied."""
        own = own_copy(state)
        self._copy = own.pop(_COPY, None)
        self.side.restore(own)

    def steps(self) -> dict[str, str]:
        """Returns the hash of a small fixed step of the server's networks here; see `raygan.round.likeness`."""
        return server_steps(self._config, self._problem.shape, self.computes_on)

    def _drop(self, refused: Refused, where: str) -> dict[int, str]:
        """Returns the reasons by device; raises where a bad update ends the run."""
        if isinstance(refused.error, OverweightError):
            raise RunError(f"{where}: {refused.error}", code="result") from refused.error
        devices = ", ".join(map(str, refused.devices))
        reason = f"{where}: what came up from device {devices} is no good update: {refused.error}"
        if self._config.engine.on_bad_update == "stop":
            raise BadUpdateError(reason, code="result") from refused.error
        return dict.fromkeys(refused.devices, reason)

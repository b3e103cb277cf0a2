"""The server of a round. No Ray here."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from raygan.config.tree import Config
from raygan.errors import BadUpdateError, RunError
from raygan.methods.base import Metrics, ServerSide, State
from raygan.methods.exact_sum import OverweightError
from raygan.round.checks import check_scalars, located, method_of
from raygan.round.compute import threads
from raygan.round.timing import ServerTimes, now
from raygan.round.updates import Contribution, Problem, ServerReport, Slots


class Server:
    """Holds the global GAN and plays the server's side of each round."""

    def __init__(self, config: Config, problem: Problem, device: torch.device) -> None:
        self._config = config
        self._problem = problem
        with threads(config.engine.server_threads), located("server, at the start"):
            self.side: ServerSide = method_of(config).server(config, problem.shape, device)
        self._sent = 0.0

    def down(self, round: int) -> np.ndarray:
        """What goes down in `round`."""
        with threads(self._config.engine.server_threads):
            down = self.side.down(round)
        self._sent = now()
        return down

    def round(self, round: int, contributions: Iterable[Sequence[Contribution]]) -> ServerReport:
        """One round: the work that waits for nobody, the workers' contributions as they come in, the work that waited.

        If nothing comes in, nothing is averaged and the work that waits for it is left out.

        Raises:
            BadUpdateError: a contribution is not finite or does not fit.
            RunError: the generator or its loss is not finite; or what the server's own code raised.
        """
        where = f"round {round}, server"
        metrics, dropped = Metrics(), dict[int, str]()
        with threads(self._config.engine.server_threads):
            with located(where):
                metrics |= check_scalars(self.side.meanwhile(round), self._config.method)
            slots = Slots(self._config, self._problem)
            received = now()
            for of_worker in contributions:
                received = now()
                for contribution in of_worker:
                    self._take_in(contribution, slots, dropped, where)
            with located(where):
                means = slots.means(lambda: self.side.reference(round))
                averaged = now()
                if means:
                    metrics |= check_scalars(self.side.finish(round, means), self._config.method)
            finite = bool(self.side.networks.generator.vector.isfinite().all())
        if not (finite and np.isfinite(list(metrics.values())).all()):
            raise RunError(
                f"{where}: the generator has diverged (losses {metrics}); try a smaller generator_optimizer.lr"
            )
        return ServerReport(metrics, dropped, ServerTimes(self._sent, received, averaged, now()))

    def generators(self) -> State:
        """The generator as it is and its moving average, to be measured and saved."""
        with threads(self._config.engine.server_threads):
            return self.side.generators()

    def _take_in(self, contribution: Contribution, slots: Slots, dropped: dict[int, str], where: str) -> None:
        try:
            contribution.into(slots, self._problem)
        except OverweightError as error:
            raise RunError(f"{where}: {error}") from error
        except (ValueError, FloatingPointError) as error:
            devices = ", ".join(map(str, contribution.devices))
            reason = f"{where}: what came up from device {devices} is no good update: {error}"
            if self._config.engine.on_bad_update == "stop":
                raise BadUpdateError(reason) from error
            dropped.update(dict.fromkeys(contribution.devices, reason))

"""The parties of a round as plain classes: a host of devices, the server. No Ray here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from raygan.components import METHODS, resolve
from raygan.config.tree import Config
from raygan.engine.compute import threads
from raygan.engine.contributions import Contribution, HostReport, Partial, Problem, ServerReport, Single, Slots
from raygan.engine.host_shards import HostShards
from raygan.engine.timing import HostTimes, ServerTimes, now
from raygan.errors import BadUpdateError, InputError, RunError, place_of
from raygan.methods.base import DeviceSide, Method, Metrics, ServerSide, State, Update
from raygan.methods.exact_sum import LARGEST, OverweightError


def method_of(config: Config) -> Method:
    """The config's method.

    Raises:
        InputError: an import path that does not lead to a `Method`.
    """
    method = resolve(METHODS, config.method, "method")
    if not isinstance(method, Method):
        raise InputError(f"method: {config.method} is a {type(method).__name__}, but a raygan Method is needed")
    return method


def _diverged(where: str, how: str, losses: Metrics) -> str:
    advice = "try a smaller device_optimizer.lr or another gan.loss"
    return f"{where}: the update has diverged ({how}; losses {losses}); {advice}"


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Say of an exception where in the run it came up."""
    try:
        yield
    except (InputError, RunError):
        raise
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"{where}: the memory of the GPU that this process may take is used up; raise engine.gpus_per_device (of "
            f"the server: engine.server_gpus), or lower batch_size ({str(error).partition('. ')[0]})"
        ) from error
    except Exception as error:
        raise RunError(f"{where}: {type(error).__name__}: {error} ({place_of(error)})") from error


def checked_answer(answer: object, method: str) -> tuple[Update, State]:
    """What a device's side returned, if it is an update and a state.

    Raises:
        RunError: something else; says what is needed.
    """
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Update)):
        made = [type(one).__name__ for one in (answer if isinstance(answer, tuple) else [answer])]
        raise RunError(f"method: {method} answered with {', '.join(made)}; an Update and a State are needed")
    update, state = answer
    update = replace(update, metrics=check_scalars(update.metrics, method))
    if not (isinstance(state, dict) and all(isinstance(array, np.ndarray) for array in state.values())):
        raise RunError(f"method: {method} keeps {state!r:.80}; a State, numpy arrays by name, is needed")
    return update, state


def check_scalars(metrics: object, method: str) -> Metrics:
    """What a method measured, if it is numbers by name, as floats.

    Raises:
        RunError: something else.
    """
    if not (isinstance(metrics, Mapping) and all(isinstance(name, str) for name in metrics)):
        raise RunError(f"method: {method} measured {metrics!r:.80}; numbers by name are needed")
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
            raise RunError(f"method: {method} measured {name}={value!r:.80}; a number is needed")
    return {name: float(value) for name, value in metrics.items()}


def host_role(devices: range) -> str:
    """What a host is called."""
    return f"devices {devices[0]}-{devices[-1]}" if len(devices) > 1 else f"device {devices[0]}"


class Host:
    """The devices of one process, which take turns on one pair of networks.

    There is no object per device: its samples are a part of `shards`, and what it remembers between rounds, flat
    float32 vectors, is kept here from its first turn on. A device that never takes part has nothing here.
    """

    def __init__(self, config: Config, problem: Problem, shards: HostShards, device: torch.device) -> None:
        self._config = config
        self._problem = problem
        method = method_of(config)
        with threads(config.engine.threads_per_device), _named(f"{host_role(shards.devices)}, at the start"):
            self._side: DeviceSide = method.device(config, problem.shape, device)
            self.shards = shards.held_on(device)
        self._exchange = method.exchange
        self._states: dict[int, State] = {}
        self.devices = shards.devices

    def round(
        self, round: int, down: np.ndarray, chosen: Iterable[int], far: bool = False
    ) -> tuple[list[Contribution], HostReport]:
        """Let the `chosen` ones of its devices work; returns what goes up, `far` to another node, and their scalars."""
        report, began, devices_s = HostReport(), now(), 0.0
        sent: list[Contribution] = []
        slots, senders = Slots(self._config, self._problem), dict[int, list[int]]()
        with threads(self._config.engine.threads_per_device):
            for number in chosen:
                start = now()
                try:
                    update = self.update(number, round, down)
                except BadUpdateError as error:
                    if self._config.engine.on_bad_update == "stop":
                        raise
                    report.dropped[number] = str(error)
                    continue
                finally:
                    devices_s += now() - start
                report.devices[number] = update.metrics
                if len(self.devices) == 1:
                    sent.append(Single(number, update.vector, update.weight, update.slot))
                    continue
                with _named(f"round {round}"):
                    slots.slot(update.slot).add(number, update.vector, update.weight)
                senders.setdefault(update.slot, []).append(number)
        sent += [Partial(devices, slots.slot(slot).part(far), slot) for slot, devices in senders.items()]
        report.times = HostTimes(began, devices_s, now())
        return sent, report

    def update(self, device: int, round: int, down: np.ndarray) -> Update:
        """Let one device work.

        Raises:
            BadUpdateError: the update is not finite or does not fit; names device and round, the state is as before.
            RunError: what the device's own code raised, with device and round.
        """
        where = f"round {round}, device {device}"
        with _named(where):
            answer = self._side.update(self.shards[device], round, down, self._states.get(device, {}))
            update, state = checked_answer(answer, self._config.method)
        try:
            self._problem.check(update.vector, update.weight, update.slot)
        except ValueError as error:
            raise BadUpdateError(f"{where}: the update does not fit: {error}") from error
        except FloatingPointError as error:
            raise BadUpdateError(_diverged(where, str(error), update.metrics)) from error
        if not np.abs(list(update.metrics.values())).max(initial=0) < LARGEST:  # also true of NaN
            raise BadUpdateError(_diverged(where, "a loss is not finite, or too large", update.metrics))
        self._keep(device, state)
        return update

    def _keep(self, device: int, state: State) -> None:
        if state:
            self._states[device] = state
        else:
            self._states.pop(device, None)

    def hand_over(self, givers: Iterable[int]) -> dict[int, State]:
        """What these devices remember, for an exchange."""
        return {giver: self._states.get(giver, {}) for giver in givers}

    def take_over(self, partners: Mapping[int, int], given: Mapping[int, State]) -> None:
        """Let each key of `partners`, a device of this host, take what its value remembered."""
        for receiver, giver in partners.items():
            assert self._exchange is not None  # who has partners has an exchange
            with (
                _named(f"device {receiver}, taking over from {giver}"),
                threads(self._config.engine.threads_per_device),
            ):
                state = self._exchange.merge(self._config, self._states.get(receiver, {}), given[giver])
            self._keep(receiver, state)

    def states(self) -> dict[int, State]:
        """What the devices that remember something do, not copied."""
        return dict(self._states)

    def restore(self, states: dict[int, State]) -> None:
        """Put back what `states` has of its devices; the others remember nothing."""
        self._states = dict(states)


class Server:
    """Holds the global GAN and plays the server's side of each round."""

    def __init__(self, config: Config, problem: Problem, device: torch.device) -> None:
        self._config = config
        self._problem = problem
        with threads(config.engine.server_threads), _named("server, at the start"):
            self.side: ServerSide = method_of(config).server(config, problem.shape, device)
        self._sent = 0.0

    def down(self, round: int) -> np.ndarray:
        """What goes down in `round`."""
        with threads(self._config.engine.server_threads):
            down = self.side.down(round)
        self._sent = now()
        return down

    def round(self, round: int, contributions: Iterable[Sequence[Contribution]]) -> ServerReport:
        """One round: the work that waits for nobody, the hosts' contributions as they come in, the work that waited.

        If nothing comes in, nothing is averaged and the work that waits for it is left out.

        Raises:
            BadUpdateError: a contribution is not finite or does not fit.
            RunError: the generator or its loss is not finite; or what the server's own code raised.
        """
        where = f"round {round}, server"
        metrics, dropped = Metrics(), dict[int, str]()
        with threads(self._config.engine.server_threads):
            with _named(where):
                metrics |= check_scalars(self.side.meanwhile(round), self._config.method)
            slots = Slots(self._config, self._problem)
            received = now()
            for of_host in contributions:
                received = now()
                for contribution in of_host:
                    self._take_in(contribution, slots, dropped, where)
            with _named(where):
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

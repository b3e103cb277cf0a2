"""The simulated clock: the participants, the duration and the traffic of each round."""

from collections.abc import Callable, Mapping

import numpy as np

from raygan.channel.copies import Copies
from raygan.channel.links import Links
from raygan.channel.selection import Selection
from raygan.channel.simulated import Phases, SimulatedRound, Work
from raygan.channel.stages import Stage, Stages
from raygan.channel.traffic import Traffic
from raygan.components import CHANNELS, SELECTIONS, build
from raygan.config.aggregation import secagg_of
from raygan.config.simulation import Policy
from raygan.config.tree import Config
from raygan.errors import RunError, naming
from raygan.rng import Role, stream

Partners = Callable[[int, list[int]], Mapping[int, int]]
"""Maps (round, devices that took part) to the exchange after it: {receiver: giver}."""


class Clock:
    """Simulates the rounds of a run without their work. Ask for every round, in order, from round 1."""

    def __init__(
        self, config: Config, traffic: Traffic, work: Work, partners: Partners, counts: np.ndarray | None = None
    ) -> None:
        """`counts` are the samples of each class of every device, (K, C), if devices report them."""
        self._config = config
        self._traffic = traffic
        self._stages = Stages(secagg) if (secagg := secagg_of(config)) else None
        self._work = work
        self._partners = partners
        self._counts = counts
        self._links: Links = build(CHANNELS, config.channel.name, "channel.name", Links, config)  # type: ignore[type-abstract]
        policy = config.selection
        self._selection: Selection[Policy] = build(
            SELECTIONS,
            policy.name,
            "selection.name",
            Selection,  # type: ignore[type-abstract]
            policy,
            config.devices,
        )
        if counts is not None:
            self._selection.reported(counts)
        self._compute_s = work.device / device_speeds(config)
        self._copies = Copies(traffic, config.channel.bits_per_parameter, config.devices)

    def fresh(self) -> "Clock":
        """Returns the same clock before its first round."""
        return type(self)(self._config, self._traffic, self._work, self._partners, self._counts)

    def round(self, round: int) -> SimulatedRound:
        """Returns the simulation of `round`.

        Raises:
            RunError: a custom selection does not choose among the devices, or a rate is not above 0.
        """
        server_flops = self._config.compute.server_flops
        quality = self._quality(round)
        chosen = self._choose(round, quality)
        reached = chosen[~self._out_of_reach(round)[chosen]]
        codes, traffic = self._copies.codes(round, reached), self._sent(len(reached))
        devices, overdue, (down, device, up) = self._answers(round, reached, codes, traffic)
        averaged, stages = self._protocol(reached, devices)
        self._selection.served(np.array(devices, np.int64), quality)
        partners = self._partners(round, devices)
        phases = Phases(
            down=down,
            device=device,
            up=up,
            meanwhile=self._work.meanwhile / server_flops,
            average=2 * traffic.up * len(averaged) / server_flops,  # a multiplication and an addition per value
            server=self._work.finished(averaged) / server_flops,
            swap=self._swap_s(round, partners),
            stages={name: self._stage_s(round, stage, who) for name, (stage, who) in stages.items()},
        )
        return SimulatedRound(
            devices=devices,
            unreached=len(chosen) - len(reached),
            late=len(reached) - len(devices),
            overdue=overdue,
            partners=partners,
            bytes_down=self._bytes_down(codes)
            + sum(len(who) * self._bytes(0, stage.down_bits) for stage, who in stages.values()),
            bytes_up=len(devices) * self._bytes(traffic.up, traffic.up_bits)
            + sum(len(who) * self._bytes(0, stage.up_bits) for stage, who in stages.values())
            + self._reported(round),
            bytes_swap=len(partners) * self._bytes(traffic.swap),
            phases=phases,
            cohort=[] if self._stages is None else reached.tolist(),
        )

    def _sent(self, reached: int) -> Traffic:
        """Returns the traffic of a round with so many devices: masked, their updates are integers."""
        if self._stages is None:
            return self._traffic
        return self._stages.masked(self._traffic, reached, self._config.channel.bits_per_parameter)

    def _protocol(
        self, reached: np.ndarray, devices: list[int]
    ) -> tuple[list[int], Mapping[str, tuple[Stage, np.ndarray]]]:
        """Returns the devices whose updates the server gets to use, and the stages of secure aggregation with theirs.

        Devices that are within reach share keys, and those that answer unmask, if enough do; else none counts.
        """
        if self._stages is None or len(reached) == 0:
            return devices, {}
        stages = {name: (stage, reached) for name, stage in self._stages.before(len(reached)).items()}
        if not self._stages.is_unmasked(len(devices), len(reached)):
            return [], stages
        answered = np.array(devices)
        return devices, stages | {name: (stage, answered) for name, stage in self._stages.behind(len(reached)).items()}

    def _stage_s(self, round: int, stage: Stage, devices: np.ndarray) -> float:
        """Returns the duration of a stage: the server has heard all of these devices before it answers, or asks."""
        up = self._seconds(0, self._uplink(round, devices), stage.up_bits).max()
        if stage.broadcast:
            return float(up + stage.down_bits / self._broadcast(round, devices))
        return float(up + self._seconds(0, self._unicast(round, devices), stage.down_bits).max())

    def _answers(
        self, round: int, reached: np.ndarray, codes: np.ndarray, traffic: Traffic
    ) -> tuple[list[int], list[int], tuple[float, float, float]]:
        """Returns the devices that answer in time, those that only update in time, and the slowest one's phases.

        Its phases are down, device and up (seconds). `codes`, (n,): what each is sent; see `Copies.codes`.
        """
        if len(reached) == 0:
            return [], [], (0.0, 0.0, 0.0)
        down_s = self._down_s(round, reached, codes)
        device_s = self._compute_s[reached]
        up_s = self._seconds(traffic.up, self._uplink(round, reached), traffic.up_bits)
        answer_s = down_s + device_s + up_s
        limit = self._config.selection.deadline_s or np.inf
        self._copies.received(round, reached[down_s <= limit])
        last = int(np.minimum(answer_s, limit).argmax())
        down = min(float(down_s[last]), limit)
        device = min(float(device_s[last]), limit - down)
        in_time = answer_s <= limit
        overdue = ~in_time & (down_s + device_s <= limit)
        phases = down, device, min(float(up_s[last]), limit - down - device)
        return reached[in_time].tolist(), reached[overdue].tolist(), phases

    def _quality(self, round: int) -> np.ndarray:
        rates = self._asked("quality", round, lambda: np.asarray(self._links.quality(round), float))
        if rates.shape != (self._config.devices,) or not np.all(rates >= 0):  # false for NaN too
            raise RunError(
                f"channel.name: {self._config.channel.name} gave the qualities {np.ravel(rates)[:5].tolist()} (bit/s); "
                f"{self._config.devices} of 0 or more are needed",
                code="result",
            )
        return rates

    def _out_of_reach(self, round: int) -> np.ndarray:
        out = self._asked("out_of_reach", round, lambda: self._links.out_of_reach(round))
        if out.shape != (self._config.devices,) or out.dtype != bool:
            raise RunError(
                f"channel.name: {self._config.channel.name} said who is out of reach by {out.dtype} {out.shape}; "
                f"{self._config.devices} truth values are needed",
                code="result",
            )
        return out

    def _choose(self, round: int, quality: np.ndarray) -> np.ndarray:
        name, devices = self._config.selection.name, self._config.devices
        random = stream(self._config.seed, Role.SELECTION, round=round)
        with naming("selection.name", f"{name}.choose in round {round}", RunError):
            chosen = np.asarray(self._selection.choose(round, quality, random))
        if self._selection.may_choose_nobody and len(chosen) == 0:
            return chosen
        whole = chosen.ndim == 1 and len(chosen) > 0 and np.issubdtype(chosen.dtype, np.integer)
        if not (whole and len(np.unique(chosen)) == len(chosen) and 0 <= chosen.min() <= chosen.max() < devices):
            raise RunError(
                f"selection.name: {name} chose {chosen.tolist()} in round {round}; different devices from 0 to "
                f"{devices - 1} are needed, at least one",
                code="result",
            )
        return np.sort(chosen)

    def _down_s(self, round: int, devices: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Returns the seconds until each device has what it is sent, (n,).

        What is the same for several is broadcast: first the newest code, then the whole model to those who need it.
        Then whoever has missed rounds is sent their codes, each over its own link.
        """
        copies = self._copies
        if not self._traffic.broadcast:
            alone: np.ndarray = copies.bits(codes) / self._unicast(round, devices)
            return alone
        seconds, end = np.zeros(len(devices)), 0.0
        for takers, bits in ((codes > 0, copies.newest_bits), (codes == 0, copies.whole_bits)):
            if takers.any():
                end += bits / self._broadcast(round, devices[takers])
                seconds[takers] = end
        behind = codes > 1
        if behind.any():
            missed_bits = (codes[behind] - 1) * copies.code_bits
            seconds[behind] = end + missed_bits / self._unicast(round, devices[behind])
        return seconds

    def _broadcast(self, round: int, devices: np.ndarray) -> float:
        return float(self._rates("broadcast", round, lambda: [self._links.broadcast(round, devices)], 1)[0])

    def _unicast(self, round: int, devices: np.ndarray) -> np.ndarray:
        return self._rates("downlink", round, lambda: self._links.downlink(round, devices), len(devices))

    def _uplink(self, round: int, devices: np.ndarray) -> np.ndarray:
        return self._rates("uplink", round, lambda: self._links.uplink(round, devices), len(devices))

    def _asked(self, what: str, round: int, ask: Callable[[], object]) -> np.ndarray:
        """Returns the channel's answer as an array."""
        with naming("channel.name", f"{self._config.channel.name}.{what} in round {round}", RunError):
            return np.asarray(ask())

    def _rates(self, what: str, round: int, ask: Callable[[], object], count: int) -> np.ndarray:
        """Returns the channel's answer as `count` rates above 0 (bit/s)."""
        rates = self._asked(what, round, lambda: np.asarray(ask(), float))
        if np.shape(rates) != (count,) or not np.all(rates > 0):  # false for NaN too
            raise RunError(
                f"channel.name: {self._config.channel.name} gave the rates {np.ravel(rates)[:5].tolist()} (bit/s); "
                f"{count} above 0 are needed",
                code="result",
            )
        return rates

    def _swap_s(self, round: int, partners: Mapping[int, int]) -> float:
        """Returns the duration of a swap: all givers send at once, and the base station forwards to the receivers."""
        if not partners:
            return 0.0
        givers, receivers = np.array(list(partners.values())), np.array(list(partners))
        up = self._seconds(self._traffic.swap, self._uplink(round, givers))
        down = self._unicast(round, receivers)
        return float((up + self._seconds(self._traffic.swap, down)).max())

    def _bytes(self, values: int, bits: int = 0) -> int:
        return -(-(values * self._config.channel.bits_per_parameter + bits) // 8)

    def _bytes_down(self, codes: np.ndarray) -> int:
        return int((-(-self._copies.bits(codes) // 8)).sum())

    def _reported(self, round: int) -> int:
        """Returns the bytes of what all devices report before they train; its time is not counted."""
        return self._config.devices * self._bytes(self._traffic.reported) if round == 1 else 0

    def _seconds(self, values: int, rates: np.ndarray, bits: int = 0) -> np.ndarray:
        seconds: np.ndarray = (values * self._config.channel.bits_per_parameter + bits) / rates
        return seconds


def device_speeds(config: Config) -> np.ndarray:
    """Returns the speed of each device, (K,) FLOP/s: the configured one times the device's log-normal factor."""
    compute = config.compute
    random = stream(config.seed if compute.seed is None else compute.seed, Role.SPEED)
    factors = np.exp(compute.device_spread * random.standard_normal(config.devices))
    speeds: np.ndarray = np.array(compute.device_flops) * factors
    return speeds

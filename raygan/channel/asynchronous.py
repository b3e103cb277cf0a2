"""The clock of the asynchronous schedule: an event queue over simulated time, which decides who is in which version.

The server makes version r of the next `asynchronous.buffer` updates that arrive; updates that arrive at the same moment
are taken in the order of their devices. Then it averages and trains, and takes what arrives meanwhile afterwards. A
device whose update is in the version waits for it. Whenever fewer than `asynchronous.running` devices are under way,
the one that has been idle the longest starts from the newest version, so nobody starts twice from the same one.

A device is sent its version alone (unicast), or the codes of all since its last one, over links as they are in the
version it starts in, and shares the band with those that are under way at that moment. A device out of reach then
starts in a later version.
"""

from collections import deque
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

from raygan.channel.clock import Clock, Partners
from raygan.channel.simulated import Phases, SimulatedRound, Work
from raygan.channel.traffic import Traffic
from raygan.config.tree import Config


class _Flight(NamedTuple):
    """A device under way; sorted as it arrives."""

    arrives: float
    device: int
    round: int
    """The version that was made when it started."""
    started: float
    down: float
    compute: float
    up: float


class AsynchronousClock(Clock):
    """Simulates versions as rounds, likewise. It has the queue between them, so a resumed run asks for all again."""

    def __init__(
        self, config: Config, traffic: Traffic, work: Work, partners: Partners, counts: np.ndarray | None = None
    ) -> None:
        super().__init__(config, traffic, work, partners, counts)
        self._now = 0.0
        self._flying: list[_Flight] = []
        self._idle = deque(range(self._config.devices))
        self._bytes_sent = 0

    def round(self, round: int) -> SimulatedRound:
        """Returns the simulation of version `round`. If nobody is left who can start, it is made of what is there.

        Raises:
            RunError: a rate of the channel is not above 0.
        """
        traffic, server_flops = self._traffic, self._config.compute.server_flops
        begin, waited = self._now, np.zeros(3)
        taken: list[_Flight] = []
        sent_before = self._bytes_sent
        started, unreached = self._start(round, begin)
        while self._flying and len(taken) < self._config.asynchronous.buffer:
            next = heappop(self._flying)
            waited += _waited_for(next, self._now)
            self._now = max(self._now, next.arrives)
            taken.append(next)
            there_too = self._flying and self._flying[0].arrives <= self._now
            if len(taken) < self._config.asynchronous.buffer and not there_too:
                more, faded = self._start(round, self._now)
                started, unreached = started | more, unreached | faded
        self._idle.extend(flight.device for flight in taken)
        devices = sorted(flight.device for flight in taken)
        down, compute, up = waited.tolist()
        phases = Phases(
            down=down,
            device=compute,
            up=up,
            meanwhile=0.0,
            average=2 * traffic.up * len(devices) / server_flops,
            server=self._work.finished(devices) / server_flops,
            swap=0.0,
        )
        self._now = begin + phases.seconds
        return SimulatedRound(
            devices=devices,
            unreached=len(unreached),
            late=0,
            overdue=[],
            partners={},
            bytes_down=self._bytes_sent - sent_before,
            bytes_up=len(devices) * self._bytes(traffic.up, traffic.up_bits) + self._reported(round),
            bytes_swap=0,
            phases=phases,
            staleness={flight.device: round - flight.round for flight in taken if flight.round < round},
            ahead=sorted(started.difference(devices)),
        )

    def _start(self, round: int, now: float) -> tuple[set[int], set[int]]:
        """Let idle devices start; returns those that did, and those that are out of reach."""
        running = self._config.asynchronous.running or self._config.devices
        free, out = running - len(self._flying), self._out_of_reach(round)
        starting: list[int] = []
        faded: list[int] = []
        while self._idle and len(starting) < free:
            device = self._idle.popleft()
            (faded if out[device] else starting).append(device)
        self._idle.extendleft(reversed(faded))
        if starting:
            together = np.array(sorted([*starting, *(flight.device for flight in self._flying)]))
            new = np.isin(together, starting)
            codes = self._copies.codes(round, together[new])
            self._copies.received(round, together[new])
            self._bytes_sent += self._bytes_down(codes)
            down = self._copies.bits(codes) / self._unicast(round, together)[new]
            up = self._seconds(self._traffic.up, self._uplink(round, together)[new], self._traffic.up_bits)
            compute = self._compute_s[together[new]]
            columns = now + down + compute + up, together[new], down, compute, up
            for arrives, device, *parts in zip(*(column.tolist() for column in columns), strict=True):
                heappush(self._flying, _Flight(arrives, device, round, now, *parts))
        return set(starting), set(faded)


def _waited_for(flight: _Flight, since: float) -> np.ndarray:
    """Returns the seconds until an arrival as down, computing and up, (3,): the last ones of each that are needed."""
    if flight.started == since:
        return np.array([flight.down, flight.compute, flight.up])
    seconds = max(flight.arrives - since, 0.0)
    up = min(flight.up, seconds)
    compute = min(flight.compute, seconds - up)
    return np.array([seconds - up - compute, compute, up])

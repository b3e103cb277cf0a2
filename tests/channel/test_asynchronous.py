"""The asynchronous clock: its queue against hand-made cases, and against a plain simulation of events."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raygan.channel.asynchronous import AsynchronousClock
from raygan.channel.clock import Clock
from raygan.channel.simulated import Work
from raygan.channel.traffic import NO_TRAFFIC, Coded, Traffic
from raygan.config import load_config
from tests.channel.test_clock import nobody

NET = Traffic(down=3000, up=1000, broadcast=True)


def clock(*words, traffic=NO_TRAFFIC, device=1.0, finish=0.0, kind=AsynchronousClock):
    """Devices compute at 1 FLOP/s unless said, so that FLOPs are seconds, and so does the server."""
    speeds = ["compute.device_flops=1.0", "compute.server_flops=1.0"]
    schedule = ["schedule=asynchronous"] if kind is AsynchronousClock else []
    config = load_config(None, [*schedule, *speeds, *words])
    return kind(config, traffic, Work(np.broadcast_to(device, config.devices), 0.0, finish), nobody)


def versions(clock, count):
    return [clock.round(round) for round in range(1, count + 1)]


def taken(clock, count):
    """(device, staleness) in each version of one update, and when it is over."""
    now, found = 0.0, []
    for version in versions(clock, count):
        (device,), now = version.devices, now + version.phases.seconds
        found.append((device, version.staleness.get(device, 0), now))
    return found


def test_two_devices_one_of_which_is_twice_as_fast():
    """At 2 s both arrive, and 0 is taken first; 1 has missed its two versions. And so on every 2 s."""
    device = np.array([1.0, 2.0])
    assert taken(clock("devices=2", device=device), 7) == [
        *[(0, 0, 1), (0, 0, 2), (1, 2, 2)],
        *[(0, 1, 3), (0, 0, 4), (1, 2, 4)],
        (0, 1, 5),
    ]


def test_who_starts_is_sent_the_codes_since_its_last_version():
    """The model is 100 values of 32 bits, a code 320 bits. 0 starts in 1, 2, 3 and 5; 1 in 1 and 4, as above."""
    traffic = Traffic(down=100, up=0, broadcast=True, coded=Coded(100, 320))
    found = versions(clock("devices=2", device=np.array([1.0, 2.0]), traffic=traffic), 5)
    assert [one.bytes_down for one in found] == [2 * 400, 40, 40, 3 * 40, 2 * 40]


def test_what_arrives_while_the_server_works_is_taken_afterwards():
    """The server works for 0.25 s: 0 arrives at 1, 2.25 (from 1.25) and 3.5; 1 at 2 and 4.25 (from 2.25)."""
    device = np.array([1.0, 2.0])
    assert taken(clock("devices=2", device=device, finish=0.25), 5) == [
        *[(0, 0, 1.25), (1, 1, 2.25), (0, 1, 2.5), (0, 0, 3.75), (1, 2, 4.5)]
    ]


def test_a_busy_server_makes_even_equal_devices_stale():
    """Three arrive at 1; the second waits for 5 s, the third for 10 s; then 0 comes again, which arrived at 7."""
    assert taken(clock("devices=3", finish=5.0), 5) == [(0, 0, 6), (1, 1, 11), (2, 2, 16), (0, 2, 21), (1, 2, 26)]


def test_a_full_buffer_is_a_version_and_nobody_is_in_it_twice():
    """Devices of 1, 2, 4 s, two updates a version. At 2 s: 0, which waited, and 1. At 4 s: 0 and 1, as 2 has a higher
    number. Then 2, which is there, and 0 at 5 s."""
    first, second, third = versions(clock("devices=3", "asynchronous.buffer=2", device=np.array([1.0, 2.0, 4.0])), 3)
    assert (first.devices, first.staleness, first.ahead, first.phases.seconds) == ([0, 1], {}, [2], 2)
    assert (second.devices, second.staleness, second.ahead, second.phases.seconds) == ([0, 1], {}, [], 2)
    assert (third.devices, third.staleness, third.ahead, third.phases.seconds) == ([0, 2], {2: 2}, [1], 1)
    assert (second.at_once, third.at_once) == ([0, 1], [0])
    assert third.ages == {"staleness": 1.0, "staleness_max": 2}


def test_whoever_is_idle_the_longest_starts_where_few_run_at_once():
    one_by_one = clock("devices=4", "asynchronous.running=1", "asynchronous.buffer=3", device=np.arange(1.0, 5.0))
    assert [version.devices for version in versions(one_by_one, 4)] == [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]
    two = clock("devices=4", "asynchronous.running=2", device=np.array([1.0, 9.0, 1.0, 1.0]))
    assert [device for device, *_ in taken(two, 6)] == [0, 2, 3, 0, 2, 3], "1 is under way"


LINKS = [
    "channel.name=constant",
    "channel.uplink_bps=[1e3, 2e3]",
    "channel.downlink_bps=[8e3, 16e3]",
    "channel.bits_per_parameter=8",
]


def test_each_device_is_sent_its_version_alone_and_a_version_has_the_seconds_that_it_waited_for():
    """Down in 3 and 1.5 s, 10 s of work, up in 8 and 4 s; the server takes 2000 additions, and 7 s. So 1 is there at
    15.5 s, and 0 at 21 s, before the server is done: its version waits for nothing. Then 1 has 15.5 s again."""
    first, second, third = versions(clock("devices=2", *LINKS, traffic=NET, device=10.0, finish=7.0), 3)
    spent = [(one.phases.down, one.phases.device, one.phases.up) for one in (first, second, third)]
    assert spent[:2] == [(1.5, 10, 4), (0, 0, 0)]
    assert all(one.phases.average == 2000 for one in (first, second, third))
    assert (first.devices, second.devices, third.devices) == ([1], [0], [1])
    assert (first.bytes_down, second.bytes_down, third.bytes_down) == (6000, 3000, 3000), "who starts is sent it"
    assert [one.bytes_up for one in (first, second, third)] == [1000] * 3


def test_who_started_earlier_is_waited_for_only_as_long_as_it_takes_yet():
    """0 arrives 8 s after 1, which are its last: all of them are on the link, as 8 s are what it sends for."""
    speeds = np.array([10.0, 7.0])
    first, second, third = versions(clock("devices=2", *LINKS, traffic=Traffic(3000, 1000, True), device=speeds), 3)
    assert first.devices == [1]
    assert first.phases.seconds == 2000 + 12.5
    assert (second.devices, second.phases.seconds) == ([0], 2000)
    free = clock("devices=2", *LINKS, "compute.server_flops=1e300", traffic=NET, device=speeds)
    first, second, third = versions(free, 3)
    assert [one.devices for one in (first, second, third)] == [[1], [0], [1]]
    assert (second.phases.down, second.phases.device, second.phases.up) == (0, pytest.approx(0.5), 8)
    assert (third.phases.down, third.phases.device, third.phases.up) == (0, 0, 4)


def test_the_band_is_shared_by_those_under_way():
    words = ["devices=4", "channel.name=wireless", "channel.outage_probability=0"]
    one = clock(*words, traffic=NET).round(1)
    links = clock(*words)._links
    everyone = np.arange(4)
    down = 3000 * 32 / links.downlink(1, everyone)
    up = 1000 * 32 / links.uplink(1, everyone)
    first = int((down + 1 + up).argmin())
    assert one.devices == [first]
    assert one.phases.down == pytest.approx(down[first])
    assert one.phases.up == pytest.approx(up[first])
    alone = clock(*words, "asynchronous.running=1", traffic=NET).round(1)
    assert alone.phases.down == pytest.approx(3000 * 32 / links.downlink(1, everyone[:1])[0])


def test_who_is_out_of_reach_starts_later_and_a_version_is_made_of_what_is_there():
    one = clock("devices=2", "channel.name=wireless", "asynchronous.buffer=2", traffic=NET)
    reach = [[False, True], [True, True], [False, False]]
    one._links.out_of_reach = lambda round: np.array(reach[round - 1])
    first, second, third = versions(one, 3)
    assert (first.devices, first.unreached, first.bytes_down) == ([0], 1, 12_000)
    assert (second.devices, second.unreached, second.phases.seconds, second.bytes_up) == ([], 2, 0, 0)
    assert second.ages == {"staleness": 0.0, "staleness_max": 0}
    assert (third.devices, third.staleness, third.unreached) == ([0, 1], {}, 0)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(0, 3),
    st.integers(1, 5),
    st.integers(1, 5),
)
@settings(deadline=None)
def test_it_is_the_plain_simulation_of_events(seconds, server, buffer, running):
    """Times are whole, so that many are equal."""
    devices = len(seconds)
    buffer, running = min(buffer, devices), min(running, devices)
    words = [f"devices={devices}", f"asynchronous.buffer={buffer}", f"asynchronous.running={running}"]
    one = clock(*words, device=np.array(seconds, float), finish=float(server))
    now, flying, idle = 0, {}, list(range(devices))
    for round in range(1, 12):
        version, took, started = one.round(round), {}, set()
        begin = now
        while len(took) < buffer:
            there = [device for device in flying if flying[device][0] <= now]
            if not there:
                while idle and len(flying) < running:
                    flying[idle[0]] = now + seconds[idle[0]], round
                    started.add(idle.pop(0))
                now = min(arrives for arrives, _ in flying.values())
                continue
            if took == {}:  # those who wait for the version start before what is there is taken
                while idle and len(flying) < running:
                    flying[idle[0]] = now + seconds[idle[0]], round
                    started.add(idle.pop(0))
            next = min(there, key=lambda device: (flying[device][0], device))
            took[next] = round - flying.pop(next)[1]
        now, idle = now + server, [*idle, *took]
        assert version.devices == sorted(took)
        assert version.staleness == {device: age for device, age in took.items() if age}
        assert version.ahead == sorted(started - set(took))
        assert version.phases.seconds == now - begin


def test_all_of_equal_devices_are_the_rounds_of_the_serial_schedule():
    words = ["devices=4", "channel.name=constant"]
    versions_of = versions(clock(*words, "asynchronous.buffer=4", traffic=NET, finish=3.0), 5)
    assert versions_of == versions(clock(*words, traffic=NET, finish=3.0, kind=Clock), 5)
    assert all(version.ahead == [] for version in versions_of)


def test_a_fresh_clock_begins_again():
    one = clock("devices=3", device=np.array([1.0, 2.5, 3.5]))
    assert versions(one, 5) == versions(one.fresh(), 5)

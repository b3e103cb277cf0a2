"""Simulated time and bytes against closed forms."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygan.channel.clock import Clock, device_speeds
from raygan.channel.simulated import Work
from raygan.channel.traffic import NO_TRAFFIC, Coded, Traffic
from raygan.components import CHANNELS
from raygan.config import load_config
from raygan.errors import RunError
from tests.errors import raises

NET = Traffic(down=3000, up=1000, broadcast=True)


def nobody(round, devices):
    return {}


def clock(*words, traffic=NET, device=1e6, meanwhile=0.0, finish=0.0, partners=nobody):
    config = load_config(None, list(words))
    return Clock(config, traffic, Work(np.broadcast_to(device, config.devices), meanwhile, finish), partners)


CONSTANT = [
    "devices=3",
    "channel.name=constant",
    "channel.uplink_bps=[1e3, 2e3, 4e3]",
    "channel.downlink_bps=[8e3, 16e3, 4e3]",
    "compute.device_flops=[1e6, 0.25e6, 0.1e6]",
    "compute.server_flops=1e6",
]


def test_a_serial_round_adds_up():
    """Broadcast at 4 kbit/s; answers after 1 + 32, 4 + 16, 10 + 8 s; then the average and the generator."""
    phases = clock(*CONSTANT, finish=5e6).round(1).phases
    assert (phases.down, phases.device, phases.up) == (24.0, 1.0, 32.0)
    assert phases.average == pytest.approx(2 * 1000 * 3 / 1e6)
    assert phases.server == 5.0
    assert phases.seconds == pytest.approx(24 + 33 + 0.006 + 5)


def test_a_parallel_round_overlaps():
    assert clock(*CONSTANT, meanwhile=5e6).round(1).phases.seconds == pytest.approx(24 + 33 + 0.006)
    assert clock(*CONSTANT, meanwhile=50e6).round(1).phases.seconds == pytest.approx(24 + 50 + 0.006)


def test_content_of_ones_own_goes_down_each_link():
    """Down in 3, 1.5, 6 s of their own links; the first device is waited for."""
    phases = clock(*CONSTANT, traffic=Traffic(down=750, up=1000, broadcast=False)).round(1).phases
    assert (phases.down, phases.device, phases.up) == (3.0, 1.0, 32.0)


CODED = Traffic(down=3000, up=1000, broadcast=True, coded=Coded(2500, 16_000))
"""500 values as they are, and 2,500 of a model or a code of a fifth of their bits: 96,000 or 32,000 bits."""


def test_codes_are_broadcast_and_missed_ones_go_down_each_link():
    """Two of three devices in turn, at 8, 16 and 4 kbit/s. In the second round 2 has no model yet, and 1 is not there.
    In the third 1 has missed a code."""
    ours = clock(*CONSTANT, "selection.name=round_robin", "selection.count=2", traffic=CODED)
    rounds = [ours.round(number) for number in (1, 2, 3)]
    assert [one.devices for one in rounds] == [[0, 1], [0, 2], [1, 2]]
    assert [one.bytes_down for one in rounds] == [2 * 12_000, 4000 + 12_000, 6000 + 4000]
    assert rounds[0].phases.down == 96 / 8, "to both at the slower link"
    assert rounds[1].phases.device == 10, "2 is waited for"
    assert rounds[1].phases.down == 32 / 8 + 96 / 4, "the code to 0, then the model to 2"
    assert rounds[2].phases.down == 32 / 4 + 16 / 16, "1 is: the code to both, then the missed one to 1"


def test_who_has_not_received_at_the_deadline_has_no_copy():
    """Broadcast at 4 kbit/s: 24 s for the model. All miss 20 s, and are sent the model again; 25 s is enough for it."""
    early = clock(*CONSTANT, "selection.deadline_s=20", traffic=CODED)
    assert [early.round(number).bytes_down for number in (1, 2)] == [36_000, 36_000]
    late = clock(*CONSTANT, "selection.deadline_s=25", traffic=CODED)
    first, second = late.round(1), late.round(2)
    assert (first.devices, first.bytes_down, second.bytes_down) == ([], 36_000, 12_000)


def test_what_goes_down_to_each_alone_is_codes_too():
    ours = clock(*CONSTANT, traffic=Traffic(3000, 1000, broadcast=False, coded=Coded(2500, 16_000)))
    assert [ours.round(number).phases.down for number in (1, 2)] == [96 / 8, 32 / 8], "0 is waited for"


@given(
    generator=st.floats(0, 1e9),
    device=st.floats(1, 1e9),
    seed=st.integers(0, 1000),
    name=st.sampled_from(["none", "constant", "wireless"]),
)
def test_parallel_is_never_slower_by_at_most_the_generators_time(generator, device, seed, name):
    words = [f"channel.name={name}", f"seed={seed}", "compute.device_spread=0.5"]
    serial = clock(*words, device=device, finish=generator).round(1).phases
    parallel = clock(*words, device=device, meanwhile=generator).round(1).phases
    saved = serial.seconds - parallel.seconds
    slack = 1e-9 * serial.seconds
    assert -slack <= saved <= serial.server + slack
    assert saved == pytest.approx(min(serial.device + serial.up, serial.server), abs=slack)


@pytest.mark.parametrize(("bits", "megabits"), [(32, 88.50), (16, 44.25), (8, 22.12)])
def test_bits_per_parameter(bits, megabits):
    """The field's table: uplink of DCGAN-64's discriminator."""
    one = clock("devices=1", f"channel.bits_per_parameter={bits}", traffic=Traffic(0, 2_765_568, True)).round(1)
    assert one.bytes_up * 8 / 1e6 == pytest.approx(megabits, abs=0.006)
    assert one.bytes_up == 2_765_568 * bits // 8


def test_bytes_are_counted_per_device_that_takes_part():
    one = clock("devices=10", "selection.name=uniform", "selection.count=4").round(1)
    assert len(one.devices) == 4
    assert (one.bytes_down, one.bytes_up, one.bytes_swap) == (4 * 4 * 3000, 4 * 4 * 1000, 0)


def test_without_links_only_work_takes_time():
    phases = (
        clock("devices=2", "compute.device_flops=[1e6, 2e6]", "compute.server_flops=1e9", finish=1e6).round(1).phases
    )
    assert phases.seconds == pytest.approx(1 + 2 * 2 * 1000 / 1e9 + 1e-3)


def test_who_is_late_is_left_out_and_the_round_ends_at_the_deadline():
    """Answers after 57, 44, 42 s."""
    late = clock(*CONSTANT, "selection.deadline_s=50", finish=5e6).round(1)
    assert late.devices == [1, 2]
    assert late.late == 1
    assert (late.bytes_down, late.bytes_up) == (3 * 12000, 2 * 4000)
    phases = late.phases
    assert (phases.down, phases.device, phases.up) == (24.0, 1.0, 25.0)
    assert phases.seconds == pytest.approx(50 + 2 * 1000 * 2 / 1e6 + 5)
    assert clock(*CONSTANT, "selection.deadline_s=57").round(1).devices == [0, 1, 2]


def test_a_round_that_all_miss_lasts_until_the_deadline_and_averages_nothing():
    one = clock(
        *CONSTANT, "selection.deadline_s=10", finish=5e6, partners=lambda round, devices: dict.fromkeys(devices)
    ).round(1)
    assert (one.devices, one.late, one.bytes_up) == ([], 3, 0)
    assert one.phases.seconds == 10.0
    assert (one.phases.average, one.phases.server) == (0, 0)


def test_a_swap_goes_up_from_the_giver_and_down_to_the_receiver():
    traffic = Traffic(down=0, up=0, broadcast=False, swap=1000)
    one = clock(*CONSTANT, traffic=traffic, partners=lambda round, devices: {0: 1, 1: 0}).round(1)
    assert one.partners == {0: 1, 1: 0}
    assert one.bytes_swap == 2 * 4000
    assert one.phases.swap == pytest.approx(max(32 / 2 + 32 / 8, 32 / 1 + 32 / 16))


def test_time_is_the_same_wherever_it_is_asked():
    words = ["channel.name=wireless", "compute.device_spread=1", "selection.name=proportional_fair"]
    first, second = (clock(*words, "selection.count=2") for _ in range(2))
    assert [first.round(r) for r in range(1, 50)] == [second.round(r) for r in range(1, 50)]


def test_speeds_spread_log_normally():
    config = load_config(None, ["devices=20000", "compute.device_spread=0.5", "compute.device_flops=3e9"])
    logs = np.log(device_speeds(config) / 3e9)
    assert logs.mean() == pytest.approx(0, abs=0.02)
    assert logs.std() == pytest.approx(0.5, rel=0.03)
    assert np.array_equal(device_speeds(load_config(None, ["compute.device_flops=3e9"])), np.full(5, 3e9))


def test_one_cell_can_be_kept_while_the_seed_varies():
    words = ["channel.name=wireless", "compute.device_spread=1", "channel.bandwidth_hz=1e4"]
    own, other = (clock(*words, f"seed={seed}").round(1).phases for seed in (0, 1))
    assert own.up != other.up
    assert own.device != other.device
    kept = [clock(*words, "channel.seed=0", "compute.seed=0", f"seed={seed}").round(1).phases for seed in (0, 1)]
    assert kept == [own, own]


def test_nothing_sent_takes_no_time():
    phases = clock("channel.name=wireless", traffic=NO_TRAFFIC).round(1).phases
    assert (phases.down, phases.up, phases.average) == (0, 0, 0)


def test_components_of_ones_own():
    words = ["devices=4", "channel.name=tests.own:FastLinks", "channel.options.bps=1e6"]
    one = clock(*words, "selection.name=tests.own:Evens").round(1)
    assert one.devices == [0, 2]
    assert one.phases.up == 32_000 / 1e6
    with raises("selection.name", "result", "tests.own:Twice", "[1, 1]", "0 to 3", kind=RunError):
        clock(*words, "selection.name=tests.own:Twice").round(1)


@pytest.mark.parametrize("chosen", [[0.0, 1.0], [True, False], [], [-1], [4], [[0], [1]]], ids=str)
def test_a_choice_must_be_device_numbers(chosen):
    one = clock("devices=4")
    one._selection.choose = lambda round, rates, random: np.array(chosen)
    with raises("selection.name", "result", "0 to 3", kind=RunError):
        one.round(1)


def test_a_dead_link_is_named():
    with raises("channel.name", "result", "wireless", "[0.0, 0.0, 0.0, 0.0, 0.0]", "5 above 0", kind=RunError):
        clock("channel.name=wireless", "channel.device_power_dbm=-5000").round(1)


def test_every_channel_has_rates_above_zero():
    for name, round in itertools.product(CHANNELS, (1, 2)):
        config = load_config(None, [f"channel.name={name}", "devices=4"])
        links = Clock(config, NET, Work(np.ones(4), 0, 0), nobody)._links
        chosen = np.array([1, 3])
        assert links.quality(round).shape == (4,)
        assert links.uplink(round, chosen).shape == links.downlink(round, chosen).shape == (2,)
        assert min(links.uplink(round, chosen).min(), links.downlink(round, chosen).min()) > 0
        assert links.broadcast(round, chosen) > 0


def out_of(reach):
    """A clock of three devices of which `reach` says, round by round, who is out of reach."""
    one = clock("devices=3", "compute.server_flops=1e6", finish=5e6, meanwhile=2e6, traffic=Traffic(3000, 1000, True))
    one._links.out_of_reach = lambda round: np.array(reach[round - 1])
    return one


def test_who_is_out_of_reach_misses_the_round_and_nobody_waits():
    one = out_of([[False, True, False], [True] * 3])
    some, nobody_left = one.round(1), one.round(2)
    assert (some.devices, some.unreached, some.late) == ([0, 2], 1, 0)
    assert (some.bytes_down, some.bytes_up) == (2 * 12_000, 2 * 4_000)
    assert (nobody_left.devices, nobody_left.unreached) == ([], 3)
    assert (nobody_left.bytes_down, nobody_left.phases.seconds) == (0, 2.0), "only what does not wait is done"


@pytest.mark.parametrize("reach", [[True, False], [0, 1, 0], [0.5] * 3])
def test_a_channel_that_says_something_else_is_named(reach):
    with raises("channel.name", "result", "3 truth values", kind=RunError):
        out_of([reach]).round(1)

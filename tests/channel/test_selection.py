"""Who takes part, over many rounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygan.channel.clock import Clock
from raygan.channel.links import ConstantLinks
from raygan.channel.selection import highest
from raygan.channel.simulated import Work
from raygan.channel.traffic import Traffic
from raygan.channel.wireless import WirelessLinks
from raygan.components import SELECTIONS, resolve
from raygan.config import load_config
from raygan.rng import Role, stream

POLICIES = ["uniform", "round_robin", "best_channel", "proportional_fair"]


def config_of(policy, devices, count, *words):
    return load_config(
        None,
        [f"devices={devices}", f"selection.name={policy}", f"selection.count={count}", "channel.name=wireless", *words],
    )


def choices(config, links, rounds):
    selection = resolve(SELECTIONS, config.selection.name, "")(config.selection, config.devices)
    for round in range(1, rounds + 1):
        rates = links.quality(round)
        chosen = selection.choose(round, rates, stream(config.seed, Role.SELECTION, round=round))
        selection.served(chosen, rates)
        yield chosen


def shares(config, links, rounds=1000):
    counts = np.zeros(config.devices)
    for chosen in choices(config, links, rounds):
        counts[chosen] += 1
    return counts / rounds


@given(policy=st.sampled_from(POLICIES), devices=st.integers(1, 12), data=st.data())
def test_count_different_devices_are_chosen(policy, devices, data):
    count = data.draw(st.integers(1, devices))
    config = config_of(policy, devices, count)
    for chosen in choices(config, WirelessLinks(config), 5):
        assert len(set(chosen.tolist())) == count
        assert set(chosen.tolist()) <= set(range(devices))


def test_round_robin_serves_everyone_equally():
    config = config_of("round_robin", 7, 3)
    assert shares(config, WirelessLinks(config), 700) == pytest.approx(3 / 7)
    turns = [chosen.tolist() for chosen in choices(config, WirelessLinks(config), 3)]
    assert turns == [[0, 1, 2], [3, 4, 5], [6, 0, 1]]


def test_uniform_serves_everyone_equally_in_the_mean():
    config = config_of("uniform", 8, 2)
    assert shares(config, WirelessLinks(config)) == pytest.approx(0.25, abs=0.05)  # 3.6 standard deviations


def test_best_channel_picks_the_highest_rates():
    config = config_of("best_channel", 9, 3)
    links = WirelessLinks(config)
    for round, chosen in enumerate(choices(config, links, 50), start=1):
        rates = links.quality(round)
        assert rates[chosen].min() >= np.delete(rates, chosen).max()


@given(values=st.lists(st.sampled_from([0.5, 1.0, 2.0, 7.0, np.inf]), min_size=1, max_size=20), data=st.data())
def test_the_highest_are_those_of_a_stable_sort(values, data):
    count = data.draw(st.integers(1, len(values)))
    values = np.array(values)
    assert np.array_equal(highest(values, count), np.argsort(-values, kind="stable")[:count])


def test_proportional_fair_serves_everyone_equally_though_their_rates_differ():
    """Fading scales with a device's mean, so each is relatively best equally often: exactly so far out, where the rate
    is proportional to the received power; nearer, a logarithm flattens the high rates a little."""
    far = config_of("proportional_fair", 8, 2, "channel.radius_m=20000", "channel.min_distance_m=5000")
    assert shares(far, WirelessLinks(far)) == pytest.approx(0.25, abs=0.04)
    config = config_of("proportional_fair", 8, 2)
    links = WirelessLinks(config)
    mean_rates = np.mean([links.quality(round) for round in range(1, 200)], axis=0)
    assert mean_rates.max() > 3 * mean_rates.min(), "the devices are unequal"
    fair, best = (shares(config_of(policy, 8, 2), links) for policy in ("proportional_fair", "best_channel"))
    assert fair == pytest.approx(0.25, abs=0.06)
    assert best.min() < 0.05
    assert best.max() > 0.6


def test_proportional_fair_on_fixed_unequal_rates_is_equal_time_for_all():
    words = ["devices=4", "selection.name=proportional_fair", "selection.count=1", "channel.name=constant"]
    config = load_config(None, [*words, "channel.uplink_bps=[1e6, 2e6, 5e6, 50e6]"])
    assert shares(config, ConstantLinks(config)) == pytest.approx(0.25, abs=0.02)


def test_proportional_fair_takes_the_better_moments():
    config = config_of("proportional_fair", 6, 1)
    links = WirelessLinks(config)
    served = [links.quality(r)[chosen[0]] for r, chosen in enumerate(choices(config, links, 1000), start=1)]
    blind = [links.quality(r)[(r - 1) % 6] for r in range(1, 1001)]
    assert np.mean(served) > 1.3 * np.mean(blind)


def test_proportional_fair_owes_a_turn_to_who_gave_up_or_was_out_of_reach():
    """A device that never answers in time has never been served, so it comes first in every round."""
    words = ["devices=3", "selection.name=proportional_fair", "selection.count=1", "channel.name=constant"]
    slow = ["compute.device_flops=[1e9, 1e9, 1e3]", "selection.deadline_s=10"]
    config = load_config(None, [*words, *slow])
    work = Work(np.full(3, 1e6), 0.0, 0.0)
    clock = Clock(config, Traffic(10, 10, True), work, lambda round, devices: {})
    rounds = [clock.round(round) for round in range(1, 8)]
    assert [one.devices for one in rounds] == [[0], [1], [], [], [], [], []]
    assert [one.late for one in rounds] == [0, 0, 1, 1, 1, 1, 1]


def test_proportional_fair_does_not_choose_who_is_out_of_reach_while_others_are_not():
    chosen = resolve(SELECTIONS, "proportional_fair", "")(config_of("proportional_fair", 3, 2).selection, 3)
    assert set(chosen.choose(1, np.array([0.0, 5.0, 1.0]), stream(0, Role.SELECTION)).tolist()) == {1, 2}


def test_poisson_draws_each_device_by_itself():
    config = config_of("poisson", 20, 5)
    rounds = list(choices(config, WirelessLinks(config), 2000))
    taken = np.array([np.bincount(chosen, minlength=20) for chosen in rounds])
    assert taken.max() == 1
    assert taken.mean(axis=0) == pytest.approx(0.25, abs=0.04)
    assert taken.sum(axis=1).mean() == pytest.approx(5, abs=0.2)
    assert taken.sum(axis=1).var() == pytest.approx(20 * 0.25 * 0.75, rel=0.15)  # the binomial's: independent draws


def test_a_round_of_poisson_may_be_nobodys_and_one_of_all_is_everyones():
    config = load_config(None, ["devices=3", "selection.name=poisson", "selection.count=1"])
    work = Work(np.full(3, 1e6), 2e6, 3e6)
    clock = Clock(config, Traffic(10, 10, True), work, lambda round, devices: {})
    rounds = [clock.round(round) for round in range(1, 60)]
    empty = [one for one in rounds if not one.devices]
    assert 0 < len(empty) < len(rounds)
    assert {(one.bytes_up, one.bytes_down, one.phases.server) for one in empty} == {(0, 0, 0.0)}
    everyone = config_of("poisson", 6, 6)
    assert all(len(chosen) == 6 for chosen in choices(everyone, WirelessLinks(everyone), 20))


def test_a_private_server_works_in_an_empty_round_too():
    assert Work(np.ones(2), 0.0, 3.0, 1.0, slots=3).finished([]) == 0
    assert Work(np.ones(2), 0.0, 3.0, 1.0, slots=3, every_slot=True).finished([]) == 5

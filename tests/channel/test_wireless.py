"""Rates of a cell against the formulas, on cases small enough to work out."""

import numpy as np
import pytest
from scipy.integrate import quad

from raygan.channel.clock import Clock
from raygan.channel.simulated import Work
from raygan.channel.traffic import Traffic
from raygan.channel.wireless import WirelessLinks
from raygan.config import load_config
from raygan.rng import Role, stream


def cell(*words):
    return WirelessLinks(load_config(None, ["channel.name=wireless", *words]))


PLAIN = ("channel.shadowing_db=0", "channel.device_noise_figure_db=0", "channel.server_noise_figure_db=0")


def test_the_uplink_is_the_shannon_rate_worked_out_by_hand():
    """At 1 km: 23 dBm - 128.1 dB over -174 dBm/Hz in 10 MHz (-104 dBm) is -1.1 dB, before fading."""
    links = cell("devices=1", "channel.radius_m=1000.0001", "channel.min_distance_m=1000", *PLAIN)
    fading = stream(0, Role.FADING, round=7).standard_exponential((2, 1))
    expected = 10e6 * np.log2(1 + 10**-0.11 * fading[0, 0])
    assert links.uplink(7, np.array([0])) == pytest.approx([expected], rel=1e-6)
    assert links.quality(7) == pytest.approx([expected], rel=1e-6)
    downlink = 10e6 * np.log2(1 + 10 ** ((46 - 128.1 + 104) / 10) * fading[1, 0])
    assert links.downlink(7, np.array([0])) == pytest.approx([downlink], rel=1e-6)
    assert links.broadcast(7, np.array([0])) == pytest.approx(downlink, rel=1e-6)


def test_noise_figures_are_the_receivers():
    """The base station's takes 5 dB off the uplink, the device's 9 dB off the downlink."""
    words = ["devices=3", "channel.shadowing_db=0"]
    quiet, real = cell(*words, *PLAIN), cell(*words)
    for direction, decibels in (("uplink", 5), ("downlink", 9)):
        before, after = (2 ** (getattr(one, direction)(1, np.array([1])) / 10e6) - 1 for one in (quiet, real))
        assert 10 * np.log10(before / after) == pytest.approx(decibels)


def test_path_loss_grows_by_37_6_decibels_a_decade():
    near, far = (
        cell("devices=1", f"channel.radius_m={d}.0001", f"channel.min_distance_m={d}", *PLAIN) for d in (50, 500)
    )
    snr = [2 ** (links.uplink(1, np.array([0]))[0] / 10e6) - 1 for links in (near, far)]
    assert 10 * np.log10(snr[0] / snr[1]) == pytest.approx(37.6, abs=1e-3)


def test_who_shares_the_band_gets_its_part_at_a_better_ratio_to_noise():
    links = cell("devices=4", *PLAIN)
    alone = np.array([links.uplink(1, np.array([device]))[0] for device in range(4)])
    together = links.uplink(1, np.arange(4))
    expected = 10e6 / 4 * np.log2(1 + 4 * (2 ** (alone / 10e6) - 1))
    assert together == pytest.approx(expected)
    down_alone = np.array([links.downlink(1, np.array([device]))[0] for device in range(4)])
    assert links.downlink(1, np.arange(4)) == pytest.approx(down_alone / 4), "power is shared too"
    assert links.broadcast(1, np.arange(4)) == pytest.approx(down_alone.min())


def test_places_are_uniform_in_the_disc_and_fading_is_exponential():
    links = cell("devices=20000", "channel.radius_m=400", "channel.min_distance_m=20")
    assert links.distance_m.min() >= 20
    assert links.distance_m.max() <= 400
    assert np.mean(links.distance_m < 200) == pytest.approx((200**2 - 20**2) / (400**2 - 20**2), abs=0.01)
    up, _ = links._received(1)
    fading = up / links._up
    assert np.array_equal(fading, links._fading(1)[0] * links._up / links._up)
    assert fading.mean() == pytest.approx(1, abs=0.02)
    assert np.mean(fading > 1) == pytest.approx(np.exp(-1), abs=0.01)


def test_shadowing_has_the_deviation_asked_for():
    shadowed, plain = (cell("devices=20000", f"channel.shadowing_db={sigma}") for sigma in (8, 0))
    decibels = 10 * np.log10(shadowed._up / plain._up)
    assert decibels.mean() == pytest.approx(0, abs=0.2)
    assert decibels.std() == pytest.approx(8, rel=0.02)


def test_fading_changes_from_round_to_round_and_repeats():
    links, again = cell("devices=3"), cell("devices=3")
    assert not np.array_equal(links.quality(1), links.quality(2))
    assert np.array_equal(links.quality(2), again.quality(2))
    assert not np.array_equal(links.quality(1), cell("devices=3", "seed=1").quality(1))


def test_devices_are_out_of_reach_as_often_as_asked_for():
    """Either direction may fade: 1 - (1 - epsilon)^2."""
    links = cell("devices=20000", "channel.outage_probability=0.05")
    out = links.out_of_reach(1)
    assert out.mean() == pytest.approx(1 - 0.95**2, abs=0.006)
    fading = links._fading(1)
    assert np.array_equal(out, (fading < -np.log(0.95)).any(axis=0))
    assert not links.quality(1)[out].any()
    assert links.quality(1)[~out].min() > 0
    assert not cell("devices=20000", "channel.outage_probability=0").out_of_reach(1).any()


def test_with_outage_the_time_of_a_bit_has_the_mean_of_the_integral():
    """E[1 / log2(1 + g x)] over x exponential above the cutoff, by quadrature; without a cutoff it is infinite."""
    links = cell("devices=200000", "channel.radius_m=500.0001", "channel.min_distance_m=500", "channel.shadowing_db=0")
    received = links._up[0] / 10e6
    cutoff = -np.log(0.99)
    exact, _ = quad(lambda x: np.exp(cutoff - x) / np.log2(1 + received * x), cutoff, 50, limit=200)
    reached = ~links.out_of_reach(3)
    assert np.mean(10e6 / links.quality(3)[reached]) == pytest.approx(exact, rel=0.02)


def slowest_share(seed, probability):
    """Of the time that links take in 500 rounds of the default cell, the part of the five slowest rounds."""
    words = [f"seed={seed}", "channel.name=wireless", f"channel.outage_probability={probability}", "devices=5"]
    config = load_config(None, words)
    clock = Clock(config, Traffic(44_000, 20_000, True), Work(np.zeros(5), 0.0, 0.0), lambda round, devices: {})
    seconds = np.sort([clock.round(round).phases.seconds for round in range(1, 501)])
    return seconds[-5:].sum() / seconds.sum()


def test_a_few_fades_do_not_decide_how_long_a_run_takes():
    """Medians over cells: the five slowest of 500 rounds took a third of the time, and take a tenth or less."""
    without, with_outage = (np.median([slowest_share(seed, p) for seed in range(12)]) for p in (0, 0.01))
    assert without > 0.2
    assert with_outage < 0.1

"""Adaptive clipping: the quantile it finds, the noise it adds, and that it is part of a run's state."""

import math

import numpy as np
import pytest

from raygan.methods.base import Mean
from raygan.privacy.adaptive_clip import updates_noise
from raygan.round.checks import method_of
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import CPU, SHAPE, parties, play, play_restored
from tests.privacy.test_mechanism import PRIVATE

ADAPTIVE = ["privacy.name=user", "privacy.clip_quantile=0.5", "privacy.quantile_noise=0.5"]
SILENT = [*ADAPTIVE, "privacy.noise_multiplier=0"]
EVERY = pytest.mark.parametrize("words", [words for name, words in PRIVATE.items() if name != "mdgan"])


def server_of(*words):
    config = tiny(*words)
    return method_of(config).server(config, SHAPE, CPU)


def after(server, round, share, moved=0.0):
    """Finish a round of a server in which this share of the devices was within, and all moved alike."""
    server.down(round)
    vector = server.reference(round) + np.float32(moved)
    vector[-1] = share - 0.5
    return server.finish(round, {0: Mean(vector, 1)})


def test_the_clip_moves_by_the_distance_of_the_share_from_the_quantile():
    server = server_of(*SILENT, "privacy.clip=2", "privacy.clip_quantile=0.4", "privacy.clip_rate=0.3")
    metrics = after(server, 1, 0.9)
    assert (metrics["clip"], metrics["within_clip"]) == (2, pytest.approx(0.9))
    assert server.clip == pytest.approx(2 * math.exp(-0.3 * 0.5))
    before = server.clip
    after(server, 2, 0.4)
    assert server.clip == pytest.approx(before)


def test_it_finds_the_quantile_of_the_norms():
    """Of norms between 1 and 3, all alike likely, 25 % are within 1.5."""
    norms, server = np.linspace(1, 3, 200), server_of(*SILENT, "privacy.clip=10", "privacy.clip_quantile=0.25")
    for round in range(1, 120):
        after(server, round, float((norms <= server.clip).mean()))
    assert server.clip == pytest.approx(1.5, rel=0.03)


def test_noise_of_both_is_one_release_of_the_multiplier():
    """z^-2 = z_d^-2 + (2 s)^-2: Gaussian releases add up in inverse squares of their noise over what one can add."""
    privacy = tiny(*ADAPTIVE, "privacy.noise_multiplier=1.5").privacy
    both = updates_noise(privacy, 3) ** -2 + (3 * 0.5 / 0.5) ** -2
    assert both == pytest.approx(1.5**-2)
    assert updates_noise(tiny(*SILENT).privacy, 3) == 0


def test_the_noise_has_the_stated_size():
    server = server_of(
        *ADAPTIVE, "privacy.clip=2", "method=fedgan", "fedgan.weights=uniform", "gan.generator_norm=group"
    )
    before = server.reference(1)[:-1].copy()
    shares = [after(server, round, 0.5)["within_clip"] for round in range(1, 2)]
    moved = server.inner.reference(2) - before
    expected = updates_noise(server.config.privacy, 3) * 2 / 3
    assert np.std(moved) == pytest.approx(expected, rel=0.1)
    assert shares[0] != 0.5


@EVERY
def test_a_clip_that_all_are_within_is_the_plain_mean_bit_for_bit(words):
    wide, plain = (play(tiny(*words, *more), [20, 20, 20], 3) for more in ([*SILENT, "privacy.clip=1e6"], []))
    state = wide.state()
    assert state.pop("clip")[0] < 1e6
    assert all(np.array_equal(value, plain.state()[name]) for name, value in state.items())


@EVERY
def test_packing_and_a_restored_state_change_no_byte(words):
    config = tiny(*words, *ADAPTIVE, "privacy.clip=0.1", "privacy.noise_multiplier=0.5")
    straight = play(config, [20, 20, 20], 4)
    restored = play_restored(config, [20, 20, 20], 4, before=3)
    worker, apart = parties(config, [20, 20, 20])
    for round in range(1, 5):
        down = apart.down(round)
        apart.update(round, [worker.update_devices(round, down, group)[0] for group in ([2], [0], [1])])
    for side in (restored, apart.side):
        assert side.clip != np.float32(0.1)
        assert all(np.array_equal(value, straight.state()[name]) for name, value in side.state().items())


def test_who_is_missing_counts_as_half_within():
    config = tiny(*SILENT, "privacy.clip=1e6")
    worker, server = parties(config, [20, 20, 20])
    message, _ = worker.update_devices(1, server.down(1), [0])
    _, report = server.update(1, [message])
    assert report.metrics["within_clip"] == pytest.approx(0.5 + 0.5 / 3)
    _, report = server.update(2, [])
    assert report.metrics["within_clip"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("words", "key", "advice"),
    [
        (["method=mdgan", "mdgan.swap_epochs=null"], "privacy.clip_quantile", "image by image"),
        (["privacy.quantile_noise=0.1"], "privacy.quantile_noise", "above 0.167"),
        (["privacy.clip=null", "privacy.noise_multiplier=0"], "privacy", "begin"),
        (["privacy.clip_quantile=1"], "privacy.clip_quantile", "less than 1"),
        (["privacy.clip_rate=5000"], "privacy.clip_rate", "10"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(words, key, advice):
    with raises(key, None, advice):
        tiny(*ADAPTIVE, *words)

"""The account against the table of the literature's settings, against closed forms, and against itself."""

import json
import math
import sys

import numpy as np
import pytest
from scipy.stats import norm

import raygan
from raygan.data import dealt, load_data
from raygan.plan.planning import plan_of
from raygan.privacy import accountant as accounting
from raygan.privacy.accountant import accountant_of, over_budget
from raygan.privacy.composition import Renyi
from raygan.report.record import read_record
from raygan.report.run.words import privacy_in_words
from raygan.round.checks import method_of
from tests.errors import raises
from tests.helpers import tiny

pytest.importorskip("dp_accounting", reason="needs pip install 'raygan[privacy]'")


SIZES = np.array([20, 20, 20])


def account(*words, name="user", sizes=SIZES):
    return kept_for(tiny(f"privacy.name={name}", *words), sizes)


def kept_for(config, sizes=SIZES):
    return accountant_of(config, method_of(config), sizes)


def epsilon(rounds, noise, delta, devices, *words):
    settings = [f"privacy.noise_multiplier={noise}", f"privacy.delta={delta}", f"devices={devices}"]
    return account(*settings, *words).after(rounds).epsilon


def drawn(name, count):
    return f"selection.name={name}", f"selection.count={count}"


@pytest.mark.parametrize(
    ("expected", "rounds", "noise", "delta", "devices", "selection"),
    [
        (2.101, 1000, 1, 1e-5, 1000, drawn("poisson", 10)),
        (24.9, 1000, 1, 1e-4, 1000, drawn("poisson", 100)),
        (60.8, 1000, 2, 1e-4, 1000, drawn("uniform", 100)),  # the library's multiplier is 1: half, for a replacement
        (19.1, 1000, 4, 1e-4, 1000, drawn("uniform", 100)),  # 2
        (639, 1000, 1, 1e-4, 1000, ()),
        (639, 1000, 1, 1e-4, 1000, (*drawn("best_channel", 100), "channel.name=wireless")),
        (483, 800, 1, 1e-2, 10, ()),
        (11.2, 800, 10, 1e-2, 10, ()),
        (35.3, 800, 5, 1e-3, 100, ()),
        (0.72, 1000, 1, 1e-7, 1_000_000, drawn("poisson", 100)),
        (10.7255, 100, 5, 1e-5, 10, ()),
        (10.7255, 1, 0.5, 1e-5, 10, ()),
        (5.436e6, 1000, 0.01, 1e-4, 3400, drawn("poisson", 10)),  # what DP-FedAvg-GAN's public code does by default
    ],
)
def test_the_table_of_epsilons(expected, rounds, noise, delta, devices, selection):
    assert epsilon(rounds, noise, delta, devices, *selection) == pytest.approx(expected, rel=4e-3)


@pytest.mark.parametrize(
    ("noise", "delta", "devices", "selection"),
    [
        (12.7, 1e-2, 10, ()),
        (14.7, 1e-3, 100, ()),
        (1.65, 1e-3, 100, drawn("poisson", 10)),
        (0.60, 1e-5, 10_000, drawn("poisson", 100)),
        (0.37, 1e-7, 1_000_000, drawn("poisson", 100)),
    ],
)
def test_the_noise_that_comes_to_epsilon_8_over_800_rounds(noise, delta, devices, selection):
    found = account(f"privacy.delta={delta}", f"devices={devices}", *selection)
    enough = found.noise_for(8, 800)
    assert enough == pytest.approx(noise, rel=0.02)
    assert float(f"{enough:.3g}") == enough
    assert (
        epsilon(800, enough, delta, devices, *selection) <= 8 < epsilon(800, 0.97 * enough, delta, devices, *selection)
    )


def test_a_selection_that_takes_all_amplifies_nothing():
    everyone = epsilon(100, 2, 1e-3, 50)
    for name in ("uniform", "poisson", "round_robin"):
        assert epsilon(100, 2, 1e-3, 50, *drawn(name, 50)) == everyone


def test_in_turns_only_a_devices_own_rounds_count():
    assert epsilon(100, 2, 1e-3, 50, *drawn("round_robin", 10)) == epsilon(20, 2, 1e-3, 50)
    assert epsilon(101, 2, 1e-3, 50, *drawn("round_robin", 10)) == epsilon(21, 2, 1e-3, 50)


def test_gradients_of_b_images_are_b_releases():
    """Each is clipped by itself, and all move with one device."""
    mdgan = ("method=mdgan", "mdgan.swap_epochs=null", "batch_size=16")
    assert epsilon(25, 8, 1e-5, 10, *mdgan) == pytest.approx(epsilon(25 * 16, 8, 1e-5, 10), rel=1e-12)


def test_replacement_costs_what_twice_the_sensitivity_does():
    """Without amplification RDP of order a is a / (2 z^2): with half the noise, four times as much."""
    found = account("devices=50", "privacy.delta=1e-3", *drawn("uniform", 49))
    assert found.after(1).relation == "replace"
    composed = Renyi(found._releases.one(4.0))
    one, whole = composed.divergences, composed.orders / (2 * 2.0**2)
    assert all(one <= whole)
    assert one[-1] > 0.8 * whole[-1]


def test_epsilon_grows_with_rounds_from_nothing():
    found = account()
    grown = [found.after(rounds).epsilon for rounds in (0, 1, 10, 100)]
    assert grown[0] == 0
    assert grown == sorted(grown)
    assert found.after(1).relation == "add or remove"


def test_without_noise_there_is_no_epsilon():
    assert account("privacy.noise_multiplier=0", "privacy.clip=null").after(10).epsilon is None


def test_a_budget_says_the_noise_that_keeps_to_it():
    within, config = (
        tiny("privacy.name=user", "privacy.target_epsilon=8", f"privacy.noise_multiplier={noise}")
        for noise in (10, 0.1)
    )
    assert over_budget(within, kept_for(within)) is None
    reason = over_budget(config, kept_for(config))
    noise = reason.split("privacy.noise_multiplier=")[1].split()[0]
    kept = tiny("privacy.name=user", "privacy.target_epsilon=8", f"privacy.noise_multiplier={noise}")
    assert over_budget(kept, kept_for(kept)) is None


def test_a_budget_says_what_more_noise_takes_of_an_adaptive_clip():
    words = ["privacy.name=user", "privacy.delta=1e-3", "privacy.clip_quantile=0.5", "privacy.target_epsilon=0.5"]
    config = tiny(*words, "privacy.quantile_noise=0.3")
    reason = over_budget(config, kept_for(config))
    noise, share = (
        reason.split(f"privacy.{key}")[1].split()[0] for key in ("noise_multiplier=", "quantile_noise above ")
    )
    more = [f"privacy.noise_multiplier={noise}", f"privacy.quantile_noise={2 * float(share)}"]
    kept = tiny(*words, *more)
    assert over_budget(kept, kept_for(kept)) is None
    with raises("privacy.quantile_noise", None, "above"):
        tiny(*words, more[0], "privacy.quantile_noise=0.3")


def test_a_run_over_its_budget_does_not_start_and_its_plan_says_why(tmp_path):
    config = tiny("privacy.name=user", "privacy.target_epsilon=1")
    with raises("privacy.target_epsilon", "conflict", "1"):
        raygan.train(config, tmp_path / "run", watchers=[])
    assert not (tmp_path / "run").exists()
    lines, why_not = plan_of(config, [])
    assert "epsilon" in dict(lines)["privacy"]
    assert "privacy.noise_multiplier=" in why_not
    assert plan_of(tiny("privacy.name=user"), [])[1] is None
    assert "privacy" not in dict(plan_of(tiny(), [])[0])


def test_a_run_without_the_library_is_refused_with_the_extra_to_install(monkeypatch):
    monkeypatch.setattr(accounting, "find_spec", lambda name: None)
    with raises("privacy.name", "package", "raygan[privacy]"):
        account()


def test_the_library_is_loaded_only_for_private_runs(tmp_path):
    loaded = {name for name in sys.modules if name.startswith("dp_accounting")}
    assert kept_for(tiny()) is None
    assert {name for name in sys.modules if name.startswith("dp_accounting")} == loaded


PRIVATE = {
    "user": ["privacy.name=user", "privacy.noise_multiplier=4", "privacy.delta=1e-3"],
    "record": ["privacy.name=record", "privacy.delta=1e-3", "gan.discriminator_norm=group"],
    "adaptive": ["privacy.name=user", "privacy.delta=1e-3", "privacy.clip_quantile=0.3", "privacy.quantile_noise=1"],
}


@pytest.mark.parametrize("words", PRIVATE.values(), ids=PRIVATE)
def test_rows_and_evaluation_say_epsilon_and_a_resumed_run_goes_on_with_it(words, tmp_path, cache):
    words = [*words, "eval.metrics=[]", "eval.nearest=0"]
    whole = raygan.train(tiny(*words), tmp_path / "whole", watchers=[])
    raygan.train(tiny(*words, "rounds=2"), tmp_path / "cut", watchers=[])
    resumed = raygan.train(tiny(*words), tmp_path / "cut", watchers=[], resume=True)
    config = tiny(*words)
    found = kept_for(config, dealt(load_data(config.data, config.seed), config).sizes)
    for result in (whole, resumed):
        assert [row["epsilon"] for row in result.rows] == [found.after(rounds).epsilon for rounds in range(5)]
        assert not any("d_loss" in row for row in result.rows)
        told = json.loads((result.out / "evaluation.json").read_text())["privacy"]
        assert told == {"epsilon": found.after(4).epsilon, "delta": 1e-3, "relation": found.after(4).relation}
    assert whole.generator.read_bytes() == resumed.generator.read_bytes()
    assert math.isfinite(found.after(4).epsilon)
    assert [row.get("clip") for row in whole.rows] == [row.get("clip") for row in resumed.rows]
    assert ("clip" in whole.rows[-1]) == ("privacy.clip_quantile=0.3" in words)
    level = "Record-level" if config.privacy.name == "record" else "User-level"
    assert level in privacy_in_words(read_record(resumed.out))


@pytest.mark.parametrize(
    ("expected", "rounds", "noise", "delta", "devices", "selection"),
    [
        (1.828, 1000, 1, 1e-5, 1000, drawn("poisson", 10)),
        (9.86, 800, 10, 1e-2, 10, ()),
        (32.7, 800, 5, 1e-3, 100, ()),
        (0.02, 1000, 1, 1e-7, 1_000_000, drawn("poisson", 100)),
        pytest.param(465, 800, 1, 1e-2, 10, (), marks=pytest.mark.nightly),
        pytest.param(22.6, 1000, 1, 1e-4, 1000, drawn("poisson", 100), marks=pytest.mark.nightly),
    ],
)
def test_the_table_by_privacy_loss_distributions(expected, rounds, noise, delta, devices, selection):
    pld = "privacy.accountant=pld"
    assert epsilon(rounds, noise, delta, devices, pld, *selection) == pytest.approx(expected, rel=4e-3, abs=1e-3)


def test_a_gaussian_release_by_its_privacy_loss_is_the_analytic_one():
    """arXiv 1805.06530, theorem 8: delta = Phi(1/2z - eps z) - e^eps Phi(-1/2z - eps z)."""
    z, found = 2.0, epsilon(1, 2, 1e-3, 10, "privacy.accountant=pld")
    first, second = (norm.cdf(sign / (2 * z) - found * z) for sign in (1, -1))
    assert first - math.exp(found) * second == pytest.approx(1e-3, rel=1e-3)


def test_privacy_loss_says_less_noise_is_enough():
    rdp, pld = (account(f"privacy.accountant={name}", "privacy.delta=1e-3") for name in ("rdp", "pld"))
    enough = pld.noise_for(8, 4)
    assert enough < rdp.noise_for(8, 4)
    assert epsilon(4, enough, 1e-3, 10, "privacy.accountant=pld") <= 8
    assert epsilon(4, 0.97 * enough, 1e-3, 10, "privacy.accountant=pld") > 8


def test_privacy_loss_of_a_fixed_draw_is_refused():
    with raises("privacy.accountant", None, "poisson"):
        account("privacy.accountant=pld", *drawn("uniform", 2))


RECORD = ["gan.discriminator_norm=group", "privacy.delta=1e-4"]


def test_a_step_of_a_device_is_a_poisson_sampled_release_and_the_smallest_shard_is_told():
    words = [*RECORD, "batch_size=8", "device_steps=5", "privacy.noise_multiplier=2"]
    found = account(*words, name="record", sizes=np.array([800, 400, 1000])).after(20)
    assert found.relation == "one sample"
    same = epsilon(100, 2, 1e-4, 400, *drawn("poisson", 8))  # 8 of 400, 20 rounds of 5 steps
    assert found.epsilon == pytest.approx(same, rel=1e-12)


def test_a_shard_of_one_batch_is_whole_in_each_step():
    found = account(*RECORD, "batch_size=32", name="record", sizes=np.array([20, 800])).after(9)
    assert found.epsilon == epsilon(9, 1, 1e-4, 10)


def test_a_delta_above_one_sample_of_the_largest_device_is_refused():
    with raises("privacy.delta", "conflict", "1 / 800"):
        account("gan.discriminator_norm=group", "privacy.delta=0.00125", name="record", sizes=np.array([20, 800]))

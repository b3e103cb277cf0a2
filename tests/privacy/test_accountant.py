"""The account against the table of the literature's settings, against closed forms, and against itself."""

import math
import sys

import pytest

import raygan
from raygan.plan.planning import plan_of
from raygan.privacy import accountant as accounting
from raygan.privacy.accountant import accountant_of, over_budget
from raygan.round.checks import method_of
from tests.errors import raises
from tests.helpers import tiny

pytest.importorskip("dp_accounting", reason="needs pip install 'raygan[privacy]'")


def account(*words):
    config = tiny("privacy.name=user", *words)
    return accountant_of(config, method_of(config))


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
    orders, one = found._of_one_round(4.0)
    whole = orders / (2 * 2.0**2)
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
    within = account("privacy.target_epsilon=8", "privacy.noise_multiplier=10")
    config = tiny("privacy.name=user", "privacy.target_epsilon=8", "privacy.noise_multiplier=0.1")
    assert over_budget(within._config, within) is None
    reason = over_budget(config, accountant_of(config, method_of(config)))
    noise = reason.split("privacy.noise_multiplier=")[1].split()[0]
    kept = tiny("privacy.name=user", "privacy.target_epsilon=8", f"privacy.noise_multiplier={noise}")
    assert over_budget(kept, accountant_of(kept, method_of(kept))) is None


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
    assert accountant_of(tiny(), method_of(tiny())) is None
    assert {name for name in sys.modules if name.startswith("dp_accounting")} == loaded


def test_rows_and_evaluation_say_epsilon_and_a_resumed_run_goes_on_with_it(tmp_path, cache):
    words = ["privacy.name=user", "privacy.noise_multiplier=4", "privacy.delta=1e-3", "eval.metrics=[]"]
    whole = raygan.train(tiny(*words), tmp_path / "whole", watchers=[])
    raygan.train(tiny(*words, "rounds=2"), tmp_path / "cut", watchers=[])
    resumed = raygan.train(tiny(*words), tmp_path / "cut", watchers=[], resume=True)
    found = account(*words)
    for result in (whole, resumed):
        assert [row["epsilon"] for row in result.rows] == [found.after(rounds).epsilon for rounds in range(5)]
        assert not any("d_loss" in row for row in result.rows)
    assert whole.generator.read_bytes() == resumed.generator.read_bytes()
    assert math.isfinite(found.after(4).epsilon)

"""Adaptive augmentation: p goes down, mean signs go up, whatever the method."""

import numpy as np
import pytest

import raygan
from raygan.components import METHODS
from tests.helpers import tiny, undisturbed_run
from tests.methods.parties import parties, play, play_restored

ADA = ["gan.augment=ada", "gan.ada_images=64"]  # a round of a step of 8 moves p by an eighth


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_adapts_nothing_yet_is_the_method_itself(method):
    """As p begins at 0: one round is, but for one value each way, the one without."""
    words = [f"method={method}", "mdgan.swap_epochs=null"]
    (worker, server), (other_worker, other) = (parties(tiny(*words, *more), [30, 30]) for more in ([], ADA))
    down, with_p = server.down(1), other.down(1)
    assert np.array_equal(with_p, np.append(down, np.float32(0)))
    (message, _), (longer, _) = worker.update_devices(1, down, [0, 1]), other_worker.update_devices(1, with_p, [0, 1])
    server.update(1, [message])
    _, report = other.update(1, [longer])
    assert np.array_equal(server.side.networks.generator.dump(), other.side.networks.generator.dump())
    assert other.side.update_size == server.side.update_size + 1
    assert -1 <= report.metrics["real_sign"] <= 1
    assert report.metrics["augment_p"] in (0, 1 / 8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("target", "expected"), [(0.0, [1 / 8, 1 / 4, 3 / 8]), (0.999, [0, 0, 0])])
def test_p_follows_the_mean_sign_and_stays_a_probability(method, target, expected, monkeypatch):
    monkeypatch.setattr("raygan.gan.chance.Chance.mean_sign", lambda self: 0.5)
    config = tiny(f"method={method}", *ADA, f"gan.ada_target={target}", "mdgan.swap_epochs=null")
    worker, server = parties(config, [30, 30])
    seen, signs = [], []
    for round in range(1, 4):
        message, _ = worker.update_devices(round, server.down(round), worker.devices)
        _, report = server.update(round, [message])
        seen.append(report.metrics["augment_p"])
        signs.append(report.metrics["real_sign"])
        assert server.down(round + 1)[-1] == np.float32(seen[-1])
    assert seen == pytest.approx(expected)
    assert signs == pytest.approx([0.5] * 3)


def test_the_mean_sign_is_that_of_the_logits_of_real_samples():
    """A discriminator whose logits are all positive, and one whose are all negative."""
    for bias, sign in ((100.0, 1.0), (-100.0, -1.0)):
        config = tiny(*ADA, "gan.discriminator=mlp", "gan.discriminator_norm=none", "device_steps=3")
        worker, server = parties(config, [30, 30])
        server.side.networks.discriminator.module.layers[-1].bias.data.fill_(bias)
        message, _ = worker.update_devices(1, server.down(1), worker.devices)
        _, report = server.update(1, [message])
        assert report.metrics["real_sign"] == sign


@pytest.mark.parametrize("method", METHODS)
def test_the_state_has_p(method):
    config = tiny(f"method={method}", *ADA, "gan.ada_target=0.0", "mdgan.swap_epochs=null")
    side, straight = play_restored(config, [20, 40], 5, before=3), play(config, [20, 40], 5)
    assert all(np.array_equal(value, straight.state()[name]) for name, value in side.state().items())


SWITCHES = {
    "diffaugment, lazy R1": ["gan.augment=diffaugment", "gan.r1=0.1", "gan.penalty_every=3", "device_steps=2"],
    "ada, R2": [*ADA, "gan.ada_target=0.0", "gan.r2=0.1"],
    "relativistic": ["gan.loss=relativistic", "gan.r1=0.1", "gan.r2=0.1", "gan.augment=diffaugment", "method=fedgan"],
    "ada, swaps": [*ADA, "gan.ada_target=0.0", "method=mdgan", "mdgan.batches=2", "mdgan.swap_epochs=0.25"],
}


@pytest.mark.parametrize("words", SWITCHES.values(), ids=SWITCHES)
def test_packed_interrupted_and_undisturbed_runs_give_the_same_bytes(words, tmp_path):
    undisturbed = undisturbed_run([*words, "data.partition.name=dirichlet"], tmp_path)
    if "gan.augment=ada" in words:
        assert undisturbed.rows[-1]["augment_p"] > 0


@pytest.mark.ray
@pytest.mark.parametrize(
    "switch",
    [pytest.param(one, marks=pytest.mark.slow if one == "ada, swaps" else pytest.mark.nightly) for one in SWITCHES],
)
def test_on_ray_too(switch, tmp_path, cluster):
    words = [*SWITCHES[switch], "data.partition.name=dirichlet"]
    inline = raygan.train(tiny(*words), tmp_path / "inline")
    on_ray = raygan.train(tiny(*words, "engine.executor=ray", "engine.devices_per_actor=2"), tmp_path / "ray")
    assert on_ray.generator.read_bytes() == inline.generator.read_bytes()
    assert [row.get("augment_p") for row in on_ray.rows] == [row.get("augment_p") for row in inline.rows]

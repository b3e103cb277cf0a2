"""What happens to updates that are not finite, do not fit, or come from a device that means no good."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import raygan
from raygan.errors import BadUpdateError
from raygan.record.folder import RunFolder
from raygan.round.messages import Message
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import parties

BAD = {
    "sends_nan": ("not_finite", "a value of magnitude nan"),
    "sends_too_much": ("result", "float32"),
    "loses_its_loss": ("not_finite", "a loss"),
}


@pytest.mark.parametrize("method", BAD)
def test_by_default_the_run_stops_with_its_state_saved(method, tmp_path):
    code, shown = BAD[method]
    with raises("round 2, device 0", code, shown, "round_000001", kind=raygan.RunError):
        raygan.train(tiny(f"method=tests.own:{method}", "checkpoint.every=1"), tmp_path / "run")


@pytest.mark.parametrize("method", BAD)
@pytest.mark.parametrize("packing", ["engine.devices_per_actor=1", "engine.devices_per_actor=3"])
def test_the_device_misses_the_round_if_the_user_says_so(method, packing, tmp_path):
    config = tiny(f"method=tests.own:{method}", "engine.on_bad_update=drop", packing)
    result = raygan.train(config, tmp_path / "run")
    assert [list(row.get("dropped", [])) for row in result.rows] == [[], [], ["0"], ["0"], ["0"]]
    assert np.isfinite([row["d_loss"] for row in result.rows[1:]]).all()
    (event,) = [json.loads(line) for line in RunFolder(result.out).events.read_text().splitlines()]
    assert event["what"].startswith("round 2 goes on without device 0 (round 2, device 0: ")
    without = raygan.train(tiny("engine.on_bad_update=drop", "method=tests.own:sends_nan"), tmp_path / "without")
    assert result.generator.read_bytes() == without.generator.read_bytes(), "whatever it was that did not count"


def test_a_run_that_stopped_goes_on_without_the_device(tmp_path):
    words = ["method=tests.own:sends_nan", "checkpoint.every=1"]
    with pytest.raises(raygan.RunError):
        raygan.train(tiny(*words), tmp_path / "run")
    resumed = raygan.train(tiny(*words, "engine.on_bad_update=drop"), tmp_path / "run", resume=True)
    at_once = raygan.train(tiny(*words, "engine.on_bad_update=drop"), tmp_path / "at once")
    assert resumed.generator.read_bytes() == at_once.generator.read_bytes()


def test_weights_are_those_of_the_devices_that_remain():
    config = tiny("engine.on_bad_update=drop", "averaged.weights=shard")
    worker, server = parties(config, [10, 20, 30])
    down = server.down(1)
    updates = [worker.update(number, 1, down)[0] for number in range(3)]
    updates[0].vector[3] = np.nan
    _, report = server.update(1, [Message([update]) for update in updates])
    assert list(report.dropped) == [0]
    _, other = parties(config, [10, 20, 30])
    other.down(1)
    other.update(1, [Message(updates[1:])])
    assert torch.equal(server.side.networks.discriminator.vector, other.side.networks.discriminator.vector)


@pytest.mark.parametrize("aggregation", ["mean", "median"])
def test_the_server_looks_again_at_what_comes_up(aggregation):
    """As if a value had been changed on the way."""
    worker, server = parties(tiny(f"aggregation.name={aggregation}"), [20, 20, 20])
    message, _ = worker.update_devices(1, server.down(1), worker.devices)
    damage(message, aggregation)
    with raises("round 1, server", "result", "device 0, 1, 2", kind=BadUpdateError):
        server.update(1, [message])


@pytest.mark.parametrize("aggregation", ["mean", "median"])
def test_a_round_of_which_nothing_is_left_averages_nothing(aggregation):
    worker, server = parties(tiny(f"aggregation.name={aggregation}", "engine.on_bad_update=drop"), [20, 20, 20])
    before = server.side.networks.discriminator.dump()
    message, _ = worker.update_devices(1, server.down(1), worker.devices)
    damage(message, aggregation)
    no_slot = Message(parts=[replace(message.parts[0], slot=1)])
    _, report = server.update(1, [message, no_slot])
    assert (list(report.dropped), report.metrics) == ([0, 1, 2], {})
    assert np.array_equal(server.side.networks.discriminator.dump(), before)


def damage(message, aggregation):
    (part,) = message.parts
    changed = part.content[0][0] if aggregation == "mean" else part.content[1][0]
    changed[5] = np.inf


@pytest.mark.parametrize("aggregation", ["mean", "clipped_mean"])
@pytest.mark.parametrize("packing", [1, 3])
def test_weights_beyond_what_a_method_may_give_are_nobodys_bad_update(aggregation, packing, tmp_path):
    words = [f"aggregation.name={aggregation}", f"engine.devices_per_actor={packing}", "engine.on_bad_update=drop"]
    with raises("round 1", "failed", "at most 200", kind=raygan.RunError):
        raygan.train(tiny("method=tests.own:weighs_all", *words), tmp_path / "run")


def test_discriminators_change_places_with_a_device_that_has_not_trained_yet(tmp_path):
    words = ["method=tests.own:mdgan_sends_nan", "mdgan.swap_epochs=0.1", "mdgan.batches=1", "devices=2"]
    result = raygan.train(tiny(*words, "engine.on_bad_update=drop"), tmp_path / "run")
    assert list(result.rows[1]["dropped"]) == ["0"]
    assert result.rows[1]["bytes_swap"] > 0
    assert not result.rows[-1]["dropped"]


def test_a_run_in_which_nobody_counts_any_more_ends(tmp_path):
    words = ["method=tests.own:sends_nan", "devices=1", "rounds=40", "checkpoint.every=1", "engine.on_bad_update=drop"]
    with raises("round 11", "not_finite", "10 rounds", kind=raygan.RunError):
        raygan.train(tiny(*words), tmp_path / "run")
    assert RunFolder(tmp_path / "run").log.last_round() >= 11


@pytest.mark.parametrize("harm", [{"slot": 1}, {"slot": -1}, {"weight": 0}, {"weight": 61}])
def test_a_slot_or_weight_that_is_none_is_refused(harm):
    worker, server = parties(tiny(), [20, 20, 20])
    good = worker.update(0, 1, server.down(1))[0]
    with raises("round 1, server", "result", "(1 to 60)", "(of 1)", kind=BadUpdateError):
        server.update(1, [Message([replace(good, **harm)])])


def test_what_a_devices_code_raises_names_device_and_round_and_its_traceback_is_kept(tmp_path):
    with raises("round 2, device 0", "failed", "RuntimeError: on purpose", "error.txt", kind=raygan.RunError):
        raygan.train(tiny("method=tests.own:raises"), tmp_path / "run")
    assert "in poisoned" in RunFolder(tmp_path / "run").error.read_text()


@pytest.mark.parametrize("name", ["mean", "median", "trimmed_mean", "clipped_mean"])
def test_a_robust_run_withstands_a_device_that_sends_far_off_updates(name, tmp_path):
    words = ["method=tests.own:sends_far_off", "devices=5", "rounds=8", f"aggregation.name={name}"]
    config = tiny(*words, "gan.discriminator_norm=none")
    try:
        losses = [row["g_loss"] for row in raygan.train(config, tmp_path / "run").rows[1:]]
        withstood = max(np.abs(losses)) < 10
    except raygan.RunError:  # diverged
        withstood = False
    assert withstood == (name != "mean")

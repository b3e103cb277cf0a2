"""A generator that copies its shard is found out, one that never saw it is not; and what a run records of it."""

import json

import numpy as np
import pytest
import torch

import raygan
from raygan.components import METHODS
from raygan.data import dealt, load_data, parted, split
from raygan.evaluation.final import evaluate_run
from raygan.evaluation.membership import MOST, membership
from raygan.metrics.classifier import scale
from raygan.record.checkpoint import load_server
from raygan.record.folder import RunFolder
from raygan.report.record import read_record
from raygan.report.run.page import write_report
from raygan.round.checks import method_of
from tests.errors import raises
from tests.helpers import tiny

HALF = "data.held_out=0.5"


def attacked(config, generated, discriminator=None):
    images = load_data(config.data, config.seed)
    return membership(config, images, generated, discriminator, 100).get("membership")


def copies(config, which):
    """What a generator makes that knows the members of each device by heart, or the held-out samples."""
    images = load_data(config.data, config.seed)
    return scale(images.images[parted(images, config)[which].indices])


def holds(area, value):
    return area["low"] <= value <= area["high"]


def test_copies_of_a_shard_are_found_out_device_by_device():
    config = tiny(HALF)
    noisy = copies(config, 0) + 0.05 * torch.randn(1, generator=torch.Generator().manual_seed(0))
    found = attacked(config, noisy)
    assert found["members"] == found["others"] + 2  # of 67, 67 and 66 samples the smaller halves are held out
    for area in [found["nearest"]["all"], *found["nearest"]["devices"]]:
        assert area["auc"] > 0.99
        assert not holds(area, 0.5)


def test_copies_of_what_was_held_out_look_like_the_opposite():
    config = tiny(HALF)
    assert attacked(config, copies(config, 1))["nearest"]["all"]["auc"] < 0.01


@pytest.mark.parametrize("partition", ["iid", "dirichlet"])
def test_a_generator_that_never_saw_a_shard_is_not_found_out(partition):
    """It makes other real images of the set. Devices differ, but each one's members and others do not.

    A 95 % interval misses 0.5 for one draw of held-out samples in twenty.
    """
    whole = load_data(tiny("data.limit=1797").data, 0).images
    held = np.zeros(2)
    for seed in range(10):
        words = [f"data.partition.name={partition}", "data.limit=1200", "devices=4", f"seed={seed}"]
        config = tiny(HALF, *words)
        seen = {image.tobytes() for image in load_data(config.data, seed).images}
        others = scale(np.stack([image for image in whole if image.tobytes() not in seen]))
        assert len(others) > 500
        found = attacked(config, others)["nearest"]
        held += holds(found["all"], 0.5), sum(holds(area, 0.5) for area in found["devices"]) / 4
    assert held[0] >= 8
    assert held[1] >= 8


def test_a_discriminator_that_knows_its_samples_is_found_out():
    config = tiny(HALF, "gan.discriminator_norm=none", "gan.discriminator_width=16", "seed=3")
    images = load_data(config.data, config.seed)
    networks = method_of(config).server(config, images.shape, torch.device("cpu")).networks
    fresh = networks.discriminator.dump()
    member = torch.zeros(len(images), dtype=torch.bool)
    member[parted(images, config)[0].indices] = True
    optimizer = torch.optim.Adam(networks.discriminator.module.parameters(), 2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        logits = networks.logits(scale(images.images))
        torch.nn.functional.binary_cross_entropy_with_logits(logits, member.float()).backward()
        optimizer.step()
    generated = torch.zeros(1, *images.shape)
    learned = attacked(config, generated, networks.discriminator.dump())["discriminator"]["all"]
    assert learned["low"] > 0.8
    assert holds(attacked(config, generated, fresh)["discriminator"]["all"], 0.5)


def test_without_held_out_samples_nothing_is_told():
    assert attacked(tiny(), torch.zeros(1, 1, 16, 16)) is None


def test_of_a_large_shard_a_part_is_tried():
    found = attacked(tiny(HALF, "devices=1", "data.limit=1797"), torch.zeros(1, 1, 16, 16))
    assert found["members"] == found["others"] == MOST


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.99])
def test_each_device_holds_out_its_share_and_keeps_a_sample(share):
    config = tiny(f"data.held_out={share}", "data.partition.name=quantity")
    images = load_data(config.data, config.seed)
    whole = split(images.labels, config.devices, config.data.partition, config.seed)
    members, others = parted(images, config)
    for device in range(config.devices):
        assert len(others[device]) == int(share * len(whole[device]))
        both = np.sort(np.concatenate([members[device], others[device]]))
        assert np.array_equal(both, whole[device])
        assert np.all(np.diff(members[device]) > 0)
    assert members.sizes.min() >= 1
    assert np.array_equal(dealt(images, config).indices, members.indices)


def test_what_is_held_out_is_no_neighbour_of_the_classes_or_the_order():
    config = tiny("data.held_out=0.5", "devices=1", "data.limit=1797")
    images = load_data(config.data, config.seed)
    members, others = parted(images, config)
    counts = [np.bincount(images.labels[one.indices], minlength=10) for one in (members, others)]
    assert np.abs(np.subtract(*counts)).max() < 50
    assert abs(np.mean(members.indices) - np.mean(others.indices)) < 60


@pytest.mark.parametrize("name", METHODS)
def test_a_run_records_it_as_evaluate_does_again(name, tmp_path, cache):
    words = [f"method={name}", HALF, "rounds=2", "eval.metrics=[]"]
    out = raygan.train(tiny(*words), tmp_path / "run", watchers=[]).out
    folder = RunFolder(out)
    written = json.loads(folder.evaluation.read_text())
    assert written == json.loads(json.dumps(evaluate_run(folder.read_config(), out, None)))
    attacks = {"nearest"} | ({"discriminator"} if name != "mdgan" else set())
    assert attacks == {"nearest", "discriminator"} & written["membership"].keys()
    assert len(written["membership"]["nearest"]["devices"]) == (1 if name == "centralized" else 3)
    record = read_record(out)
    assert record.closing.membership.members == written["membership"]["members"]
    page = write_report(out, tmp_path / "page.html").read_text()
    assert "held out" in page
    assert "membership inference" in page


def test_a_damaged_checkpoint_is_named(tmp_path, cache):
    out = raygan.train(tiny("rounds=2", HALF, "eval.metrics=[]"), tmp_path / "run", watchers=[]).out
    checkpoints = RunFolder(out).checkpoints
    assert load_server(checkpoints, 1) is None
    file = checkpoints / "round_000002" / "server.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with raises("server.safetensors", "damaged"):
        evaluate_run(RunFolder(out).read_config(), out, None)


def test_the_page_of_a_private_run_says_epsilon(tmp_path, cache):
    pytest.importorskip("dp_accounting", reason="needs pip install 'raygan[privacy]'")
    words = ["privacy.name=user", "privacy.noise_multiplier=4", "rounds=2", "eval.metrics=[]"]
    out = raygan.train(tiny(*words), tmp_path / "run", watchers=[]).out
    closing = json.loads(RunFolder(out).evaluation.read_text())
    assert closing["privacy"]["epsilon"] == pytest.approx(RunFolder(out).log.rows()[-1]["epsilon"])
    assert closing["privacy"]["relation"] == "add or remove"
    page = write_report(out, tmp_path / "page.html").read_text()
    assert f"epsilon {closing['privacy']['epsilon']:.3g} at delta 1e-05" in page

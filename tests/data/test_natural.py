"""Who holds what decides which device has it."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import raygan
from raygan.config import load_config
from raygan.config.partitions import Natural
from raygan.data import ImageSet
from raygan.data.natural import device_names, devices_of, with_enough
from raygan.data.partition import dealt, split
from raygan.data.shards import Shards
from tests.errors import raises
from tests.helpers import TINY, tiny

TINY_OPEN = [word for word in TINY if not word.startswith(("devices", "data.limit"))]

HOLDERS = np.array([2, 0, 0, 1, 2, 2, 1, 2])
IMAGES = ImageSet(
    np.arange(8 * 256, dtype=np.uint8).reshape(8, 1, 16, 16),
    np.arange(8) % 2,
    ("a", "b"),
    HOLDERS,
    ("ann", "bob", "cem"),
)


def held(shards):
    return [shard.tolist() for shard in (shards[device] for device in range(len(shards)))]


def test_a_device_for_each_holder_in_their_order():
    assert held(split(IMAGES.labels, 3, Natural(), 0, HOLDERS)) == [[1, 2], [3, 6], [0, 4, 5, 7]]


def test_fewer_devices_take_several_holders_evenly():
    shards = split(IMAGES.labels, 2, Natural(), 0, HOLDERS)
    assert held(shards) == [[0, 4, 5, 7], [1, 2, 3, 6]]
    assert device_names(IMAGES, shards, 9) == ["cem", "ann, bob"]


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=40), devices=st.integers(1, 40))
def test_no_device_has_more_than_the_greedy_bound(sizes, devices):
    """Graham's bound for the largest first: 4/3 of the best, which is no less than the mean and the largest."""
    devices = min(devices, len(sizes))
    loads = np.bincount(devices_of(np.array(sizes), devices), sizes, minlength=devices)
    assert loads.min() > 0
    if devices < len(sizes):
        ordered = sorted(sizes, reverse=True)
        best = max(sum(sizes) / devices, ordered[0], ordered[devices - 1] + ordered[devices])
        assert loads.max() <= 4 / 3 * best + 1e-9 or loads.max() <= sum(sizes) / devices + ordered[0]


def test_more_devices_than_holders_are_refused_with_the_number_that_fits():
    with raises("devices", "few", "3 holders"):
        split(IMAGES.labels, 4, Natural(), 0, HOLDERS)


def test_holders_with_too_few_are_left_out_and_it_is_said():
    kept = with_enough(IMAGES, Natural(min_samples=3))
    assert kept.holder_names == ("cem",)
    assert kept.holders.tolist() == [0, 0, 0, 0]
    assert kept.images[0, 0, 0, 1] == IMAGES.images[0, 0, 0, 1]
    assert kept.notes == (
        "2 holders with fewer than data.partition.min_samples=3 samples left out, with 4 samples: ann, bob",
    )


def test_nobody_with_enough_is_refused():
    with raises("data.partition.min_samples", "few", "9", "3 holders", "4 samples"):
        with_enough(IMAGES, Natural(min_samples=9))


def test_data_that_names_no_holders_is_refused():
    with raises("data.partition.name", "missing"):
        raygan.train(tiny("data.partition.name=natural"), "unused")


def test_the_number_of_devices_is_that_of_the_holders_unless_it_is_given():
    natural = load_config(None, ["data.partition.name=natural"])
    assert natural.devices == 0
    assert load_config(None, ["data.partition.name=natural", "devices=4"]).devices == 4
    with raises("devices", "conflict", "data.partition.name=natural"):
        load_config(None, ["devices=0"])


LOADED = []


def holders(data, seed):
    """A data set of one's own with three holders."""
    LOADED.append(data.name)
    random = np.random.default_rng(seed)
    images = random.integers(256, size=(60, 1, 16, 16), dtype=np.uint8)
    return ImageSet(images, np.arange(60) % 2, ("a", "b"), np.arange(60) // 25, ("ann", "bob", "cem"))


def test_a_run_has_a_device_for_each_holder_and_its_records_name_them(tmp_path):
    words = ["data.name=tests.data.test_natural:holders", "data.partition.name=natural", "eval.metrics=[sliced]"]
    config = load_config(None, [*TINY_OPEN, *words])
    LOADED.clear()
    result = raygan.train(config, tmp_path / "run")
    assert len(LOADED) == 1
    assert raygan.load_config(result.out / "config.yaml").devices == 3
    about = json.loads((result.out / "data.json").read_text())
    assert about["device_names"] == ["ann", "bob", "cem"]
    assert [sum(counts) for counts in about["device_class_counts"]] == [25, 25, 10]


def seen_by(labels, devices, partition, random, holders):
    """A partition of one's own that is given the holders."""
    return [np.flatnonzero(holders % devices == device) for device in range(devices)]


def test_a_partition_of_ones_own_may_ask_for_the_holders():
    words = ["data.name=tests.data.test_natural:holders", "devices=2"]
    config = load_config(None, [*words, "data.partition.name=tests.data.test_natural:seen_by"])
    images = holders(config.data, 0)
    assert dealt(images, config).sizes.tolist() == [35, 25]


def test_limit_keeps_holders(tmp_path):
    images = raygan.data.load_data(
        load_config(None, ["data.name=tests.data.test_natural:holders", "data.limit=10"]).data, 0
    )
    assert images.holders.tolist() == [0] * 10
    assert isinstance(Shards.of_holders(images.holders, 1), Shards)


def test_the_page_names_the_holders(tmp_path):
    words = ["data.name=tests.data.test_natural:holders", "data.partition.name=natural", "eval.metrics=[sliced]"]
    result = raygan.train(load_config(None, [*TINY_OPEN, *words, "data.partition.min_samples=20"]), tmp_path / "run")
    page = result.report().read_text()
    assert "device 1, bob" in page
    assert "1 holder with fewer than data.partition.min_samples=20 samples left out, with 10 samples: cem" in page

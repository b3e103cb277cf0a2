import hashlib
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygan.config.data import Digits
from raygan.config.partitions import Classes, Dirichlet, Iid, OwnPartition, Quantity
from raygan.data import Shards, load_data, split
from raygan.rng import Role, stream


@given(
    holders=st.lists(st.integers(0, 6), min_size=1, max_size=60).map(np.array),
    seed=st.integers(0, 2**32),
)
def test_both_ways_to_shards_are_a_sorted_array_per_device(holders, seed):
    expected = [np.flatnonzero(holders == device) for device in range(7)]
    random = np.random.default_rng(seed)
    for shards in (
        Shards.of_holders(holders, 7),
        Shards.of_arrays([random.permutation(members) for members in expected]),
    ):
        assert len(shards) == len(list(shards)) == 7
        assert shards.sizes.tolist() == [len(members) for members in expected]
        for device, members in enumerate(expected):
            assert np.array_equal(shards[device], members)
            assert np.shares_memory(shards[device], shards.indices) == (len(members) > 0)


@given(samples=st.integers(1, 90), devices=st.integers(1, 90), seed=st.integers(0, 2**32))
def test_iid_shards_are_the_shuffled_samples_in_equal_pieces(samples, devices, seed):
    devices = min(devices, samples)
    shards = split(np.zeros(samples), devices, Iid(), seed)
    pieces = np.array_split(stream(seed, Role.PARTITION).permutation(samples), devices)
    assert all(np.array_equal(shard, np.sort(piece)) for shard, piece in zip(shards, pieces, strict=True))


@pytest.mark.parametrize(
    ("partition", "devices", "expected"),
    [
        (Iid(), 7, "a3c446f8b4de575d"),
        (Dirichlet(alpha=0.3), 12, "ee1c669270057c23"),
        (Quantity(alpha=0.7), 11, "e5d5a2f3e12a7663"),
        (Classes(per_device=3), 9, "3845f6cd4c526b8e"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_seed_gives_the_same_shards_for_ever(partition, devices, expected):
    hasher = hashlib.blake2b(digest_size=8)
    for shard in split(np.random.default_rng(5).integers(10, size=3000), devices, partition, 4):
        hasher.update(shard.astype("<i8").tobytes() + b"|")
    assert hasher.hexdigest() == expected


def test_a_million_devices_cost_two_flat_arrays():
    shards = split(np.zeros(1_000_000, np.int8), 1_000_000, Iid(), 0)
    assert shards.sizes.tolist() == [1] * 1_000_000
    assert shards.indices.nbytes + shards.offsets.nbytes == 16 * 1_000_000 + 8


def test_lists_of_ones_own_partition_need_not_be_sorted():
    shards = split(np.zeros(6), 2, OwnPartition(name="tests.data.test_shards:backwards"), 0)
    assert [shard.tolist() for shard in shards] == [[1, 3, 5], [0, 2, 4]]


def backwards(labels, devices, partition, random):
    return [np.arange(len(labels))[::-1][device::devices] for device in range(devices)]


@pytest.mark.parametrize("limit", [None, 50])
def test_images_keep_their_strides_when_pickled(limit):
    """Also those of axes of length 1, by which torch chooses a batch's layout, and so the order of its sums."""
    images = load_data(Digits(limit=limit), seed=0)
    again = pickle.loads(pickle.dumps(images))
    assert again.images.strides == images.images.strides
    assert np.array_equal(again.images, images.images)
    assert again.digest == images.digest

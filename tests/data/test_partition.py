import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raygan import InputError
from raygan.config.partitions import Classes, Dirichlet, DirichletEqual, Iid, OwnPartition, Quantity
from raygan.data import split
from raygan.data.partition import dirichlet_equal
from tests.errors import is_about, raises

partitions = st.one_of(
    st.just(Iid()),
    st.builds(Dirichlet, alpha=st.floats(0.05, 100)),
    st.builds(Dirichlet, alpha=st.floats(0.05, 100), min_samples=st.integers(1, 5)),
    st.builds(DirichletEqual, alpha=st.floats(0.05, 100)),
    st.builds(Quantity, alpha=st.floats(0.05, 100)),
    st.builds(Classes, per_device=st.integers(1, 5)),
)


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=80).map(np.array),
    devices=st.integers(1, 12),
    partition=partitions,
    seed=st.integers(0, 2**32),
)
def test_every_sample_is_on_exactly_one_device_and_none_is_empty(labels, devices, partition, seed):
    try:
        shards = split(labels, devices, partition, seed)
    except InputError as error:
        assert (error.key, error.code) in {("devices", "few"), ("data.partition.per_device", "value")}
        return
    assert len(shards) == devices
    assert all(len(shard) for shard in shards)
    assert np.array_equal(np.sort(np.concatenate(shards)), np.arange(len(labels)))
    again = split(labels, devices, partition, seed)
    assert all(np.array_equal(a, b) for a, b in zip(shards, again, strict=True))


LABELS = np.repeat(np.arange(10), 100)


def test_iid_shards_are_equal():
    assert [len(shard) for shard in split(LABELS, 8, Iid(), 0)] == [125] * 8


def test_fedgans_split_two_of_ten_classes_on_five_devices():
    shards = split(LABELS, 5, Classes(per_device=2), 0)
    assert [sorted(set(LABELS[shard])) for shard in shards] == [[2 * i, 2 * i + 1] for i in range(5)]


def test_more_places_than_classes_share_a_class_equally():
    shards = split(LABELS, 10, Classes(per_device=2), 0)
    assert [len(shard) for shard in shards] == [100] * 10
    assert [len(set(LABELS[shard])) for shard in shards] == [2] * 10


def entropy(shards):
    total = 0.0
    for shard in shards:
        share = np.bincount(LABELS[shard], minlength=10) / len(shard)
        total -= (share[share > 0] * np.log(share[share > 0])).sum() / len(shards)
    return total


def test_a_small_alpha_means_few_classes_per_device():
    mild, strong = (split(LABELS, 5, Dirichlet(alpha=alpha), 0) for alpha in (100.0, 0.1))
    assert entropy(mild) > 2.2 > 1.6 > entropy(strong)


@given(alpha=st.floats(0.2, 20), least=st.integers(1, 12), seed=st.integers(0, 1000))
def test_every_device_has_the_least_number_of_samples(alpha, least, seed):
    for kind in (Dirichlet, Quantity):
        try:
            shards = split(LABELS, 6, kind(alpha=alpha, min_samples=least), seed)
        except InputError as error:
            is_about(error, "devices", "few", *([f"data.partition.min_samples={least}"] if least > 1 else []))
        else:
            assert shards.sizes.min() >= least


@given(alpha=st.floats(0.01, 100), devices=st.integers(1, 40), seed=st.integers(0, 1000))
def test_equal_shards_have_their_own_proportions(alpha, devices, seed):
    shards = split(LABELS, devices, DirichletEqual(alpha=alpha), seed)
    assert shards.sizes.max() - shards.sizes.min() <= 1


def test_proportions_of_equal_shards_are_dirichlets():
    """Before classes run out: the first device's shares have the mean p and the variance p (1 - p) / (alpha + 1)."""
    labels = np.repeat(np.arange(4), [4_000, 3_000, 2_000, 1_000])
    prior, alpha = np.array([0.4, 0.3, 0.2, 0.1]), 3.0
    partition, first = DirichletEqual(alpha=alpha), []
    for seed in range(400):
        shard = dirichlet_equal(labels, 50, partition, np.random.default_rng(seed))[0]
        first.append(np.bincount(labels[shard], minlength=4) / len(shard))
    shares = np.array(first)
    assert shares.mean(axis=0) == pytest.approx(prior, abs=0.04)
    assert shares.var(axis=0) == pytest.approx(prior * (1 - prior) / (alpha + 1), rel=0.35)


def test_a_small_alpha_means_few_classes_on_each_of_equal_shards():
    mild, strong = (split(LABELS, 20, DirichletEqual(alpha=alpha), 0) for alpha in (1000.0, 0.1))
    assert entropy(mild) > 2.1 > 1.2 > entropy(strong)


def test_quantity_is_unequal_but_blind_to_class():
    shards = split(LABELS, 4, Quantity(alpha=0.5), 3)
    sizes = [len(shard) for shard in shards]
    assert max(sizes) > 2 * min(sizes)
    largest = shards[int(np.argmax(sizes))]
    assert np.bincount(LABELS[largest], minlength=10).min() > 0.05 * len(largest)


@pytest.mark.parametrize(
    ("labels", "devices", "partition", "about"),
    [
        (LABELS, 1001, Iid(), ("devices", "few", "at most 1000")),
        (LABELS, 4, Classes(per_device=2), ("devices", "few", "5 devices")),
        (LABELS, 5, Classes(per_device=11), ("data.partition.per_device", "value", "10 classes")),
        (np.arange(10), 20, Classes(per_device=1), ("devices", "few", "10 samples", "at most 10")),
        (np.arange(10).repeat(2), 15, Classes(per_device=3), ("devices", "few", "6 devices")),
        (LABELS[:20], 20, Dirichlet(alpha=0.05), ("devices", "few", "100 draws", "6 devices")),
        (LABELS, 3, OwnPartition(name="tests.own:forgets_one"), ("data.partition.name", "result")),
        (LABELS, 3, OwnPartition(name="tests.own:nothing"), ("data.partition.name", "import")),
        (LABELS[:60], 6, Dirichlet(alpha=0.5, min_samples=11), ("devices", "few", "data.partition.min_samples=11")),
        (np.array([0, 1, 1]), 2, Classes(per_device=2), ("devices", "few", "class number 0", "1 sample", "2 devices")),
    ],
)
def test_what_does_not_go_round_says_what_fits(labels, devices, partition, about):
    with raises(*about):
        split(labels, devices, partition, 0)


def test_a_partition_of_ones_own():
    shards = split(LABELS, 2, OwnPartition(name="tests.own:halves", options={"first": 10}), 0)
    assert [len(shard) for shard in shards] == [10, 990]

"""Features that do not go together: each alone is right, and both would be wrong without a word."""

from itertools import chain

import numpy as np
import pytest

import raygan
from raygan.channel.selection import Selection
from raygan.cluster.routing import adds_up_on_nodes
from raygan.record.settings import check_same_run, lasting
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import parties

LATE = ["channel.name=wireless", "selection.deadline_s=0.5"]
DELTA = ["averaged.upload=delta"]
ASYNCHRONOUS = ["schedule=asynchronous", "gan.discriminator_norm=batch"]
PRIVATE = ["privacy.name=user", "privacy.delta=1e-3"]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ([*DELTA, *ASYNCHRONOUS], "averaged.upload"),  # a variance would become negative
        (["method=fedgan", "fedgan.upload=delta", *ASYNCHRONOUS], "fedgan.upload"),
        ([*DELTA, *LATE, "compression.name=topk", "scaffold.option=I"], "scaffold.option"),  # c_k would be lost
        ([*DELTA, "compression.name=topk", "aggregation.name=median"], "aggregation.name"),  # 0 nearly everywhere
        ([*DELTA, "compression.name=randk", "aggregation.name=trimmed_mean"], "aggregation.name"),
        ([*PRIVATE, "selection.name=tests.methods.test_combinations:Counting"], "selection.name"),
    ],
)
def test_it_is_one_line(words, key, tmp_path):
    with raises(key, "conflict"):
        raygan.train(tiny("devices=3", *words), tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Counting(Selection):
    """Asks devices for their classes."""

    counts_classes = True

    def choose(self, round, rates, random):
        return np.arange(self.devices)


@pytest.mark.parametrize("own", [["averaged.buffers=local"], ["averaged.upload=weights"], ["schedule=serial"]])
def test_what_is_left_of_statistics_that_go_up_in_order_is_taken(own):
    parties(tiny("devices=3", *DELTA, *ASYNCHRONOUS, *own), [20, 20, 20])


@pytest.mark.parametrize(("drop", "expected"), [(False, True), (True, False)])
@pytest.mark.parametrize("counts", [["scaffold.option=I"], [*DELTA, "compression.name=sign"]])
def test_no_message_of_others_is_lost_with_a_worker_if_it_is_counted_as_sent(counts, drop, expected):
    dropped = ["engine.on_device_failure=drop"] if drop else []
    assert adds_up_on_nodes(tiny(*counts, *dropped)) is expected
    assert adds_up_on_nodes(tiny(*dropped))


def test_a_private_run_tells_no_losses_of_an_update_that_diverged(tmp_path):
    words = ["device_optimizer.name=sgd", "device_optimizer.lr=1e38", "engine.on_bad_update=drop", "rounds=2"]
    told = {}
    for name, more in (("plain", []), ("private", PRIVATE)):
        run = raygan.train(tiny("devices=3", "gan.discriminator_norm=none", *words, *more), tmp_path / name)
        told[name] = list(chain.from_iterable(row["dropped"].values() for row in run.rows[1:]))
    assert all("losses" in reason for reason in told["plain"])
    assert told["private"]
    assert not any("loss" in reason.split("; try")[0] for reason in told["private"])


def test_a_run_that_is_older_than_a_key_goes_on_with_its_default():
    config = tiny("schedule=parallel")
    before = {key: value for key, value in lasting(config).items() if not key.startswith(("compression", "proximal"))}
    check_same_run(before, config, played=3)
    with raises("--resume", "conflict", "proximal.mu"):
        check_same_run(before, tiny("schedule=parallel", "proximal.mu=0.5"), played=3)

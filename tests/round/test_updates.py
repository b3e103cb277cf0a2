"""What a node sends for its devices is worth what they would have sent, bit for bit."""

import pickle

import numpy as np
import pytest

from raygan.round.updates import Partial, Problem, Single, Slots, added_up
from tests.helpers import tiny

SIZE = 2000
CONFIG = tiny("devices=8", "averaged.weights=shard")
PROBLEM = Problem((1, 8, 8), num_samples=400, update_size=SIZE, slots=2)


def singles(count=8, seed=0):
    random = np.random.default_rng(seed)
    vectors = random.normal(0, 0.05, (count, SIZE)).astype(np.float32)
    return [Single(number, vector, int(random.integers(1, 50)), number % 2) for number, vector in enumerate(vectors)]


def means(contributions, config=CONFIG):
    slots = Slots(config, PROBLEM)
    for one in contributions:
        one.into(slots, PROBLEM)
    return {slot: (mean.vector.tobytes(), mean.weight) for slot, mean in slots.means(lambda: None).items()}


@pytest.mark.parametrize("aggregation", ["mean", "median"])
@pytest.mark.parametrize("cut", [1, 3, 8])
def test_grouping_by_node_changes_no_bit(cut, aggregation):
    config, sent = tiny("devices=8", f"aggregation.name={aggregation}"), singles()
    nodes = [added_up([sent[:cut]], config, PROBLEM), added_up([[one] for one in sent[cut:]], config, PROBLEM)]
    assert means([one for node in nodes for one in node], config) == means(sent, config)
    assert sorted(device for node in nodes for one in node for device in one.devices) == list(range(8))


def test_a_packed_worker_sends_what_a_node_of_such_workers_can_add_to():
    sent = singles()
    workers = [added_up([sent[:5]], CONFIG, PROBLEM), added_up([sent[5:]], CONFIG, PROBLEM)]
    assert means(added_up(workers, CONFIG, PROBLEM)) == means(sent)


def test_the_sum_of_eight_takes_a_third_of_their_bytes():
    sent = [Single(one.device, one.vector, one.weight, 0) for one in singles()]
    (together,) = added_up([[one] for one in sent], CONFIG, PROBLEM)
    assert isinstance(together, Partial)
    assert len(pickle.dumps(together)) < len(pickle.dumps(sent)) / 3


def test_what_is_bad_is_passed_on_for_the_server_to_judge():
    *good, last = singles(3)
    bad = Single(last.device, np.full(SIZE, np.nan, np.float32), 1, last.slot)
    *sums, left = added_up([good, [bad]], CONFIG, PROBLEM)
    assert left is bad
    assert means(sums) == means(good)

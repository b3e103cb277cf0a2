"""A node's message for its devices is worth the messages of its workers, bit for bit."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from raygan.methods.base import Update
from raygan.round.messages import Message, Slots, pre_aggregated
from raygan.round.problem import Problem
from tests.helpers import tiny

SIZE = 2000
CONFIG = tiny("devices=8", "averaged.weights=shard")
PROBLEM = Problem((1, 8, 8), num_samples=400, update_size=SIZE, slots=2)


def updates(count=8, seed=0):
    random = np.random.default_rng(seed)
    vectors = random.normal(0, 0.05, (count, SIZE)).astype(np.float32)
    return [
        Update(device, vector, int(random.integers(1, 50)), {}, device % 2) for device, vector in enumerate(vectors)
    ]


def means(messages, config=CONFIG):
    slots = Slots(config, PROBLEM)
    assert [refused for message in messages for refused in slots.take_in(message)] == []
    return {slot: (mean.vector.tobytes(), mean.weight) for slot, mean in slots.means(lambda: None).items()}


@pytest.mark.parametrize("aggregation", ["mean", "median"])
@pytest.mark.parametrize("cut", [1, 3, 8])
def test_grouping_by_node_changes_no_bit(cut, aggregation):
    config, sent = tiny("devices=8", f"aggregation.name={aggregation}"), updates()
    nodes = [
        pre_aggregated([Message(sent[:cut])], config, PROBLEM),
        pre_aggregated([Message([one]) for one in sent[cut:]], config, PROBLEM),
    ]
    assert means(nodes, config) == means([Message(sent)], config)
    assert sorted(device for node in nodes for part in node.parts for device in part.devices) == list(range(8))


def test_a_packed_worker_sends_what_a_node_of_such_workers_can_add_to():
    sent = updates()
    workers = [
        pre_aggregated([Message(sent[:5])], CONFIG, PROBLEM),
        pre_aggregated([Message(sent[5:])], CONFIG, PROBLEM),
    ]
    assert means([pre_aggregated(workers, CONFIG, PROBLEM)]) == means([Message(sent)])


def test_the_sum_of_eight_takes_a_third_of_their_bytes():
    sent = [replace(one, slot=0) for one in updates()]
    together = pre_aggregated([Message([one]) for one in sent], CONFIG, PROBLEM)
    assert (len(together.updates), len(together.parts)) == (0, 1)
    assert len(pickle.dumps(together)) < len(pickle.dumps(Message(sent))) / 3


def test_what_is_bad_is_passed_on_for_the_server_to_judge():
    *good, last = updates(3)
    bad = replace(last, vector=np.full(SIZE, np.nan, np.float32))
    no_part = replace(pre_aggregated([Message(good)], CONFIG, PROBLEM).parts[0], slot=2)
    together = pre_aggregated([Message(good), Message([bad], [no_part])], CONFIG, PROBLEM)
    assert together.updates == [bad]
    assert together.parts[-1] is no_part
    assert means([replace(together, updates=[], parts=together.parts[:-1])]) == means([Message(good)])


def test_who_is_lost_stays_lost():
    lost = {6: "its process died", 7: "its process died"}
    together = pre_aggregated([Message(updates(6)), Message(lost=lost)], CONFIG, PROBLEM)
    assert together.lost == lost


def test_what_is_refused_says_whose_it_is_and_changes_nothing():
    first, second = updates(2)
    slots = Slots(CONFIG, PROBLEM)
    part = pre_aggregated([Message([first])], CONFIG, PROBLEM).parts[0]
    refused = slots.take_in(Message([replace(second, weight=0)], [replace(part, slot=5)]))
    assert [one.devices for one in refused] == [[1], [0]]
    assert slots.means(lambda: None) == {}
    assert slots.parts(far=False) == []

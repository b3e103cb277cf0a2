"""Waiting for room, on a clock and a cluster that are made up."""

import pytest

from raygan.cluster import outlook, waiting
from raygan.cluster.autoscaler import Monitor
from raygan.cluster.layout import Node, choose, lay_out
from raygan.cluster.node_types import node_types_of
from raygan.cluster.resources import Needs
from raygan.cluster.scaling import scaling_of_v2, words_in
from raygan.cluster.waiting import Patience, wait_for_room
from raygan.config.running import Engine
from tests.cluster import recorded
from tests.errors import raises

NEEDS = Needs(3, {"CPU": 1.0}, {"CPU": 1.0}, {"CPU": 0.0})


class MadeUp:
    """Nodes of so many CPUs, some of them free, from moments on (seconds)."""

    gpus = 0.0
    monitor = Monitor(None, {})
    id = b"\x0b\xad"

    def scaling(self):
        """No autoscaler."""

    def __init__(self, monkeypatch, *history, stops_at=1e9):
        self.now, self.history, self.stops_at = 0.0, history, stops_at
        self.wished, self.said = [], []
        monkeypatch.setattr(waiting, "monotonic", lambda: self.now)
        monkeypatch.setattr(waiting, "sleep", self.pass_time)
        monkeypatch.setattr(waiting, "all_nodes", lambda: self.nodes(1))
        monkeypatch.setattr(waiting, "free_nodes", lambda: self.nodes(2))
        monkeypatch.setattr(waiting, "placement_group", self.wish)
        monkeypatch.setattr(outlook, "ask_scaling", lambda: self.scaling())
        monkeypatch.setattr(outlook, "ask_monitor", lambda: self.monitor)
        monkeypatch.setattr(waiting, "remove_placement_group", lambda group: self.wished.append("dropped"))

    def nodes(self, column):
        cpus = [moment for moment in self.history if moment[0] <= self.now][-1][column]
        return [Node(f"n{i}", f"10.0.0.{i}", {"CPU": float(cpu), "GPU": self.gpus}) for i, cpu in enumerate(cpus)]

    def pass_time(self, seconds):
        self.now += seconds

    def wish(self, bundles, strategy):
        self.wished.append((bundles, strategy))
        return self

    def wait(self, seconds):
        self.now += seconds
        return False

    def room(self, may_grow=True, needs=NEEDS, **engine):
        patience = Patience(may_grow, self.said.append, self.said.append, lambda: self.now >= self.stops_at)

        def look(free, waited):
            return lay_out(needs, free, "spread", "n0")

        found = wait_for_room(needs, Engine(**engine), patience, "n0", look)
        assert len(found.workers) == needs.workers
        return self.now

    def chosen(self, needs):
        patience = Patience(True, self.said.append, self.said.append, lambda: False)

        def look(free, waited):
            return choose(needs, self.nodes(1), free, "spread", "n0", waited)

        return wait_for_room(needs, Engine(), patience, "n0", look)


def test_room_that_is_there_is_not_waited_for(monkeypatch):
    there = MadeUp(monkeypatch, (0, [4], [4]))
    assert there.room() == 0
    assert (there.wished, there.said) == ([], [])


def test_nodes_that_come_are_waited_for_with_a_wish_for_all_of_it(monkeypatch):
    coming = MadeUp(monkeypatch, (0, [0], [0]), (400, [0, 2], [0, 2]), (500, [0, 2, 2], [0, 2, 2]))
    assert coming.room() == 500
    assert coming.wished == [([{"CPU": 1.0}] * 4, "SPREAD"), "dropped"]
    assert [line.split(": ")[0] for line in coming.said] == ["waiting for room on the cluster, up to 600 s"] * 2


def test_what_is_measured_with_is_wished_for_too(monkeypatch):
    monkeypatch.setattr(MadeUp, "gpus", 1.0)
    coming = MadeUp(monkeypatch, (0, [1], [1]), (400, [1, 8], [1, 8]))
    share = {"CPU": 1.0, "GPU": 0.5}
    assert coming.room(needs=Needs(3, share, {"CPU": 1.0}, {"CPU": 0.0, "GPU": 0.5})) == 400
    assert coming.wished == [([{"CPU": 1.0}, {"GPU": 0.5}, share, share, share], "SPREAD"), "dropped"]


def test_what_others_hold_of_a_node_that_came_late_has_a_clock_of_its_own(monkeypatch):
    late = MadeUp(monkeypatch, (0, [0], [0]), (400, [0, 4], [0, 0]), (402, [0, 4], [0, 4]))
    assert late.room() == 402
    assert "up to 300 s: engine: these 2 Ray nodes (0 CPU + 0 GPU, 4 CPU + 0 GPU) could hold 3" in late.said[-1]


def test_nodes_that_came_late_are_taken_as_planned_though_what_is_free_is_not_known_at_once(monkeypatch):
    late = MadeUp(monkeypatch, (0, [2], [2]), (400, [2, 4], [1.5, 4]), (402, [2, 4], [2, 4]))
    needs = Needs(9, {"CPU": 0.5}, {"CPU": 1.0}, {"CPU": 0.0})
    layout = late.chosen(needs)
    assert late.now == 402
    assert [node.id for node in layout.workers].count("n0") == 2


def test_nobody_comes(monkeypatch):
    with raises("engine", None, "3 device", "0", "(for 600 s, engine.nodes_timeout_s)"):
        MadeUp(monkeypatch, (0, [0, 0], [0, 0])).room()


def test_others_keep_what_they_hold(monkeypatch):
    with raises("engine", None, "(for 7 s, engine.ready_timeout_s)"):
        MadeUp(monkeypatch, (0, [8], [2])).room(ready_timeout_s=7)


@pytest.mark.parametrize(
    ("may_grow", "needs", "about"),
    [
        (False, NEEDS, ("engine", None, "3 device actors")),
        (True, Needs(1, {"CPU": 0.0}, {"CPU": 1.0}, {"GPU": 0.5}), ("eval.gpus", None, "10.0.0.0 has 0 GPU")),
    ],
)
def test_what_no_node_can_bring_is_not_waited_for(may_grow, needs, about, monkeypatch):
    small = MadeUp(monkeypatch, (0, [2], [2]))
    with raises(*about) as caught:
        small.room(may_grow, needs)
    assert small.now == 0
    assert "_timeout_s" not in str(caught.value)


def test_who_waits_may_be_stopped(monkeypatch):
    endless = MadeUp(monkeypatch, (0, [0], [0]), stops_at=5)
    with pytest.raises(KeyboardInterrupt):
        endless.room()
    assert endless.now == 5
    assert endless.wished[-1] == "dropped"


class Autoscaled(MadeUp):
    """With an autoscaler that is in these states from moments on, and types of nodes that it may start."""

    def __init__(self, monkeypatch, *history, states, types=None, log="", **how):
        super().__init__(monkeypatch, *history, **how)
        self.states, self.monitor = states, Monitor(node_types_of(types) if types else None, words_in(log))

    def scaling(self):
        return scaling_of_v2([state for at, state in self.states if at <= self.now][-1])


EMPTY = (0, [0], [0])


def test_what_the_autoscaler_does_is_told(monkeypatch):
    states = [(0, recorded.reply()), (5, recorded.REQUESTED), (9, recorded.JOINED)]
    coming = Autoscaled(monkeypatch, EMPTY, (9, [0, 4], [0, 4]), states=states, types=recorded.FILE)
    assert coming.room() == 9
    assert coming.said == [
        "waiting for nodes, up to 600 s: the autoscaler has been asked for them (gpu: up to 4 of 8 CPU + 1 GPU)",
        "waiting for nodes, up to 600 s: 1 small starting, 1 small requested",
    ]


def test_nodes_that_join_by_hand_are_waited_for_as_before(monkeypatch):
    by_hand = Autoscaled(monkeypatch, EMPTY, (9, [4], [4]), states=[(0, recorded.INFEASIBLE)])
    by_hand.id = bytes.fromhex(recorded.GROUP)
    by_hand.room()
    assert "3 device actors of 1 CPU each were asked for, but this Ray node" in by_hand.said[0]


def test_what_no_type_of_node_can_hold_is_refused_at_once(monkeypatch):
    small = Autoscaled(monkeypatch, EMPTY, states=[(0, recorded.reply())], types=recorded.FILE)
    share = {"CPU": 1.0, "GPU": 0.1}
    with raises("engine", None, "64 device actors", "gpu: up to 4 of 8 CPU + 1 GPU", "32", "3 would fit"):
        small.room(needs=Needs(64, share, {"CPU": 1.0}, {}, devices=64))
    assert small.now == 0
    assert small.wished == []


def test_a_launch_that_keeps_failing_ends_the_wait_with_the_providers_words(monkeypatch):
    states = [
        (5 * number, recorded.reply(failed_instance_requests=recorded.failed(*range(number)))) for number in range(9)
    ]
    failing = Autoscaled(monkeypatch, EMPTY, states=states, log=recorded.LOG)
    with raises("engine", None, "small", "3 times", recorded.WORDS[:-1]):
        failing.room()
    assert failing.now == 15
    assert recorded.WORDS[:-1] in failing.said[1]
    assert len(failing.said) == 2


def test_a_lack_of_machines_is_waited_for_and_named_in_the_end(monkeypatch):
    states = [(0, recorded.reply()), (5, recorded.FAILED)]
    log = recorded.LOG.replace("VcpuLimitExceeded", "InsufficientInstanceCapacity").replace("limit", "supply")
    lacking = Autoscaled(monkeypatch, EMPTY, states=states, log=log)
    with raises("engine", None, "small", "InsufficientInstanceCapacity", "60 s", "engine.nodes_timeout_s"):
        lacking.room(nodes_timeout_s=60)
    assert lacking.now == 60


def test_nodes_that_are_late_are_named_in_the_end(monkeypatch):
    late = Autoscaled(monkeypatch, EMPTY, states=[(0, recorded.REQUESTED)])
    with raises("engine", None, "1 small starting", "1 small requested"):
        late.room(nodes_timeout_s=7)


def test_an_autoscaler_that_has_all_free_and_says_infeasible_for_long_is_believed(monkeypatch):
    states = [(0, recorded.JOINED), (20, recorded.reply([recorded.SMALL], **recorded.INFEASIBLE["autoscaling_state"]))]
    unfit = Autoscaled(monkeypatch, (0, [2], [1]), (30, [2], [2]), states=states)
    unfit.id = bytes.fromhex(recorded.GROUP)
    with raises("engine", None, "2", "infeasible"):
        unfit.room()
    assert unfit.now == 40


def test_nodes_that_come_beside_those_that_others_hold_are_waited_for_as_nodes(monkeypatch):
    states = [(0, recorded.reply()), (100, recorded.REQUESTED)]
    both = Autoscaled(monkeypatch, (0, [4], [0]), (400, [4, 4], [0, 4]), states=states)
    assert both.room() == 400
    assert both.said == [
        "waiting for room on the cluster, up to 300 s: engine: this Ray node (4 CPU + 0 GPU) could hold 3 device "
        "actors and a server, but others hold too much",
        "waiting for room on the cluster, up to 600 s: engine: this Ray node (4 CPU + 0 GPU) could hold 3 device "
        "actors and a server, but others hold too much; more nodes are on their way: 1 small starting, 1 small "
        "requested",
    ]


def test_what_cannot_be_started_is_no_reason_to_end_while_others_may_release_room(monkeypatch):
    states = [
        (5 * number, recorded.reply(failed_instance_requests=recorded.failed(*range(number)))) for number in range(9)
    ]
    held = Autoscaled(monkeypatch, (0, [4], [0]), (100, [4], [4]), states=states, log=recorded.LOG)
    assert held.room() == 100


def test_a_log_without_the_words_is_read_again_now_and_then(monkeypatch):
    lacking = Autoscaled(monkeypatch, EMPTY, states=[(0, recorded.reply()), (5, recorded.FAILED)])
    asked = []
    monkeypatch.setattr(outlook, "ask_monitor", lambda: asked.append(lacking.now) or Monitor(None, {}))
    with raises("engine", None, "small", "2 times"):
        lacking.room(nodes_timeout_s=30)
    assert asked == [0, 5, 15, 25]

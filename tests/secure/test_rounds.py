"""Rounds with secure aggregation: what the server gets, and who may not be together with it."""

import numpy as np
import pytest

import raygan
from raygan.components import METHODS
from raygan.methods.messages import Update
from raygan.plan.sizes import make_plan
from raygan.plan.text import describe_plan
from raygan.round.messages import Masked, MaskedSum, Message, pre_aggregated
from raygan.round.simulation import as_run
from tests.errors import raises
from tests.executors.nodes import Nodes, run_on, run_through
from tests.helpers import same_generator, tiny
from tests.methods.parties import parties
from tests.privacy.test_mechanism import FORGETFUL

pytest.importorskip("cryptography", reason="needs pip install 'raygan[secure]'")

SECURE = ["aggregation.secure.name=secagg"]
WEIGHTED = ["method=fedgan", "aggregation.secure.max_weight=40"]
PRIVATE = ["privacy.name=user", "privacy.clip=0.1", "privacy.noise_multiplier=0.5"]
METHOD = {
    "averaged": [],
    "differences, with moments": ["averaged.upload=delta", "averaged.optimizer_state=average"],
    "weights, with moments": ["averaged.optimizer_state=average", "averaged.weights=batch", *WEIGHTED[1:]],
    "differences, with codes down": ["averaged.upload=delta", "downlink_compression.name=qsgd"],
    "parallel": ["schedule=parallel"],
    "fedgan": ["method=fedgan", "fedgan.weights=uniform"],
    "fedgan by shards": WEIGHTED,
    "mdgan": ["method=mdgan", "mdgan.batches=1"],
    "with a server optimiser": ["server_optimizer.name=adam", "proximal.mu=0.1"],
    "private": PRIVATE,
    "private, with a clip that follows": [*PRIVATE, "privacy.clip_quantile=0.5", "privacy.quantile_noise=2"],
    "record-level private": ["privacy.name=record", "privacy.noise_multiplier=0.4", "gan.discriminator_norm=group"],
}
EVERY = pytest.mark.parametrize("words", METHOD.values(), ids=METHOD)
SIZES = [20, 25, 15]
COHORT = [0, 1, 2]


def one_round(words, *cuts, cohort=COHORT, answering=COHORT):
    """The server after a round, and its report, of workers' messages for these groups of devices."""
    worker, server = parties(tiny(*words), SIZES)
    down = server.down(1)
    messages = [worker.update_devices(1, down, group, cohort=cohort)[0] for group in cuts or [answering]]
    return server, server.update(1, messages, cohort=cohort)[1]


@EVERY
def test_the_mean_is_the_plain_one_but_for_rounding(words):
    """Within half a step of the grid, and float32's rounding."""
    words = [word for word in words if word != "privacy.noise_multiplier=0.5"] + ["privacy.noise_multiplier=0"] * (
        "privacy.name=user" in words
    )
    means = []
    for more in (SECURE, []):
        plain = [word for word in words if more or "secure" not in word]
        worker, server = parties(tiny(*plain, *more), SIZES)
        kept, finish = [], server.side.finish
        server.side.finish = lambda round, found, kept=kept, finish=finish: kept.append(found) or finish(round, found)
        message, report = worker.update_devices(1, server.down(1), COHORT, cohort=COHORT)
        server.update(1, [message], cohort=COHORT)
        means.append(kept[0][0])
        told = not more and not any(word.startswith("privacy.name") for word in words)
        assert bool(report.devices[0]) == told, "losses stay on devices"
    assert means[0].weight == means[1].weight
    step = 1 / (2**21 - 1) * (1 if "privacy.name=user" in words else 0.5)
    assert np.allclose(means[0].vector, means[1].vector, rtol=2e-7, atol=step * (1 + 1e-6) + 1e-8)


def test_grouping_changes_no_bit():
    ends = [one_round(SECURE, *cuts)[0].side.state() for cuts in ([[0, 1, 2]], [[2], [0], [1]], [[0, 2], [1]])]
    assert all(np.array_equal(ends[0][name], end[name]) for end in ends for name in end)


def test_on_the_way_sums_are_masked():
    worker, server = parties(tiny(*SECURE), SIZES)
    down = server.down(1)
    alone = [worker.update_devices(1, down, [device], cohort=COHORT)[0] for device in COHORT]
    together = pre_aggregated(alone, tiny(*SECURE), server._problem)
    assert all(isinstance(message.updates[0], Masked) for message in alone)
    assert together.updates == []
    total = np.add.reduce([message.updates[0].content for message in alone], dtype=np.uint32)
    assert np.array_equal(together.parts[0].content, total)
    assert together.parts[0].devices == COHORT


def test_who_drops_out_is_left_out_as_if_never_asked():
    """The mean of two of three, and of a cohort of two; who is in the cohort changes masks alone."""
    two_of_three = one_round(SECURE, answering=[0, 2])[0]
    two = one_round(SECURE, cohort=[0, 2], answering=[0, 2])[0]
    states = two_of_three.side.state(), two.side.state()
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("answering", [[0, 2], [1], []])
def test_one_dropout_too_many_ends_the_round_in_a_line(answering):
    before = parties(tiny(*SECURE), SIZES)[1].side.state()
    server, report = one_round([*SECURE, "aggregation.secure.threshold=0.7"], answering=answering)
    state = server.side.state()
    assert all(np.array_equal(before[name], state[name]) for name in before), "nothing is averaged"
    assert sorted(report.dropped) == answering
    assert all(f"{len(answering)} of 3 devices have answered" in reason for reason in report.dropped.values())
    assert not any("\n" in reason for reason in report.dropped.values())


def test_a_single_device_is_never_unmasked():
    _, report = one_round(SECURE, cohort=[1], answering=[1])
    assert "from 2 on" in report.dropped[1]


def test_a_private_round_without_enough_devices_still_has_its_noise():
    words = [*SECURE, *METHOD["private"]]
    before = parties(tiny(*words), SIZES)[1].side.state()
    server, report = one_round(words, answering=[1])
    assert list(report.dropped) == [1]
    assert not np.array_equal(before["discriminator"], server.side.state()["discriminator"])


def test_a_message_that_is_no_masked_update_is_refused():
    _, server = parties(tiny(*SECURE), SIZES)
    taken = MaskedSum(server._problem.secure_sum(tiny(*SECURE)))
    size = server._problem.update_size
    good = Masked(0, np.ones(size, np.uint32))
    bad = [
        Update(1, np.ones(size, np.float32), 1, {}),
        Masked(2, np.ones(size, np.float32)),
        Masked(3, np.ones(size - 1, np.uint32)),
        Masked(4, np.ones(size, np.uint64)),
        Masked(5, None),
    ]
    refused = taken.take_in(Message([good, *bad]))
    assert [one.devices for one in refused] == [[1], [2], [3], [4], [5]]
    assert taken.devices == [0]
    plain, _ = parties(tiny(), SIZES)
    with pytest.raises(ValueError, match="no secure aggregation"):
        one_round_of_masked(plain, good)


def one_round_of_masked(worker, masked):
    from raygan.round.messages import Slots

    Slots(tiny(), worker._problem).accept(masked, 0)


@pytest.mark.parametrize(
    ("words", "key", "code"),
    [
        (["aggregation.name=median"], "aggregation.name", None),
        (["aggregation.name=trimmed_mean"], "aggregation.name", None),
        (["aggregation.name=clipped_mean"], "aggregation.name", None),
        (["aggregation.name=mine:Own"], "aggregation.name", None),
        (["engine.on_bad_update=drop"], "engine.on_bad_update", None),
        (["scaffold.option=I"], "scaffold.option", None),
        (["gan.augment=ada"], "gan.augment", None),
        (["devices=1"], "devices", None),
        (["selection.name=uniform", "selection.count=1"], "selection.count", None),
        (
            [*METHOD["private, with a clip that follows"], "aggregation.secure.clip=0.4"],
            "aggregation.secure.clip",
            None,
        ),
        (["schedule=asynchronous"], "schedule", None),
        (["averaged.upload=delta", "compression.name=qsgd"], "compression.name", None),
        (["method=mdgan", "mdgan.feedback=forgiving", "mdgan.swap_epochs=null"], "mdgan.feedback", None),
        (["method=fedgan"], "aggregation.secure.max_weight", None),
        (["averaged.weights=shard"], "aggregation.secure.max_weight", None),
        (["aggregation.secure.bits=32", "aggregation.secure.max_weight=2000000000"], "aggregation.secure.bits", None),
        (["aggregation.secure.bits=1"], "aggregation.secure.bits", None),
        (["aggregation.secure.threshold=0"], "aggregation.secure.threshold", None),
    ],
)
def test_what_the_keys_alone_rule_out(words, key, code):
    with raises(key, code):
        tiny(*SECURE, *words)


@pytest.mark.parametrize(
    ("words", "key", "code"),
    [
        (["method=mdgan", "devices=5"], "mdgan.batches", "conflict"),
        (["method=fegan"], "method", "conflict"),
        (["method=fedgan", "aggregation.secure.max_weight=2"], "aggregation.secure.max_weight", "few"),
        (["method=centralized"], "aggregation.secure.name", "conflict"),
        (["method=forgetful"], "method", "conflict"),
    ],
)
def test_what_a_method_rules_out(words, key, code, tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "forgetful", "tests.privacy.test_mechanism:FORGETFUL")
    assert FORGETFUL.pooled is False
    with raises(key, code):
        raygan.train(tiny(*SECURE, *words), tmp_path / "run", watchers=[])


def test_without_it_a_pooled_method_is_as_before():
    config = tiny("method=centralized")
    assert as_run(config).aggregation == config.aggregation


LATE = [
    *("channel.name=constant", "channel.uplink_bps=[1e6,1e6,1e6,1e6,1e6,1e3]", "channel.downlink_bps=1e6"),
    *("selection.deadline_s=5", "devices=6"),
]
FEW = ["rounds=4", "eval.every=4", "eval.metrics=[]", "checkpoint.every=2"]


@pytest.mark.parametrize(
    "words",
    [[], pytest.param(WEIGHTED, marks=pytest.mark.slow), METHOD["mdgan"]],
    ids=["averaged", "fedgan", "mdgan"],
)
def test_packing_and_nodes_change_no_byte(words, tmp_path):
    """With a device that is late in every round."""
    config = tiny(*FEW, *SECURE, *LATE, *words)
    folders = [
        run_on(Nodes(config, nodes), config, tmp_path / f"{together} on {nodes}", together)
        for together, nodes in ((1, 1), (1, 2), (2, 1), (6, 1))
    ]
    assert len({folder.generator.read_bytes() for folder in folders}) == 1
    rows = folders[0].log.rows()
    assert [row["late"] for row in rows[1:]] == [1] * 4
    assert all("d_loss" not in row for row in rows), "losses stay on devices"
    assert all(row["dropped"] == {} for row in rows[1:])


def test_resumed_or_replayed_it_is_the_same(tmp_path):
    words = [*FEW, *SECURE, "devices=4"]
    whole = raygan.train(tiny(*words), tmp_path / "whole", watchers=[])
    raygan.train(tiny(*words, "rounds=2"), tmp_path / "cut", watchers=[])
    assert same_generator(raygan.train(tiny(*words), tmp_path / "cut", watchers=[], resume=True), whole)
    config = tiny(*words)
    folder, said = run_through(Nodes(config, dies=[(3, "update_devices", 2)]), config, tmp_path / "lost")
    assert folder.generator.read_bytes() == whole.generator.read_bytes()
    assert any("device 2" in line for line in said)


def test_a_lost_process_is_a_dropout(tmp_path):
    """With what is lost left out, the sum of the others is recovered."""
    config = tiny(*FEW, *SECURE, "devices=4", "engine.on_device_failure=drop")
    rows = run_on(Nodes(config, dies=[(3, "update_devices", 2)]), config, tmp_path / "run").log.rows()
    assert list(rows[3]["dropped"]) == ["2"]
    assert rows[4]["dropped"] == {}


def test_too_many_late_devices_leave_rounds_without_an_average(tmp_path):
    late = [word.replace("[1e6,1e6,1e6,1e6,1e6,1e3]", "[1e6,1e6,1e6,1e3,1e3,1e3]") for word in LATE]
    config = tiny(*FEW, *SECURE, *late, "rounds=2", "eval.every=2")
    folder = run_on(Nodes(config), config, tmp_path / "run")
    for row in folder.log.rows()[1:]:
        assert list(row["dropped"]) == ["0", "1", "2"]
        assert row["phases_s"]["average"] == row["phases_s"]["server"] == 0
        assert "unmask" not in row["phases_s"]


def test_a_plan_says_what_the_stages_send_and_how_large_messages_are():
    plan = make_plan(tiny(*SECURE, *LATE, "selection.deadline_s=50"))
    (line,) = [text for name, text in describe_plan(plan) if name == "secagg"]
    assert "with 6 devices, updates of 25 bits a value; 4 must answer" in line
    assert "advertise_keys 64 up 384 down, share_keys 410 up 410 down, unmask 198 up 1 down" in line
    assert plan.footprint.message == plan.footprint.far_part == plan.footprint.update
    assert plan.phases_s["unmask"] > 0
    assert not [name for name, _ in describe_plan(make_plan(tiny())) if name == "secagg"]


def test_rows_without_it_have_no_stages(tmp_path):
    config = tiny("rounds=1", "eval.metrics=[]")
    rows = run_on(Nodes(config), config, tmp_path / "run").log.rows()
    assert list(rows[1]["phases_s"]) == ["down", "device", "up", "meanwhile", "average", "server", "swap"]

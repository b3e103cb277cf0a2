"""The executor without Ray: the same bits as a plain loop, wherever devices are and whoever is lost on the way."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from raygan.errors import ProcessLostError, RunError
from tests.errors import raises
from tests.executors.nodes import Nodes, remembered, run_on, run_through
from tests.helpers import tiny
from tests.plain_loop import plain_run

RUNS = {
    "averaged, serial": ["schedule=serial", "averaged.weights=shard", "data.partition.name=dirichlet"],
    "averaged, parallel": ["schedule=parallel", "selection.name=uniform", "selection.count=3"],
    "averaged, kept and local": [
        *("averaged.buffers=local", "averaged.optimizer_state=keep", "averaged.upload=delta"),
        *("gan.discriminator_norm=batch", "channel.name=wireless", "selection.name=round_robin", "selection.count=2"),
    ],
    "fedgan": ["method=fedgan", "device_steps=2"],
    "fedgan, signs both ways": [
        *("method=fedgan", "fedgan.upload=delta", "compression.name=sign", "downlink_compression.name=sign"),
    ],
    "changes down, few at once": [
        *("averaged.upload=delta", "gan.discriminator_norm=batch", "averaged.optimizer_state=average"),
        *("downlink_compression.name=topk", "downlink_compression.share=0.2"),
        *("channel.name=wireless", "selection.name=round_robin", "selection.count=4"),
    ],
    "mdgan": ["method=mdgan", "mdgan.batches=2", "mdgan.swap_epochs=0.25"],
    "mdgan, levels": ["method=mdgan", "mdgan.batches=2", "mdgan.swap_epochs=0.25", "compression.name=qsgd"],
    "largest, some overdue": [
        *("averaged.upload=delta", "gan.discriminator_norm=batch", "compression.name=topk", "compression.share=0.1"),
        *("channel.name=wireless", "selection.deadline_s=0.01", "averaged.optimizer_state=average"),
    ],
    "some places, remembered": [
        *("averaged.upload=delta", "compression.name=randk", "compression.share=0.1", "compression.feedback=true"),
        *("averaged.optimizer_state=keep", "selection.name=uniform", "selection.count=4"),
    ],
    "centralized": ["method=centralized"],
    "wgan_gp, dropped": ["method=tests.own:sends_nan", "engine.on_bad_update=drop", "gan.loss=wgan_gp"],
}
PLACES = {"one in each, one node": (1, 1), "one in each, two nodes": (1, 2), "two in each": (2, 1), "all": (6, 1)}
FEW = ["devices=6", "rounds=5", "eval.every=5", "eval.metrics=[sliced]", "checkpoint.every=2"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return remembered(plain_run, FEW, RUNS, tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_a_plain_loop_wherever_its_devices_are(run, place, expected, tmp_path):
    config, (together, nodes) = tiny(*FEW, *RUNS[run]), PLACES[place]
    if config.method == "centralized":
        together = 1
    transport = Nodes(config, nodes)
    assert run_on(transport, config, tmp_path / "run", together).generator.read_bytes() == expected(run)


def test_a_node_sends_one_message_for_its_workers_but_the_servers_own(tmp_path):
    transport = Nodes(tiny(*FEW), 2)
    run_on(transport, tiny(*FEW), tmp_path / "run")
    assert {who for method, who in transport.called if method == "pre_aggregate"} == {"device 1"}, "of 1, 3 and 5"
    without = Nodes(tiny(*FEW), 2)
    run_on(without, tiny(*FEW, "engine.pre_average=false"), tmp_path / "without")
    assert "pre_aggregate" not in dict(without.called)


DROP = ["engine.on_device_failure=drop"]


@pytest.mark.parametrize("run", ["averaged, serial", "mdgan"])
def test_leaving_out_changes_nothing_where_nobody_is_lost(run, expected, tmp_path):
    config = tiny(*FEW, *RUNS[run], *DROP, "engine.on_bad_update=drop")
    assert run_on(Nodes(config, 2), config, tmp_path / "run").generator.read_bytes() == expected(run)


@pytest.mark.parametrize(
    ("run", "dies"),
    [
        ("averaged, serial", [(2, "update_devices", 4)]),
        ("averaged, kept and local", [(3, "update_devices", 4), (4, "update_devices", 0)]),
        ("fedgan", [(1, "update_devices", 0), (5, "update_devices", 0)]),
        ("mdgan", [(2, "update_devices", 3), (4, "update_devices", 1)]),
    ],
)
def test_a_lost_device_misses_the_round_and_goes_on_from_its_checkpoint(run, dies, tmp_path):
    config = tiny(*FEW, *RUNS[run], *DROP)
    folder = run_on(Nodes(config, 2, dies), config, tmp_path / "run")
    lost = [(round, device) for round, _, device in dies]
    rows = folder.log.rows()
    assert [(row["round"], int(device)) for row in rows[1:] for device in row["dropped"]] == lost
    assert all("the process died" in reason for row in rows[1:] for reason in row["dropped"].values())
    assert folder.generator.read_bytes() == plain_run(config, tmp_path / "plain.safetensors", lost)


def test_who_sends_for_a_node_takes_its_nodes_updates_along(tmp_path):
    """It is missed in the next round, as it had answered in this one, and only it is replaced."""
    config = tiny(*FEW, *DROP)
    transport = Nodes(config, 2, [(3, "pre_aggregate", 1)])
    folder = run_on(transport, config, tmp_path / "run")
    assert [sorted(row["dropped"]) for row in folder.log.rows()[2:]] == [[], ["1", "3", "5"], ["1", "3", "5"], []]
    assert transport.room == 98


@pytest.mark.parametrize("dies", [(2, "hand_over", 1), (2, "take_over", 1)])
def test_a_partner_that_is_lost_in_an_exchange_leaves_the_other_its_own(dies, tmp_path):
    config = tiny(*FEW, *RUNS["mdgan"], *DROP)
    folder = run_on(Nodes(config, dies=[dies]), config, tmp_path / "run")
    assert [row["round"] for row in folder.log.rows() if row.get("dropped")] == [3], "it had sent its update in 2"


def test_a_device_that_is_lost_while_it_is_saved_is_saved_as_it_was(tmp_path):
    config = tiny(*FEW, *RUNS["averaged, kept and local"], "selection.name=all", "checkpoint.keep=9", *DROP)
    folder = run_on(Nodes(config, dies=[(4, "states", 2)]), config, tmp_path / "run")
    saved = {round: load_file(folder.checkpoints / f"round_{round:06d}" / "devices.safetensors") for round in (2, 4)}
    same = {name.split("/")[0] for name in saved[2] if np.array_equal(saved[2][name], saved[4][name])}
    assert same == {"2"}


def test_by_default_a_loss_ends_this_try(tmp_path):
    config = tiny(*FEW)
    with raises("device 4", kind=ProcessLostError):
        run_on(Nodes(config, 2, [(2, "update_devices", 4)]), config, tmp_path / "run")


def test_a_device_that_dies_three_times_in_a_row_ends_the_run(tmp_path):
    config = tiny(*FEW, *DROP)
    dies = [(round, "update_devices", 2) for round in (2, 3, 4)]
    with raises("device 2", None, "third time", kind=RunError):
        run_on(Nodes(config, dies=dies), config, tmp_path / "run")


def test_a_device_that_was_heard_of_in_between_may_die_again(tmp_path):
    config = tiny(*FEW, "rounds=8", *DROP)
    dies = [(round, "update_devices", 2) for round in (2, 3, 5, 6)]
    run_on(Nodes(config, dies=dies), config, tmp_path / "run")


def test_no_room_for_a_lost_device_ends_the_run(tmp_path):
    config = tiny(*FEW, *DROP)
    transport = Nodes(config, dies=[(2, "update_devices", 2)], room=0)
    with raises("device 2", None, "engine: no room", kind=RunError):
        run_on(transport, config, tmp_path / "run")


ANEW = "starting in this process"
REPLAYED = ["averaged, serial", "averaged, parallel", "averaged, kept and local", "fedgan", "mdgan"]
REPLAYED += ["changes down, few at once", "some places, remembered"]


@pytest.mark.parametrize("run", REPLAYED)
def test_a_lost_worker_alone_is_started_again_and_no_bit_changes(run, expected, tmp_path):
    config = tiny(*FEW, *RUNS[run], "engine.executor=inline")
    transport = Nodes(config, dies=[(3, "update_devices", worker) for worker in range(6)][-2:])
    if "selection.name=round_robin" in RUNS[run]:  # few take part
        transport.dies = [(4, "states", 4), (4, "states", 5)]
    folder, said = run_through(transport, config, tmp_path / "run")
    assert folder.generator.read_bytes() == expected(run)
    assert "going on after round 2" in said
    assert ANEW not in said
    assert transport.room < 99, "a worker was replaced"
    assert [row["round"] for row in folder.log.rows()] == list(range(6))


def test_a_lost_recorder_alone_is_started_again(expected, tmp_path):
    config = tiny(*FEW, *RUNS["mdgan"])
    transport = Nodes(config, dies=[(4, "save", 0)])
    folder, said = run_through(transport, config, tmp_path / "run")
    assert folder.generator.read_bytes() == expected("mdgan")
    assert "going on after round 2" in said
    assert ANEW not in said
    assert transport.room == 99


@pytest.mark.parametrize(
    ("run", "dies"),
    [
        ("mdgan", (3, "update", 0)),
        ("mdgan", (1, "update_devices", 2)),
        ("changes down, few at once", (4, "update", 0)),
    ],
)
def test_without_a_server_or_a_checkpoint_all_is_started_anew(run, dies, expected, tmp_path):
    config = tiny(*FEW, *RUNS[run])
    folder, said = run_through(Nodes(config, dies=[dies]), config, tmp_path / "run")
    assert folder.generator.read_bytes() == expected(run)
    assert said.count(ANEW) == 1


def test_who_is_lost_while_all_go_back_has_all_started_anew(expected, tmp_path):
    config = tiny(*FEW, *RUNS["fedgan"])
    transport = Nodes(config, dies=[(3, "update_devices", 2), (3, "restore", 4)])
    folder, said = run_through(transport, config, tmp_path / "run")
    assert folder.generator.read_bytes() == expected("fedgan")
    assert said.count(ANEW) == 1
    assert transport.closed == 1, "Ray takes a call on an actor of a connection that was closed for a new connection"


def test_no_room_when_all_go_back_ends_the_run_and_what_is_left(tmp_path):
    config = tiny(*FEW, *RUNS["fedgan"])
    transport = Nodes(config, dies=[(3, "update_devices", 2)], room=0)
    with raises("a process was lost, and the run could not be started again", None, "no room", kind=RunError):
        run_through(transport, config, tmp_path / "run")
    assert transport.closed == 1


@pytest.mark.parametrize(("round", "method"), [(1, "update"), (4, "state"), (5, "generators")])
def test_a_lost_server_is_the_runs_loss_whatever_devices_may(round, method, tmp_path):
    config = tiny(*FEW, *DROP)
    with raises("server", kind=ProcessLostError):
        run_on(Nodes(config, dies=[(round, method, 0)]), config, tmp_path / "run")


def test_what_stands_behind_a_failed_round_fails_with_it(tmp_path):
    config = tiny(*FEW, "method=tests.own:raises", "rounds=2", "checkpoint.every=2", "eval.every=2")
    with raises("round 2, device 0", "failed", "RuntimeError: on purpose", kind=RunError):
        run_on(Nodes(config), config, tmp_path / "run")
    assert not any((tmp_path / "run" / "checkpoints").glob("round_*"))

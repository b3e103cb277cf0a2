"""Asynchronous runs without Ray: one event queue, the same bits wherever devices are, whoever is lost, and resumed."""

import re
import signal

import pytest

import raygan
from raygan.config import load_config
from raygan.config.load import dump_config
from raygan.evaluation.pricing import priced
from raygan.plan.memory import under_way
from raygan.plan.sizes import make_plan
from raygan.plan.text import describe_plan
from raygan.record.checkpoint import load_newest
from raygan.record.folder import RunFolder
from raygan.report.run.page import write_report
from tests.errors import raises
from tests.executors.nodes import Nodes, remembered, run_on, run_through
from tests.helpers import Watch, tiny
from tests.plain_asynchronous import plain_versions

FEW = ["devices=4", "rounds=9", "eval.every=9", "eval.metrics=[sliced]", "checkpoint.every=2"]
FEW += ["schedule=asynchronous", "compute.device_flops=[1e9, 2.1e9, 3.7e9, 0.5e9]"]
LINKS = ["channel.name=constant", "channel.uplink_bps=1e7", "channel.downlink_bps=[1e7, 3e7, 1e7, 2e7]"]
RUNS = {
    "fedasync": ["asynchronous.mixing=0.6", *LINKS],
    "fedbuff": [
        *("averaged.upload=delta", "asynchronous.buffer=2", "averaged.weights=shard", "gan.discriminator_norm=batch"),
        "averaged.buffers=local",
        *("data.partition.name=dirichlet", "asynchronous.mixing=0.5", *LINKS),
    ],
    "hinge, few at once": [
        *("asynchronous.running=2", "asynchronous.staleness=hinge", "asynchronous.grace=1", "asynchronous.buffer=2"),
        *("averaged.buffers=local", "gan.discriminator_norm=batch", "averaged.optimizer_state=average"),
    ],
    "fedgan": ["method=fedgan", "asynchronous.staleness=constant", "device_steps=2"],
    "changes down": [
        *("averaged.upload=delta", "asynchronous.buffer=2", "asynchronous.running=3"),
        *("downlink_compression.name=topk", "downlink_compression.share=0.2"),
    ],
    "all": ["asynchronous.buffer=4"],
}
PLACES = {"one in each, two nodes": (1, 2), "two in each": (2, 1), "all": (4, 1)}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return remembered(plain_versions, FEW, RUNS, tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_a_plain_loop_wherever_its_devices_are(run, place, expected, tmp_path):
    config, (together, nodes) = tiny(*FEW, *RUNS[run]), PLACES[place]
    folder = run_on(Nodes(config, nodes), config, tmp_path / "run", together)
    assert folder.generator.read_bytes() == expected(run)
    stale = [row["staleness_max"] for row in folder.log.rows()[1:]]
    assert (max(stale) > 0) == (run != "all")


COMPRESSED = [
    "averaged.upload=delta",
    "averaged.optimizer_state=keep",
    "compression.name=topk",
    "compression.share=0.1",
]
COMPRESSED += [
    "compression.share=0.1",
    "asynchronous.buffer=2",
    "server_optimizer.name=sgd",
    "proximal.mu=0.1",
    "device_steps=2",
    *LINKS,
]


def test_memories_of_what_was_left_out_go_with_devices_that_are_under_way(tmp_path):
    """Wherever devices are, and when all go back to a checkpoint that some started before."""
    config = tiny(*FEW, *COMPRESSED)
    expected = run_on(Nodes(config, 1), config, tmp_path / "expected", 4).generator.read_bytes()
    for name, (together, nodes) in PLACES.items():
        found = run_on(Nodes(config, nodes), config, tmp_path / name, together).generator.read_bytes()
        assert found == expected, name
    transport = Nodes(config, 2, dies=[(5, "update_devices", 0), (8, "update_devices", 1)])
    folder, said = run_through(transport, config, tmp_path / "lost")
    assert folder.generator.read_bytes() == expected
    assert sum("going on after round" in line for line in said) == 2 - len(transport.dies) > 0


@pytest.mark.parametrize("upload", ["weights", "delta"])
def test_of_equal_devices_all_together_are_the_serial_schedule(upload, tmp_path):
    words = ["devices=3", "rounds=4", f"averaged.upload={upload}", "averaged.weights=shard"]
    words += ["data.partition.name=dirichlet", "gan.discriminator_norm=batch"]
    words += ["averaged.buffers=local"] if upload == "delta" else []
    serial = raygan.train(tiny(*words), tmp_path / "serial")
    versions = raygan.train(tiny(*words, "schedule=asynchronous", "asynchronous.buffer=3"), tmp_path / "asynchronous")
    assert versions.generator.read_bytes() == serial.generator.read_bytes()
    for row, version in zip(serial.rows[1:], versions.rows[1:], strict=True):
        extra = {"staleness": 0.0, "staleness_max": 0, "wall_s": row["wall_s"], "spent_s": row["spent_s"]}
        assert version | {"wall_s": row["wall_s"], "spent_s": row["spent_s"]} == row | extra


def test_one_device_is_the_serial_schedule_with_one(tmp_path):
    serial = raygan.train(tiny("devices=1"), tmp_path / "serial")
    versions = raygan.train(tiny("devices=1", "schedule=asynchronous"), tmp_path / "asynchronous")
    assert versions.generator.read_bytes() == serial.generator.read_bytes()


class Order(Nodes):
    """Notes who is asked for what, and how many messages the server of a round waits for."""

    def __init__(self, config):
        super().__init__(config)
        self.asked, self.taken = [], []

    def call(self, process, method, *arguments, **how):
        if method == "update_devices":
            round, _, devices, _, _, ahead, _ = arguments
            self.asked.append((round, tuple(devices), ahead))
        if method == "update":
            self.taken.append(len(arguments[1].refs))
        return super().call(process, method, *arguments, **how)


def test_a_version_waits_for_its_own_updates_alone(tmp_path):
    config = tiny(*FEW, *RUNS["fedasync"])
    transport = Order(config)
    folder = run_on(transport, config, tmp_path / "run")
    assert transport.taken == [1] * 9, "of four that are under way"
    assert sum(ahead for *_, ahead in transport.asked) > 3
    assert len(transport.asked) == len(set(transport.asked)), "nobody starts twice from one version"
    rows = folder.log.rows()[1:]
    assert [row["devices"] for row in rows] == [1] * 9
    assert rows[0]["bytes_down"] == 4 * rows[1]["bytes_down"]


REPLAYED = ["fedasync", "fedbuff", "hinge, few at once", "changes down"]


@pytest.mark.parametrize("run", REPLAYED)
@pytest.mark.parametrize("round", [3, 6])
def test_a_run_goes_on_in_the_middle(run, round, expected, tmp_path):
    """Stopped by Ctrl-C, with devices under way that started before."""
    config, out = tiny(*FEW, *RUNS[run]), tmp_path / "run"

    def stop(number):
        if number == round:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        raygan.train(config, out, watchers=[Watch(stop)])
    stopped = RunFolder(out).log.last_round()
    assert round <= stopped < 9
    start, _ = load_newest(RunFolder(out).checkpoints, stopped)
    under_way = [device for one in start.flying.values() for device in one.devices]
    assert 0 < len(under_way) <= 4
    assert len(set(under_way)) == len(under_way)
    assert all(started <= start.round for started in start.flying)
    resumed = raygan.train(config, out, resume=True)
    assert resumed.generator.read_bytes() == expected(run)


def test_a_checkpoint_between_rounds_of_all_has_nobody_under_way(tmp_path):
    result = raygan.train(tiny(*FEW, *RUNS["all"], "rounds=2"), tmp_path / "run")
    files = sorted(path.name for path in (result.out / "checkpoints" / "round_000002").iterdir())
    assert files == ["devices.safetensors", "manifest.json", "server.safetensors"]


def test_a_checkpoint_with_a_damaged_vector_is_passed_over(tmp_path):
    config = tiny(*FEW, *RUNS["fedasync"], "rounds=4")
    out = raygan.train(config, tmp_path / "run").out
    vectors = out / "checkpoints" / "round_000004" / "flying.safetensors"
    damaged = bytearray(vectors.read_bytes())
    damaged[-5] ^= 1
    vectors.write_bytes(damaged)
    start, passed_over = load_newest(RunFolder(out).checkpoints, 4)
    assert start.round == 2
    assert "flying.safetensors does not match" in passed_over[0]


@pytest.mark.parametrize("run", REPLAYED)
def test_a_lost_worker_alone_is_started_again_and_no_bit_changes(run, expected, tmp_path):
    config = tiny(*FEW, *RUNS[run], "engine.executor=inline")
    transport = Nodes(config, dies=[(4, "states", 2), (6, "states", 1)])
    folder, said = run_through(transport, config, tmp_path / "run")
    assert folder.generator.read_bytes() == expected(run)
    assert "going on after round 2" in said
    assert [row["round"] for row in folder.log.rows()] == list(range(10))


def test_a_lost_server_has_all_started_anew(expected, tmp_path):
    config = tiny(*FEW, *RUNS["fedbuff"], "engine.executor=inline")
    folder, said = run_through(Nodes(config, dies=[(5, "update", 0)]), config, tmp_path / "run")
    assert folder.generator.read_bytes() == expected("fedbuff")
    assert said.count("starting in this process") == 1


def test_a_lost_update_is_missed_by_the_version_that_it_was_for(tmp_path):
    """The slowest device dies in its first turn, and is there again behind it, as it was."""
    config = tiny(*FEW, *RUNS["fedasync"], "engine.on_device_failure=drop")
    folder = run_on(Nodes(config, dies=[(1, "update_devices", 3)]), config, tmp_path / "run")
    rows = folder.log.rows()
    (missed,) = [row for row in rows[1:] if row["dropped"]]
    assert missed["dropped"].keys() == {"3"}
    assert missed["staleness_max"] == missed["round"] - 1 > 0
    assert "d_loss" not in missed
    assert folder.generator.read_bytes() == plain_versions(config, tmp_path / "plain.safetensors", [(1, 3)])


def test_dropping_changes_nothing_where_nobody_is_lost(expected, tmp_path):
    config = tiny(*FEW, *RUNS["fedbuff"], "engine.on_device_failure=drop", "engine.on_bad_update=drop")
    assert run_on(Nodes(config, 2), config, tmp_path / "run").generator.read_bytes() == expected("fedbuff")


@pytest.mark.parametrize("method", ["mdgan", "centralized"])
def test_a_method_whose_rounds_are_of_all_devices_is_refused(method, tmp_path):
    with raises("schedule", "conflict", "asynchronous", method):
        raygan.train(tiny("schedule=asynchronous", f"method={method}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


ASYNCHRONOUS = "schedule=asynchronous"
REFUSED = [
    (["asynchronous.buffer=2"], "asynchronous.buffer", "schedule=asynchronous", "serial"),
    (["schedule=parallel", "asynchronous.staleness=hinge"], "asynchronous.staleness", "parallel"),
    ([ASYNCHRONOUS, "asynchronous.buffer=4"], "asynchronous.buffer", "devices=3"),
    ([ASYNCHRONOUS, "asynchronous.running=4"], "asynchronous.running", "devices=3"),
    ([ASYNCHRONOUS, "selection.name=uniform", "selection.count=2"], "selection.name", "asynchronous.running"),
    ([ASYNCHRONOUS, "selection.deadline_s=2"], "selection.deadline_s", "schedule=asynchronous"),
    ([ASYNCHRONOUS, "scaffold.option=I"], "scaffold.option", "schedule=asynchronous"),
    ([ASYNCHRONOUS, "aggregation.name=median"], "aggregation.name", "median", "mean"),
    (
        [ASYNCHRONOUS, "averaged.optimizer_state=average", "averaged.upload=delta"],
        *("averaged.upload", "weights"),
    ),
    ([ASYNCHRONOUS, "asynchronous.mixing=1.5"], "asynchronous.mixing", "1.5"),
]


@pytest.mark.parametrize(("words", "key", "named"), [(words, key, named) for words, key, *named in REFUSED])
def test_what_does_not_go_together_is_one_line(words, key, named):
    with raises(key, None, *named):
        tiny(*words)


def test_a_config_with_the_section_written_out_is_the_same_run(tmp_path):
    (tmp_path / "config.yaml").write_text(dump_config(tiny()))
    assert load_config(tmp_path / "config.yaml") == tiny()


def test_the_plan_tells_of_versions():
    plan = make_plan(tiny(*FEW, *RUNS["fedbuff"]))
    line = dict(describe_plan(plan))["versions"]
    assert "of 2 updates, with 4 devices at once" in line
    assert re.search(r"[0-9.]+ versions old on average, [1-9] at most", line)
    devices, versions = under_way(plan)
    assert 1 <= versions <= devices <= 3
    assert under_way(make_plan(tiny(*FEW, *RUNS["all"]))) == (0, 0)


def test_a_page_draws_how_old_updates_were(tmp_path):
    result = raygan.train(tiny(*FEW, *RUNS["fedbuff"]), tmp_path / "run", watchers=[])
    page = write_report(result.out, tmp_path / "page.html").read_text()
    assert 'id="staleness"' in page
    assert "averaged, asynchronous on digits" in page
    assert "4 of them at once, and a version (a round here) of every 2 updates" in page
    assert "2 devices in every version, whoever came next" in page


def test_other_links_would_have_brought_other_updates(tmp_path):
    result = raygan.train(tiny(*FEW, *RUNS["fedasync"]), tmp_path / "run", watchers=[])
    assert priced(result.out, ["channel.bits_per_parameter=32"]).others == 0
    assert priced(result.out, ["channel.uplink_bps=[1e7, 1e7, 1e9, 1e9]"]).others > 0

"""From a file and words to a checked sweep, or one line."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raygan import load_config, load_sweep
from raygan.config.load import checked
from raygan.config.source import dump
from raygan.sweep.load import SWEEP, check_sweep, dump_sweep, reload_sweep, tried_out
from raygan.sweep.resources import needs_of_trial, resources_for
from raygan.sweep.spec import Asha, Optuna, Sweep
from tests.errors import raises
from tests.sweep.helpers import CONFIG, RATES, SCHEDULES

SWEEPS = sorted((Path(__file__).parents[2] / "tune_configs").glob("*.yaml"))
PAIR = {key: {"loguniform": [1e-4, 1e-2]} for key in ("device_optimizer.lr", "generator_optimizer.lr")}
DRAWN = {"space": RATES, "samples": 4}
PBT = {"space": PAIR, "samples": 4, "scheduler": {"name": "pbt"}}


@pytest.fixture
def load(tmp_path):
    """A sweep of the schedules with other keys; None: without that key."""

    def load(keys, *words):
        tree = {"config": CONFIG, "space": SCHEDULES} | keys
        path = tmp_path / "mine.yaml"
        path.write_text(dump({key: value for key, value in tree.items() if value is not None}))
        return load_sweep(path, words)

    return load


def target(**keys):
    return {"metric": "sim_s_to_target", "target": {"fd_clf": 40}} | keys


WRONG = [
    ({"sapce": {}}, ("sapce", "unknown")),
    (
        {"scheduler": {"name": "asha", "grace_time": 3}},
        ("scheduler.grace_time", "unknown", "scheduler.grace_period"),
    ),
    ({"scheduler": {"name": "pbt", "grace_period": 3}}, ("scheduler.grace_period", "unknown", "scheduler.name=asha")),
    ({"scheduler": {"name": "ashes"}}, ("scheduler", "unknown", "'ashes'", "'fifo'", "'asha'", "'pbt'", "'pb2'")),
    ({"search": {"name": "bayes"}}, ("search", "unknown", "'bayes'", "'random'", "'optuna'")),
    ({"search": {"name": "optuna", "seeds": 3}}, ("search.seeds", "unknown")),
    ({"space": None}, ("space", "missing")),
    ({"space": {}}, ("space", "conflict")),
    ({"space": {"shedule": {"choice": ["serial"]}}}, ("space", "unknown", "shedule")),
    ({"space": {"optimizer.lr": {"choice": [1.0]}}}, ("space", "unknown", "optimizer")),
    ({"space": {"schedule": {"grid_search": ["serial", "both"]}}}, ("space", "value", "schedule", "'serial'")),
    (
        {"space": {"generator_steps": {"uniform": [2.0, 4.0]}}},
        ("space", "value", "generator_steps"),
    ),
    (
        {"space": {"device_steps": {"randint": [0, 3]}}, "samples": 50},
        ("space", "value", "device_steps"),
    ),
    (
        {"space": {"devices": {"choice": [2]}}},
        ("devices", "twice"),
    ),
    (
        {"space": {"data.limit": {"choice": [150]}}},
        ("data.limit", "twice"),
    ),
    ({"space": {"checkpoint.every": {"choice": [1]}}}, ("space", "conflict", "checkpoint.every", "varied")),
    ({"space": {"checkpoint.keep": {"choice": [1]}}}, ("space", "conflict", "checkpoint.keep")),
    ({"space": {"engine.address": {"choice": ["auto"]}}}, ("space", "conflict", "engine.address", "varied")),
    ({"config": {"divices": 3}}, ("divices", "unknown")),
    ({"config": {"devices": "three"}}, ("devices", "value")),
    ({"config": [3]}, ("config", "value")),
    ({"metric": "fid_clf"}, ("metric", "unknown", "fid_clf", "fd_clf")),
    (
        {"metric": "reverse_kl"},
        ("metric", "unknown", "reverse_kl", "data.name=digits", "fd_clf", "classes_found"),
    ),
    ({"metric": "fid"}, ("metric", "unknown", "data.name=digits")),
    ({"mode": "lowest"}, ("mode", "value", "'min'", "'max'")),
    ({"target": {"fd_clf": 40}}, ("target", "conflict", "rounds_to_target", "megabytes_to_target", "sim_s_to_target")),
    (
        target(target=None),
        ("target", "conflict", "rounds_to_target", "megabytes_to_target", "sim_s_to_target", "fd_clf"),
    ),
    (target(target={}), ("target", "conflict", "fd_clf", "kd_clf", "reverse_kl")),
    (target(target={"fd_clf": 40, "fid": 3}), ("target", "conflict", "fd_clf", "kd_clf", "reverse_kl")),
    (target(target={"classes_found": 9}), ("target", "conflict", "fd_clf", "kd_clf", "reverse_kl")),
    (target(target={"reverse_kl": 0.1}), ("metric", "unknown", "reverse_kl", "data.name=digits")),
    (target(mode="max"), ("metric", "conflict", "sim_s_to_target", "scheduler.name=fifo")),
    (target(scheduler={"name": "asha"}), ("metric", "conflict", "sim_s_to_target")),
    ({"seeds": [0, 1, 0]}, ("seeds", "conflict", "[0, 1, 0]")),
    ({"seeds": [-1]}, ("seeds.0", "value")),
    ({"seeds": [0], "space": {"seed": {"choice": [1]}}}, ("seeds", "conflict")),
    ({"samples": 2}, ("samples", "conflict", "2")),
    ({"samples": 0}, ("samples", "value", "1")),
    ({"concurrent": 0}, ("concurrent", "value", "1")),
    ({"stop": {"rounds": 3}}, ("stop.rounds", "unknown")),
    ({"stop": {"hours": 0}}, ("stop.hours", "value", "0")),
    ({"search": {"name": "optuna"}}, ("space.schedule", "conflict", "grid_search", "search.name=random")),
    ({**DRAWN, "scheduler": {"name": "asha", "reduction_factor": 1}}, ("scheduler.reduction_factor", "value")),
    ({**DRAWN, "scheduler": {"name": "asha", "time_attr": "wall_s"}}, ("scheduler.time_attr", "value", "'round'")),
    ({**DRAWN, "scheduler": {"name": "asha", "time_attr": "sim_s"}}, ("scheduler", "missing", "grace_period", "max_t")),
    (
        {**DRAWN, "scheduler": {"name": "asha", "time_attr": "megabytes", "grace_period": 1}},
        ("scheduler", "missing", "grace_period", "max_t", "scheduler.time_attr=megabytes"),
    ),
    ({**DRAWN, "scheduler": {"name": "asha", "grace_period": 5}}, ("scheduler.grace_period", "conflict", "at 5")),
    ({**DRAWN, "scheduler": {"name": "asha", "max_t": 1}}, ("scheduler.grace_period", "conflict", "at 2")),
    ({**PBT, "space": {"gan.ema": {"choice": [0.0, 0.5]}}}, ("space", "conflict", "gan.ema")),
    ({**PBT, "samples": 1}, ("samples", "value", "2", "1")),
    ({**PBT, "seeds": [0, 1]}, ("scheduler.name", "conflict", "search.name=random")),
    ({**PBT, "search": {"name": "optuna"}}, ("scheduler.name", "conflict")),
    (
        {**PBT, "scheduler": {"name": "pbt", "perturbation_interval": 3}},
        ("scheduler.perturbation_interval", "conflict", "3"),
    ),
    ({**PBT, "scheduler": {"name": "pbt", "quantile_fraction": 0.6}}, ("scheduler.quantile_fraction", "value")),
    (
        {**PBT, "scheduler": {"name": "pb2"}, "space": {"device_optimizer.lr": {"choice": [1e-3, 1e-2]}}},
        ("space.device_optimizer.lr", "value", "pb2"),
    ),
    (
        {**PBT, "config": CONFIG | {"device_optimizer": {"lr_steps": [{"round": 3, "lr": 0.1}]}}},
        ("device_optimizer.lr_steps", "conflict"),
    ),
    ({"base": "digit"}, ("base", "unknown")),
    ({"base": "missing.yaml"}, ("missing.yaml", "unreadable", "file")),
    ({"base": 3}, ("base", "value")),
]


@pytest.mark.parametrize(
    ("keys", "about"), WRONG, ids=lambda value: ":".join(value[:2]) if isinstance(value, tuple) else ""
)
def test_a_wrong_key_or_value_is_one_line_that_names_the_file_and_it(keys, about, load, tmp_path):
    with raises(*about) as caught:
        load(keys)
    assert str(caught.value).startswith(f"{tmp_path / 'mine.yaml'}: ")


def test_two_keys_that_set_the_same_are_refused(load):
    below = {"averaged": {"schedule": {"choice": ["serial"]}}, "mdgan": None}
    for space in (
        {"method": {"choice": below}, "schedule": {"choice": ["parallel"]}},
        {"channel": {"choice": [{"name": "none"}]}, "channel.seed": {"choice": [1]}},
        {"channel.seed": {"choice": [1]}, "channel": {"choice": [{"name": "none"}]}},
    ):
        with raises("space", "twice"):
            load({"space": space})
    fedgan = {"fedgan": {"device_steps": {"choice": [2]}}, "averaged": {"device_steps": {"choice": [1]}}}
    load({"space": {"method": {"choice": fedgan}}})


def test_what_is_varied_for_some_may_be_set_for_the_others(load):
    below = {"averaged": {"schedule": {"grid_search": ["parallel"]}}, "mdgan": None}
    sweep = load({"space": {"method": {"grid_search": below}}}, "schedule=serial")
    assert [sweep.config_of(point).schedule for point in tried_out(sweep)] == ["parallel", "serial"]


WORDS = [
    ("sapce.x=3", ("sapce", "unknown")),
    ("rounds=0", ("rounds", "value", "1")),
    ("schedule=serial", ("schedule", "twice")),
    ("scheduler.name=ashes", ("scheduler", "unknown", "'ashes'", "'fifo'", "'asha'", "'pbt'", "'pb2'")),
    ("samples=many", ("samples", "value")),
    ("rounds", ("rounds", "value", "key=value")),
]


@pytest.mark.parametrize(("word", "about"), WORDS)
def test_a_wrong_word_is_one_line(word, about, load):
    with raises(*about):
        load({}, word)


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("a: [1", ("mine.yaml", "damaged")),
        ("- 1\n- 2", ("mine.yaml", "damaged")),
        ("space: !!python/name:os.system", ("mine.yaml", "damaged")),
    ],
)
def test_what_is_no_sweep_file_is_one_line(text, about, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    with raises(*about):
        load_sweep(tmp_path / "mine.yaml")
    with raises("none.yaml", "missing"):
        load_sweep(tmp_path / "none.yaml")
    with raises(str(tmp_path), "missing", "sweep.yaml"):
        reload_sweep(tmp_path)


def test_without_optuna_one_is_told_how_to_get_it(load, monkeypatch):
    monkeypatch.setattr("raygan.sweep.load.find_spec", lambda name: None)
    with raises("search.name", "package"):
        load({**DRAWN, "search": {"name": "optuna"}})


def test_without_scikit_learn_pb2_says_what_it_needs(load, monkeypatch):
    monkeypatch.setattr("raygan.sweep.load.find_spec", lambda name: None)
    with raises("scheduler.name", "package", "pb2"):
        load({**PBT, "scheduler": {"name": "pb2"}})


def test_words_set_the_sweeps_own_keys_and_configs_of_all_trials(load):
    sweep = load(DRAWN, "samples=7", "rounds=9", "scheduler.name=asha", "gan.latent=3", "search.seed=5")
    assert (sweep.samples, sweep.scheduler, sweep.search.seed) == (7, Asha(), 5)
    config = sweep.config_of({"device_optimizer.lr": 0.5})
    assert (config.rounds, config.gan.latent, config.gan.generator_width) == (9, 3, 4)
    assert config.device_optimizer.lr == 0.5


def test_words_go_into_the_files_sections_and_a_new_name_begins_a_new_one(load):
    asha = {**DRAWN, "scheduler": {"name": "asha", "reduction_factor": 2}}
    assert load(asha, "scheduler.max_t=3").scheduler == Asha(reduction_factor=2, max_t=3)
    assert load(asha, "scheduler.name=fifo").scheduler.name == "fifo"
    optuna = load(DRAWN, "search={name: optuna, startup: 3}").search
    assert optuna == Optuna(startup=3)


def test_the_base_is_a_preset_or_a_file_beside_the_sweep_and_lies_below_its_config(load, tmp_path):
    assert load({"base": "gaussians", "config": None, "metric": "reverse_kl"}).config_of({}).rounds == 3000
    (tmp_path / "base.yaml").write_text("rounds: 7\ndevices: 2\n")
    config = load({"base": "base.yaml", "config": {"devices": 4}}, "batch_size=3").config_of({})
    assert (config.rounds, config.devices, config.batch_size) == (7, 4, 3)


def test_space_may_vary_what_the_base_sets(load, tmp_path):
    whole = load({}).config_of({})
    (tmp_path / "best.yaml").write_text(dump(whole.model_dump(mode="json")))  # as a sweep before it may have left
    named = load({"base": "best.yaml", "config": None, "space": {"data.name": {"choice": ["digits"]}}})
    assert named.config_of(tried_out(named)[0]).data.limit == 200
    sweep = load({"base": "best.yaml", "config": None})
    assert [sweep.config_of(point).schedule for point in tried_out(sweep)] == ["serial", "parallel"]
    assert load({"base": "best.yaml", "config": None, "space": RATES}).config_of({}).rounds == 4
    (tmp_path / SWEEP).write_text(dump_sweep(sweep))
    assert reload_sweep(tmp_path) == sweep


def test_every_trial_saves_at_every_evaluation(load):
    assert load({}, "eval.every=3", "checkpoint.every=500").config_of({}).checkpoint.every == 3


values = st.floats(1e-4, 1.0) | st.floats(1e-4, 1.0).map(lambda x: -x)
domains_drawn = st.one_of(
    st.lists(st.integers(-5, 5) | st.text(max_size=5) | st.booleans() | st.none() | values, min_size=1).map(
        lambda options: {"choice": options}
    ),
    st.lists(values, min_size=2, max_size=2).map(lambda ends: {"uniform": sorted(ends)}),
    st.lists(st.integers(-9, 9), min_size=2, max_size=2, unique=True).map(lambda ends: {"randint": sorted(ends)}),
)
spaces = st.dictionaries(
    st.text("abc.", min_size=1, max_size=4),
    domains_drawn | domains_drawn.map(lambda below: {"grid_search": {"on": {"x.y": below}, "off": None}}),
    min_size=1,
    max_size=3,
)


@settings(max_examples=40)
@example({"seed": {"choice": ["\x85"]}}, 1, [], "\x85 is a line's end to YAML")
@given(spaces, st.integers(1, 99), st.lists(st.integers(0, 9), unique=True), st.text(max_size=20))
def test_a_dumped_sweep_is_read_back_as_an_equal_one(space, samples, seeds, question):
    from raygan.config.source import parse_yaml

    keys = {"space": space, "samples": samples, "seeds": seeds, "question": question, "config": CONFIG}
    sweep = checked(keys | {"scheduler": {"name": "asha", "max_t": 3}, "stop": {"sim_s": 0.1}}, Sweep)
    assert checked(parse_yaml(dump_sweep(sweep)), Sweep) == sweep


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_sweeps_that_ship_are_good_and_their_resources_hold_every_trial(path, tmp_path):
    sweep = load_sweep(path)
    (tmp_path / SWEEP).write_text(dump_sweep(sweep))
    assert reload_sweep(tmp_path) == sweep
    tried = tried_out(sweep)
    assert tried
    for point in tried:
        config = sweep.config_of(point)
        asked = resources_for(config).required_resources
        assert all(asked.get(name, 0) >= amount for name, amount in needs_of_trial(config).total.items())


def test_the_sweeps_in_the_docs_can_be_played(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block)
        assert tried_out(load_sweep(path))


def test_a_sweep_built_in_python_begins_with_its_base(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("batch_size: 24\ndevice_steps: 3\n")
    monkeypatch.chdir(tmp_path)
    asked = {"base": "mine.yaml", "config": CONFIG | {"batch_size": 8}, "space": RATES}
    made = checked(asked, Sweep)
    check_sweep(made)
    found = made.config_of({})
    assert (found.device_steps, found.batch_size, found.rounds) == (3, 8, CONFIG["rounds"])
    alone = made.on_its_own()
    assert alone.base is None
    (tmp_path / "mine.yaml").unlink()
    assert alone.config_of({}) == found
    with raises("mine.yaml", "unreadable"):
        made.config_of({})
    preset = load_config("digits")
    assert checked({"base": "digits", "space": RATES}, Sweep).config_of({}) == preset.model_copy(
        update={"checkpoint": preset.checkpoint.model_copy(update={"every": preset.eval.every})}
    )
    with raises("base", "unknown"):
        checked({"base": "digit", "space": RATES}, Sweep).config_of({})


def test_what_is_better_is_said_where_it_is_not_less():
    asked = {"config": CONFIG, "space": RATES, "metric": "classes_found"}
    with raises("mode", "conflict", "classes_found"):
        checked(asked, Sweep)
    assert [checked(asked | {"mode": mode}, Sweep).mode for mode in ("max", "min")] == ["max", "min"]

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from raygan import Config, InputError, components, load_config, preset_names
from raygan.config import dump_config
from raygan.config.data import Cifar10
from raygan.config.explain import sections_of
from raygan.config.gan import LrStep, Sgd
from raygan.config.load import check_config
from raygan.config.partitions import Dirichlet
from raygan.config.section import Section
from tests.errors import raises


def test_defaults_are_valid_and_frozen():
    config = load_config()
    assert config == Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.devices = 3


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name):
    assert isinstance(load_config(name), Config)


def test_overrides_lie_over_the_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("devices: 7\ngenerator_optimizer: {lr: 1e-3}\n")
    config = load_config(path, ["devices=9", "generator_optimizer.beta1=0.0"])
    assert (config.devices, config.generator_optimizer.lr, config.generator_optimizer.beta1) == (9, 1e-3, 0.0)


def test_a_new_name_drops_keys_the_new_choice_lacks_and_keeps_the_rest(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("data: {name: gaussians, modes: 25, limit: 90, partition: {name: dirichlet, alpha: 0.1}}\n")
    config = load_config(path, ["data.name=cifar10"])
    assert config.data == Cifar10(limit=90, partition=Dirichlet(alpha=0.1))
    assert config.data.size == 32, "the new choice's own default"


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["divices=3"], ("divices", "unknown")),
        (["engine.exector=ray"], ("engine.exector", "unknown", "engine.executor")),
        (["alpha=3"], ("alpha", "unknown", "data.partition.alpha")),
        (
            ["data.partition.alpha=3"],
            ("data.partition.alpha", "unknown", "data.partition.name=dirichlet", "data.partition.name=dirichlet_equal"),
        ),
        (["devices=two"], ("devices", "value", "'two'")),
        (["devices=2.5"], ("devices", "value", "2.5")),
        (["devices=true"], ("devices", "value", "True")),
        (["devices=-1"], ("devices", "value", "0", "-1")),
        (["gan.ema=.nan"], ("gan.ema", "value")),
        (["gan.loss=hing"], ("gan.loss", "unknown", "'hing'")),
        (["gan.penalty_every=4"], ("gan.penalty_every", None, "gan.r1 or gan.r2")),
        (["gan.r1=1", "gan.penalty_every=0"], ("gan.penalty_every", "value")),
        (["gan.r1=-1"], ("gan.r1", "value", "-1")),
        (["gan.r2=much"], ("gan.r2", "value", "'much'")),
        (["gan.loss=relativstic"], ("gan.loss", "unknown", "relativistic")),
        (["gan.augment=adda"], ("gan.augment", "value", "'diffaugment'")),
        (["gan.augment=ada", "gan.augment_policy=[]"], ("gan.augment_policy", None, "name one")),
        (["gan.augment_policy=[color]"], ("gan.augment_policy.0", "value", "'colour'")),
        (["gan.augment=ada", "gan.ada_target=1"], ("gan.ada_target", "value")),
        (["gan.augment=ada", "gan.ada_images=0"], ("gan.ada_images", "value")),
        (["data.name=cifer10"], ("data.name", "unknown", "'cifer10'", "cifar10")),
        (["device_optimizer.name=adm"], ("device_optimizer", "unknown", "'adm'", "'adam'", "'sgd'")),
        (
            ["device_optimizer.lr_steps=[{round: 3, lr: 1}, {round: 3, lr: 2}]"],
            ("device_optimizer.lr_steps", "value", "3 comes"),
        ),
        (
            ["device_optimizer.lr_steps=[{round: 1, lr: 1}]"],
            ("device_optimizer.lr_steps.0.round", "value"),
        ),
        (["device_optimizer.lr_steps=[{round: 3, lr: 0}]"], ("device_optimizer.lr_steps.0.lr", "value")),
        (["device_optimizer.lr_steps=[{round: 3}]"], ("device_optimizer.lr_steps.0.lr", "missing")),
        (["generator_optimizer.lr_steps={round: 3, lr: 1}"], ("generator_optimizer.lr_steps", "value")),
        (
            ["generator_optimizer.lr_step=[]"],
            ("generator_optimizer.lr_step", "unknown", "generator_optimizer.lr_steps"),
        ),
        (
            ["device_optimizer.lr_steps=[{round: 3, lr: 1, zzz: 2}]"],
            ("device_optimizer.lr_steps.0.zzz", "unknown"),
        ),
        (["data.partition=iid"], ("data.partition", "missing", "name", "data.partition.name")),
        (["engine=3"], ("engine", "value", "section")),
        (["data.name=folder"], ("data.root", "missing")),
        (["data.name=gaussians", "data.layout=grid", "data.modes=8"], ("data", "conflict", "modes=8")),
        (["gan=3", "gan.latent=4"], ("gan", "value", "section", "3")),
        (["rounds=2020-13-45"], ("rounds", "value", "'2020-13-45'")),
        (["gan.options={2020-01-01: 3}"], ("gan.options.datetime.date(2020, 1, 1)", "unknown")),
        (["gan.condition=acgan"], ("gan.condition", "value", "'acgan'")),
        (["gan.fake_classes=global"], ("gan.fake_classes", "conflict", "gan.condition")),
        (["gan.class_weights=[1, 2]"], ("gan.class_weights", "conflict", "gan.condition")),
        (["gan.condition=concat", "gan.class_weights=[0, 0]"], ("gan.class_weights", "value")),
        (["gan.condition=concat", "gan.fake_classes=both"], ("gan.fake_classes", "value", "'both'")),
        (["gan.condition=auxiliary", "gan.auxiliary_weight=0"], ("gan.auxiliary_weight", "value", "0")),
        (["devices"], ("devices", "value", "key=value")),
        (["devices=[1"], ("devices", "value", "'[1'")),
    ],
)
def test_wrong_input_is_one_line_with_the_key(words, about):
    with raises(*about):
        load_config(None, words)


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("devices: 3\ndevices: 4\n", ("run.yaml", "damaged")),
        ("- 1\n- 2\n", ("run.yaml", "damaged")),
        ("a: [", ("run.yaml", "damaged")),
        ("seed: 0x" + "f" * 5000, ("seed", "value", "20000 bits")),
        ("gan: &a {options: {x: *a}}", ("gan", "value", "100,000 values")),
        ("!!python/object/apply:os.system ['true']\n", ("run.yaml", "damaged")),
    ],
)
def test_wrong_files(tmp_path, text, about):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with raises(*about):
        load_config(path)


def test_an_unknown_preset_names_the_nearest():
    with raises("digit", "unknown"):
        load_config("digit")


def test_yaml_round_trip_is_exact(tmp_path):
    config = load_config(
        None,
        [
            "data.name=folder",
            "data.root=/some where/x",
            "gan.ema=0.1",
            "generator_optimizer.lr=1e-7",
            "generator_optimizer.lr_steps=[{round: 401, lr: 1e-8}, {round: 500, lr: 1}]",
        ],
    )
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config))
    assert load_config(path) == config


@given(st.lists(st.tuples(st.integers(2, 9), st.floats(1e-6, 1)), unique_by=lambda step: step[0]).map(sorted))
def test_the_rate_of_a_round_is_that_of_the_last_step_begun(steps):
    optimizer = Sgd(lr=2, lr_steps=tuple(LrStep(round=round, lr=lr) for round, lr in steps))
    expected = 2.0
    for round in range(1, 11):
        expected = dict(steps).get(round, expected)
        assert optimizer.lr_at(round) == expected


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
keys = st.sampled_from([*Config.model_fields, "nonsense"])


@given(st.dictionaries(keys, trees, max_size=3))
def test_any_tree_gives_a_config_or_one_line(tree):
    try:
        config = check_config(json.loads(json.dumps(tree)))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert check_config(config.model_dump(mode="json")) == config


@given(st.lists(st.tuples(st.sampled_from(["gan", "gan.latent", "data", "data.name", "x"]), trees), max_size=3))
def test_any_words_give_a_config_or_one_line(pairs):
    try:
        load_config(None, [f"{key}={json.dumps(value)}" for key, value in pairs])
    except InputError as error:
        assert "\n" not in str(error)


def test_a_files_section_given_as_a_word_is_refused_with_its_key(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("data: digits\n")
    with raises("data", "value"):
        load_config(path, ["data.limit=100"])
    path.write_text("data: []\n")
    with raises("data", "value"):
        load_config(path, ["data.limit=100"])
    path.write_text("data:\n")
    assert load_config(path, ["data.limit=100"]).data.limit == 100


@pytest.mark.parametrize("table", ["DATA_SETS", "PARTITIONS", "AGGREGATORS", "CODECS", "CHANNELS", "SELECTIONS"])
def test_a_line_in_a_table_is_enough_for_a_component_without_knobs(table, monkeypatch):
    key = {"DATA_SETS": "data", "PARTITIONS": "data.partition"}.get(table, table.removesuffix("S").lower())
    key = {"aggregator": "aggregation", "codec": "compression"}.get(key, key)
    with raises(f"{key}.name", "unknown", "'brand_new'"):
        load_config(None, [f"{key}.name=brand_new"])
    monkeypatch.setitem(getattr(components, table), "brand_new", "mine:Brand")
    section = load_config(None, [f"{key}.name=brand_new", f"{key}.options.x=3"])
    for part in key.split("."):
        section = getattr(section, part)
    assert (section.name, section.options) == ("brand_new", {"x": 3})


def test_a_method_of_ones_own_has_options():
    config = load_config(None, ["method=tests.own:raises", "method_options.beta=0.5"])
    assert config.method_options == {"beta": 0.5}
    with raises("method_option", "unknown", "method_options"):
        load_config(None, ["method_option.beta=0.5"])


def every_section(section: type[Section]):
    yield section
    for field in section.model_fields.values():
        for below in sections_of(field.annotation):
            yield from every_section(below)


@pytest.mark.parametrize("section", sorted({*every_section(Config), LrStep}, key=lambda section: section.__name__))
def test_every_field_is_documented(section):
    undocumented = [name for name, field in section.model_fields.items() if name != "name" and not field.description]
    assert undocumented == []
    assert section.__doc__

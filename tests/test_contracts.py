"""What a user's own component may get wrong is one line that names its key, before anything is started if it can be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import raygan
from raygan import InputError
from raygan.config.data import OwnData
from raygan.config.partitions import OwnPartition
from raygan.data import load_data, split
from raygan.errors import RunError
from raygan.gan.losses import Loss
from raygan.gan.networks import check_loss
from raygan.round.reports import ServerReport, WorkerReport, outcome_of
from raygan.round.timing import ServerTimes
from tests import contracts
from tests.helpers import tiny

HERE = "tests.contracts"


@pytest.fixture(autouse=True)
def nothing_wrong():
    contracts.wrong.clear()
    yield
    contracts.wrong.clear()


def is_one_line(error, *parts):
    text = str(error)
    assert "\n" not in text
    assert all(part in text for part in parts), text


# --- data sets --------------------------------------------------------------------------------------

NOT_IMAGES = {
    "floats in [0, 1]": ({"images": np.zeros((40, 1, 16, 16), np.float32)}, "uint8 from 0 to 255"),
    "channels last": ({"images": np.zeros((40, 16, 16, 3), np.uint8)}, "(N, 1 or 3, H, W)"),
    "double points": ({"images": np.zeros((40, 2))}, "(N, d) float32"),
    "points that are not finite": (
        {"images": np.array([[np.nan, 0]] + [[1, 1]] * 39, np.float32)},
        "1 point of 40 are not finite",
    ),
    "nothing": ({"images": np.zeros((0, 1, 16, 16), np.uint8), "labels": np.zeros(0, int)}, "holds no samples"),
    "one label too few": ({"labels": np.zeros(39, int)}, "its labels are int64 (39,); a numpy array of 40 integers"),
    "one too many": ({"labels": np.zeros(41, int)}, "its labels are int64 (41,)"),
    "from 1": ({"labels": np.arange(40) % 2 + 1}, "its labels go from 1 to 2; from 0 to 1 is needed"),
    "negative": ({"labels": np.arange(40) % 2 - 1}, "its labels go from -1 to 0"),
    "a list": ({"labels": [0, 1] * 20}, "its labels are a list"),
    "a column": ({"labels": np.zeros((40, 1), int)}, "its labels are int64 (40, 1)"),
    "floats": ({"labels": np.zeros(40)}, "its labels are float64 (40,)"),
    "a tensor": ({"labels": torch.zeros(40, dtype=torch.int64)}, "its labels are torch.int64 (40,)"),
    "no classes": ({"classes": ()}, "names of the classes are needed"),
    "numbers of classes": ({"classes": (0, 1)}, "names of the classes are needed"),
}


@pytest.mark.parametrize("how", NOT_IMAGES)
def test_a_data_set_that_is_not_what_it_should_be(how):
    contracts.wrong["images"], message = NOT_IMAGES[how]
    with pytest.raises(InputError) as caught:
        load_data(OwnData(name=f"{HERE}:images"), 0)
    is_one_line(caught.value, f"data.name: {HERE}:images", message)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_labels_may_be_any_integers(dtype):
    contracts.wrong["images"] = {"labels": (np.arange(40) % 2).astype(dtype)}
    assert load_data(OwnData(name=f"{HERE}:images"), 0).labels.dtype == np.int64


@pytest.mark.parametrize(
    "value", [None, (np.zeros((4, 1, 16, 16), np.uint8), np.zeros(4, int)), KeyError("on purpose")]
)
def test_a_data_set_that_is_no_image_set(value, tmp_path):
    contracts.wrong["data"] = value
    with pytest.raises(InputError) as caught:
        raygan.train(tiny(f"data.name={HERE}:data", "data.limit=null"), tmp_path / "run", watchers=[])
    is_one_line(caught.value, f"data.name: {HERE}:data")
    assert not (tmp_path / "run").exists()
    if isinstance(value, KeyError):
        is_one_line(caught.value, "KeyError: 'on purpose'", "contracts.py, line ")


LABELS = st.integers(0, 3)


@given(
    labels=arrays(
        st.sampled_from([np.int64, np.float32, np.uint8]),
        array_shapes(max_dims=2, max_side=45),
        elements=st.integers(0, 3),
    )
)
def test_whatever_labels_are_they_fit_or_are_refused(labels):
    contracts.wrong["images"] = {"labels": labels}
    try:
        found = load_data(OwnData(name=f"{HERE}:images"), 0)
    except InputError as error:
        is_one_line(error, "its labels")
    else:
        assert found.labels.shape == (40,)
        assert found.labels.max() < 2


# --- partitions -------------------------------------------------------------------------------------

JUNK = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=5),
    st.lists(st.integers(0, 5), max_size=5),
    st.lists(arrays(np.float64, 3), min_size=3, max_size=3),
    st.lists(arrays(np.int64, (2, 2), elements=st.integers(0, 9)), min_size=3, max_size=3),
    st.lists(arrays(np.int64, 4, elements=st.integers(-3, 12)), min_size=3, max_size=3),
)


@given(dealt=JUNK)
def test_whatever_a_partition_returns_is_whole_or_refused(dealt):
    contracts.wrong["partition"] = lambda right: dealt
    with pytest.raises(InputError) as caught:
        split(np.zeros(13, int), 3, OwnPartition(name=f"{HERE}:partition"), 0)
    is_one_line(caught.value, f"data.partition.name: {HERE}:partition")


def test_a_partition_of_floats_is_refused():
    contracts.wrong["partition"] = lambda right: [array.astype(float) for array in right]
    with pytest.raises(InputError, match=r"float64 \(5,\).*arrays of integers, one for each device, is needed"):
        split(np.zeros(13, int), 3, OwnPartition(name=f"{HERE}:partition"), 0)


# --- losses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda logits: logits, "a finite scalar that depends on them is needed"),
        (lambda logits: 3.0, "discriminator gave 3.0 for logits"),
        (lambda logits: torch.tensor(1.0), "a finite scalar that depends on them is needed"),
        (lambda logits: logits.sum() / 0, "a finite scalar"),
        (lambda logits: logits.nope, "AttributeError"),
    ],
)
def test_a_loss_that_is_none(value, message, tmp_path):
    contracts.wrong["loss"] = value
    with pytest.raises(InputError) as caught:
        raygan.train(tiny(f"gan.loss={HERE}:loss"), tmp_path / "run", watchers=[])
    is_one_line(caught.value, f"gan.loss: {HERE}:loss", message)
    assert not (tmp_path / "run").exists()


def test_our_losses_are_losses():
    for name in ("non_saturating", "minimax", "hinge", "least_squares", "wgan_gp"):
        check_loss(getattr(raygan.gan.losses, name), "gan.loss")
    with pytest.raises(InputError, match="generator gave None"):
        check_loss(Loss(lambda real, fake: real.mean(), lambda fake: None), "gan.loss")


# --- channels and selections ------------------------------------------------------------------------

RATES = [None, "fast", [1.0], [[1.0, 2.0, 3.0]], ["a", "b", "c"], [-1.0] * 3, [float("nan")] * 3, OSError("on purpose")]


@settings(max_examples=20)
@given(what=st.sampled_from(["quality", "uplink", "broadcast", "out_of_reach"]), value=st.sampled_from(RATES))
def test_whatever_a_channel_says_is_used_or_refused(what, value, tmp_path_factory):
    contracts.wrong.clear()
    contracts.wrong[what] = value
    out = tmp_path_factory.mktemp("channel") / "run"
    with pytest.raises(InputError) as caught:
        raygan.train(tiny(f"channel.name={HERE}:Links", "rounds=1"), out, watchers=[])
    is_one_line(caught.value, f"channel.name: {HERE}:Links")
    assert not out.exists()


@settings(max_examples=10)
@given(value=st.sampled_from([None, "all", [0.5], [0, 9], [-1], [0, 0], [], [[0]], OSError("on purpose")]))
def test_whatever_a_selection_chooses_is_devices_or_refused(value, tmp_path_factory):
    contracts.wrong["choose"] = value
    out = tmp_path_factory.mktemp("selection") / "run"
    with pytest.raises(InputError) as caught:
        raygan.train(tiny(f"selection.name={HERE}:Chooses"), out, watchers=[])
    is_one_line(caught.value, f"selection.name: {HERE}:Chooses")
    assert not out.exists()


# --- methods, aggregators, metrics ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda update, state: None, "answered with NoneType; an Update and a State are"),
        (lambda update, state: update, "answered with Update; an Update and a State"),
        (lambda update, state: (update, [1]), "keeps [1]; a State, numpy arrays by name, is needed"),
        (lambda update, state: (update, {"moments": torch.zeros(2)}), "keeps {'moments'"),
        (lambda update, state: (replace(update, metrics=[1]), state), "measured [1]; numbers by name"),
        (lambda update, state: (replace(update, metrics={"d_loss": "low"}), state), "d_loss='low'; a number is needed"),
        (lambda update, state: (replace(update, vector=[1.0]), state), "it is a list; a float32 array"),
        (lambda update, state: (replace(update, vector=update.vector.astype(float)), state), "the update does not fit"),
        (lambda update, state: (replace(update, weight="heavy"), state), "the update does not fit"),
        (lambda update, state: (replace(update, slot=7), state), "slot 7"),
    ],
)
def test_a_method_that_answers_otherwise(value, message, tmp_path):
    contracts.wrong["update"] = value
    with pytest.raises((InputError, RunError)) as caught:
        raygan.train(tiny(f"method={HERE}:answers"), tmp_path / "run", watchers=[])
    is_one_line(caught.value, message)


def test_a_server_that_measures_something_else(tmp_path):
    contracts.wrong["finish"] = {"g_loss": np.zeros(2)}
    with pytest.raises((InputError, RunError), match=r"g_loss=array.*a number is needed"):
        raygan.train(tiny(f"method={HERE}:finishes"), tmp_path / "run", watchers=[])


@pytest.mark.parametrize("value", [None, 3.0, lambda vector: vector[:-1], lambda vector: vector.astype(float)])
def test_an_aggregator_that_makes_something_else(value, tmp_path):
    contracts.wrong["combine"] = value
    with pytest.raises((InputError, RunError), match=r"aggregation\.name: tests\.contracts:Combines made"):
        raygan.train(tiny(f"aggregation.name={HERE}:Combines"), tmp_path / "run", watchers=[])


@settings(max_examples=10)
@given(
    value=st.sampled_from([None, 3, [1.0], {"a": "b"}, {3: 1.0}, {"fd_clf": 1.0}, {"a": float("nan")}, OSError("x")])
)
def test_whatever_a_metric_returns_is_recorded_or_refused(value, tmp_path_factory):
    contracts.wrong["metric"] = value
    with pytest.raises((InputError, RunError), match=f"eval.metrics: {HERE}:Measures"):
        raygan.train(
            tiny(f"eval.metrics={HERE}:Measures", "rounds=1"), tmp_path_factory.mktemp("metric") / "run", watchers=[]
        )


def test_devices_may_measure_different_things():
    worker = WorkerReport({0: {"d_loss": 1.0, "own": 4.0}, 1: {"d_loss": 3.0}, 2: {"other": 5.0}})
    server = ServerReport({"g_loss": 7.0}, {}, ServerTimes(0, 0, 0, 0))
    assert outcome_of([worker], server, asked=0.0).metrics == {"d_loss": 2, "own": 4, "other": 5, "g_loss": 7}


# --- modules that cannot be imported ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(:\n  pass\n", "SyntaxError"),
        ("x = 1\ny = nope\n", "NameError: name 'nope' is not defined"),
        ("raise OSError('on purpose')\n", "OSError: on purpose"),
    ],
)
def test_a_module_that_cannot_be_imported_names_file_and_line(code, message, tmp_path, monkeypatch):
    name = f"broken_{abs(hash(code)) % 10**8}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError) as caught:
        raygan.train(tiny(f"gan.loss={name}:loss"), tmp_path / "run", watchers=[])
    line = 2 if "nope" in code else 1
    is_one_line(caught.value, "gan.loss", message, f"{name}.py, line {line}")

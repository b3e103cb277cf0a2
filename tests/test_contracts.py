"""What a user's own component may get wrong is one line that names its key, before anything is started if it can be."""

import re
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
from tests.errors import raises
from tests.helpers import tiny

HERE = "tests.contracts"


@pytest.fixture(autouse=True)
def nothing_wrong():
    contracts.wrong.clear()
    yield
    contracts.wrong.clear()


# --- data sets --------------------------------------------------------------------------------------

NOT_IMAGES = {
    "floats in [0, 1]": ({"images": np.zeros((40, 1, 16, 16), np.float32)}, "layout", "float32 (40, 1, 16, 16)"),
    "channels last": ({"images": np.zeros((40, 16, 16, 3), np.uint8)}, "layout", "uint8 (40, 16, 16, 3)"),
    "double points": ({"images": np.zeros((40, 2))}, "layout", "float64 (40, 2)"),
    "points that are not finite": (
        {"images": np.array([[np.nan, 0]] + [[1, 1]] * 39, np.float32)},
        "not_finite",
        "1 point of 40",
    ),
    "nothing": ({"images": np.zeros((0, 1, 16, 16), np.uint8), "labels": np.zeros(0, int)}, "empty", "samples"),
    "one label too few": ({"labels": np.zeros(39, int)}, "mismatch", "labels are int64 (39,)"),
    "one too many": ({"labels": np.zeros(41, int)}, "mismatch", "labels are int64 (41,)"),
    "from 1": ({"labels": np.arange(40) % 2 + 1}, "range", "labels go from 1 to 2"),
    "negative": ({"labels": np.arange(40) % 2 - 1}, "range", "labels go from -1 to 0"),
    "a list": ({"labels": [0, 1] * 20}, "mismatch", "labels are a list"),
    "a column": ({"labels": np.zeros((40, 1), int)}, "mismatch", "labels are int64 (40, 1)"),
    "floats": ({"labels": np.zeros(40)}, "mismatch", "labels are float64 (40,)"),
    "a tensor": ({"labels": torch.zeros(40, dtype=torch.int64)}, "mismatch", "labels are torch.int64 (40,)"),
    "no classes": ({"classes": ()}, "missing", "()"),
    "numbers of classes": ({"classes": (0, 1)}, "missing", "(0, 1)"),
}


@pytest.mark.parametrize("how", NOT_IMAGES)
def test_a_data_set_that_is_not_what_it_should_be(how):
    contracts.wrong["images"], code, shown = NOT_IMAGES[how]
    with raises("data.name", code, f"{HERE}:images", shown):
        load_data(OwnData(name=f"{HERE}:images"), 0)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_labels_may_be_any_integers(dtype):
    contracts.wrong["images"] = {"labels": (np.arange(40) % 2).astype(dtype)}
    assert load_data(OwnData(name=f"{HERE}:images"), 0).labels.dtype == np.int64


@pytest.mark.parametrize(
    "value", [None, (np.zeros((4, 1, 16, 16), np.uint8), np.zeros(4, int)), KeyError("on purpose")]
)
def test_a_data_set_that_is_no_image_set(value, tmp_path):
    contracts.wrong["data"] = value
    code = "failed" if isinstance(value, KeyError) else "kind"
    with raises("data.name", code, f"{HERE}:data") as caught:
        raygan.train(tiny(f"data.name={HERE}:data", "data.limit=null"), tmp_path / "run", watchers=[])
    assert not (tmp_path / "run").exists()
    if isinstance(value, KeyError):
        assert re.search(r"KeyError: 'on purpose' \(.*contracts\.py, line \d+\)$", str(caught.value))


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
        assert (error.key, error.code in ("mismatch", "range")) == ("data.name", True)
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
    with raises("data.partition.name", None, f"{HERE}:partition"):
        split(np.zeros(13, int), 3, OwnPartition(name=f"{HERE}:partition"), 0)


def test_a_partition_of_floats_is_refused():
    contracts.wrong["partition"] = lambda right: [array.astype(float) for array in right]
    with raises("data.partition.name", "result", "float64", "(5,)"):
        split(np.zeros(13, int), 3, OwnPartition(name=f"{HERE}:partition"), 0)


# --- losses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "about"),
    [
        (lambda logits: logits, ("gan.loss", "result")),
        (lambda logits: 3.0, ("gan.loss", "result", "3.0")),
        (lambda logits: torch.tensor(1.0), ("gan.loss", "result")),
        (lambda logits: logits.sum() / 0, ("gan.loss", "result")),
        (lambda logits: logits.nope, ("gan.loss", "failed", "AttributeError")),
    ],
)
def test_a_loss_that_is_none(value, about, tmp_path):
    contracts.wrong["loss"] = value
    with raises(*about):
        raygan.train(tiny(f"gan.loss={HERE}:loss"), tmp_path / "run", watchers=[])
    assert not (tmp_path / "run").exists()


def test_our_losses_are_losses():
    for name in ("non_saturating", "minimax", "hinge", "least_squares", "wgan_gp"):
        check_loss(getattr(raygan.gan.losses, name), "gan.loss")
    with raises("gan.loss", "result", "None"):
        check_loss(Loss(lambda real, fake: real.mean(), lambda fake: None), "gan.loss")


# --- channels and selections ------------------------------------------------------------------------

RATES = [None, "fast", [1.0], [[1.0, 2.0, 3.0]], ["a", "b", "c"], [-1.0] * 3, [float("nan")] * 3, OSError("on purpose")]


@settings(max_examples=20)
@given(what=st.sampled_from(["quality", "uplink", "broadcast", "out_of_reach"]), value=st.sampled_from(RATES))
def test_whatever_a_channel_says_is_used_or_refused(what, value, tmp_path_factory):
    contracts.wrong.clear()
    contracts.wrong[what] = value
    out = tmp_path_factory.mktemp("channel") / "run"
    with raises("channel.name", None, f"{HERE}:Links"):
        raygan.train(tiny(f"channel.name={HERE}:Links", "rounds=1"), out, watchers=[])
    assert not out.exists()


@settings(max_examples=10)
@given(value=st.sampled_from([None, "all", [0.5], [0, 9], [-1], [0, 0], [], [[0]], OSError("on purpose")]))
def test_whatever_a_selection_chooses_is_devices_or_refused(value, tmp_path_factory):
    contracts.wrong["choose"] = value
    out = tmp_path_factory.mktemp("selection") / "run"
    with raises("selection.name", None, f"{HERE}:Chooses"):
        raygan.train(tiny(f"selection.name={HERE}:Chooses"), out, watchers=[])
    assert not out.exists()


# --- methods, aggregators, metrics ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "about"),
    [
        (lambda update, state: None, ("method", "result", "NoneType", "Update", "State")),
        (lambda update, state: update, ("method", "result", "Update", "State")),
        (lambda update, state: (update, [1]), ("method", "result", "[1]", "State")),
        (lambda update, state: (update, {"moments": torch.zeros(2)}), ("method", "result", "'moments'")),
        (lambda update, state: (replace(update, metrics=[1]), state), ("method", "result", "[1]")),
        (
            lambda update, state: (replace(update, metrics={"d_loss": "low"}), state),
            ("method", "result", "d_loss=", "'low'"),
        ),
        (lambda update, state: (replace(update, vector=[1.0]), state), ("round 1, device 0", "result", "float32")),
        (
            lambda update, state: (replace(update, vector=update.vector.astype(float)), state),
            ("round 1, device 0", "result"),
        ),
        (lambda update, state: (replace(update, weight="heavy"), state), ("round 1, device 0", "result")),
        (lambda update, state: (replace(update, slot=7), state), ("round 1, device 0", "result", "7")),
    ],
)
def test_a_method_that_answers_otherwise(value, about, tmp_path):
    contracts.wrong["update"] = value
    with raises(*about, kind=(InputError, RunError)):
        raygan.train(tiny(f"method={HERE}:answers"), tmp_path / "run", watchers=[])


def test_a_server_that_measures_something_else(tmp_path):
    contracts.wrong["finish"] = {"g_loss": np.zeros(2)}
    with raises("method", "result", "g_loss=array", kind=(InputError, RunError)):
        raygan.train(tiny(f"method={HERE}:finishes"), tmp_path / "run", watchers=[])


@pytest.mark.parametrize("value", [None, 3.0, lambda vector: vector[:-1], lambda vector: vector.astype(float)])
def test_an_aggregator_that_makes_something_else(value, tmp_path):
    contracts.wrong["combine"] = value
    with raises("aggregation.name", "result", "tests.contracts:Combines", kind=(InputError, RunError)):
        raygan.train(tiny(f"aggregation.name={HERE}:Combines"), tmp_path / "run", watchers=[])


@settings(max_examples=10)
@given(
    value=st.sampled_from([None, 3, [1.0], {"a": "b"}, {3: 1.0}, {"fd_clf": 1.0}, {"a": float("nan")}, OSError("x")])
)
def test_whatever_a_metric_returns_is_recorded_or_refused(value, tmp_path_factory):
    contracts.wrong["metric"] = value
    with raises("eval.metrics", None, f"{HERE}:Measures", kind=(InputError, RunError)):
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
    line = 2 if "nope" in code else 1
    with raises("gan.loss", "import", message, f"{name}.py, line {line}"):
        raygan.train(tiny(f"gan.loss={name}:loss"), tmp_path / "run", watchers=[])

"""EMNIST, whose files hold images mirrored at the diagonal, and whose letters are numbered from 1."""

import gzip
import string
import struct

import numpy as np
import pytest

from raygan import load_config
from raygan.data import load_data
from raygan.data.idx import EMNIST_CLASSES
from tests.errors import raises

UPRIGHT = np.random.default_rng(0).integers(256, size=(26, 28, 28), dtype=np.uint8)


def load(root, *words):
    return load_data(load_config(None, ["data.name=emnist", f"data.root={root}", *words]).data, seed=0)


def write(folder, split, labels, suffix=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("images-idx3", UPRIGHT.transpose(0, 2, 1)), ("labels-idx1", np.asarray(labels, np.uint8))):
        content = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
        path = folder / f"emnist-{split}-train-{name}-ubyte{suffix}"
        path.write_bytes(gzip.compress(content) if suffix else content)


@pytest.mark.parametrize(("below", "suffix"), [("", ""), ("gzip", ".gz"), ("EMNIST/raw", "")])
def test_letters_are_upright_under_their_own_names(tmp_path, below, suffix):
    write(tmp_path / below, "letters", np.arange(26) + 1, suffix)
    loaded = load(tmp_path, "data.split=letters")
    assert np.array_equal(loaded.images[:, 0], UPRIGHT)
    assert [loaded.classes[label] for label in loaded.labels] == list(string.ascii_uppercase)
    assert load(tmp_path, "data.split=letters", "data.size=32").shape == (1, 32, 32)


def test_splits_are_files_of_their_own(tmp_path):
    write(tmp_path, "balanced", [46] * 26)
    write(tmp_path, "byclass", [61] * 26)
    for words, last, count in (([], "t", 47), (["data.split=byclass"], "z", 62)):
        loaded = load(tmp_path, *words)
        assert loaded.classes[loaded.labels[0]] == last
        assert len(loaded.classes) == count


def test_the_names_are_torchvisions():
    torchvision = pytest.importorskip("torchvision.datasets").EMNIST.classes_split_dict
    for split, names in EMNIST_CLASSES.items():
        known = torchvision[split]
        assert list(names) == ([name.upper() for name in known[1:]] if split == "letters" else known)


@pytest.mark.parametrize(
    ("split", "labels", "about"),
    [
        ("letters", [0] * 26, ("emnist-letters-train-labels-idx1-ubyte.gz", "range", "0 to 0", "1 to 26")),
        ("digits", [10] * 26, ("emnist-digits-train-labels-idx1-ubyte.gz", "range", "10 to 10", "0 to 9")),
        ("digits", [1] * 25, ("test_what_is_wrong_is_named_di1", "mismatch", "(26, 28, 28)", "(25,)")),
        ("mnist", [1] * 26, ("data.root", "missing", "emnist-digits-train-images-idx3-ubyte")),
    ],
)
def test_what_is_wrong_is_named(tmp_path, split, labels, about):
    write(tmp_path, split, labels)
    with raises(*about):
        load(tmp_path, f"data.split={'digits' if split == 'mnist' else split}")


def test_a_split_that_does_not_exist_is_named():
    with raises("data.split", "value", "'byclass'"):
        load_config(None, ["data.name=emnist", "data.split=lower"])


def test_without_a_root_torchvision_downloads_the_split(tmp_path, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets")
    monkeypatch.setenv("RAYGAN_CACHE", str(tmp_path))
    asked = []

    def download(root, split, download):
        asked.append((split, download))
        write(root / "EMNIST" / "raw", split, np.arange(26) + 1, "")

    monkeypatch.setattr(datasets, "EMNIST", download)
    loaded = load_data(load_config(None, ["data.name=emnist", "data.split=letters"]).data, seed=0)
    assert np.array_equal(loaded.images[:, 0], UPRIGHT)
    assert asked == [("letters", True)]

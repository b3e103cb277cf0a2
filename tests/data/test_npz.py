"""Arrays in .npz files: of MedMNIST, of Keras, and of one's own."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import raygan
from raygan import load_config
from raygan.data import load_data
from raygan.data.depth import range_of_set
from tests.errors import raises
from tests.helpers import TINY

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(256, size=(6, 16, 16), dtype=np.uint8)
COLOUR = RANDOM.integers(256, size=(6, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "set.npz"


def load(path, *words):
    return load_data(load_config(None, ["data.name=npz", f"data.root={path}", *words]).data, seed=0)


def test_images_keep_their_own_size_and_say_when_they_cannot(path):
    np.savez(path, images=np.full((6, 20, 20, 3), 7, np.uint8), labels=np.arange(6) % 3)
    loaded = load(path)
    assert loaded.shape == (3, 16, 16)
    assert (loaded.images == 7).all()
    assert loaded.classes == ("0", "1", "2")
    assert loaded.notes == ("6 of 6 images (20x20 pixels) are centre-cropped and resized to 16x16",)


def test_names_of_classes(path):
    np.savez(path, images=GREY, labels=[0, 2, 0, 2, 2, 0], classes=["lung", "pneumonia", "other"])
    assert load(path).classes == ("lung", "other")
    np.savez(path, images=GREY, labels=[0, 1] * 3, called=np.array(["a", "ü"]))
    assert load(path, "data.names=called").classes == ("a", "ü")


def test_the_parts_of_medmnist(path):
    parts = {"train": GREY, "val": GREY[:3], "test": GREY[3:]}
    np.savez_compressed(
        path,
        **{f"{part}_images": images for part, images in parts.items()},
        **{f"{part}_labels": np.arange(len(images), dtype=np.uint8)[:, None] % 2 for part, images in parts.items()},
    )
    for part, images in parts.items():
        loaded = load(path, f"data.split={part}")
        assert np.array_equal(loaded.images[:, 0], images)
        assert loaded.labels.tolist() == [number % 2 for number in range(len(images))]
    assert load(path).digest == load(path, "data.split=train").digest


def test_the_parts_of_keras(path):
    np.savez(path, x_train=GREY[:4], y_train=np.arange(4) % 2, x_test=GREY[4:], y_test=np.array([7, 7]))
    assert len(load(path)) == 4
    assert load(path, "data.split=test").classes == ("7",)
    with raises("data.images", "missing", "set.npz", "x_val", "val_images"):
        load(path, "data.split=val")


def test_any_array_can_be_named(path):
    np.savez(path, images=GREY, labels=np.zeros(6, int), scans=COLOUR, findings=np.array(["cyst", "none"] * 3))
    loaded = load(path, "data.images=scans", "data.labels=findings")
    assert loaded.classes == ("cyst", "none")
    assert np.array_equal(loaded.images, COLOUR.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    "images",
    [
        COLOUR,
        COLOUR.transpose(0, 3, 1, 2),
        np.asfortranarray(COLOUR),
        GREY,
        GREY[..., None],
        GREY[:, None],
        GREY.astype(">u2") * 257,
        GREY.astype(np.int16) * 128 + GREY // 2,
        GREY / 255,
    ],
    ids=["last", "first", "by columns", "grey", "grey last", "grey first", "16 bits", "15 bits", "floats"],
)
def test_axes_and_types(path, images):
    np.savez(path, images=images, labels=np.arange(6))
    wanted = COLOUR.transpose(0, 3, 1, 2) if 3 in images.shape else GREY[:, None]
    assert np.array_equal(load(path).images, wanted)
    assert load(path, "data.channels=1").shape == (1, 16, 16)
    assert load(path, "data.channels=3", "data.size=32").shape == (3, 32, 32)


def test_12_bits(path):
    values = RANDOM.integers(4096, size=(4, 32, 32), dtype=np.uint16)
    np.savez(path, images=values)
    loaded = load(path, "data.depth=12")
    assert np.array_equal(loaded.images[:, 0], np.rint(255 * values.astype(float) / 4095))
    assert loaded.notes == ("uint16 values are scaled to 8 bits: 0 to 4095 becomes 0 to 255 (data.depth=12)",)
    np.savez(path, images=GREY)
    assert np.array_equal(load(path, "data.depth=12").images[:, 0], np.rint(255 * GREY.astype(float) / 4095))


@pytest.mark.parametrize("rule", ["set", "percentiles"])
def test_the_range_of_the_set(path, rule):
    values = RANDOM.normal(size=(6, 16, 16)).astype(np.float32)
    np.savez(path, images=values)
    images = load(path, f"data.depth={rule}").images[:, 0]
    low, high = (values.min(), values.max()) if rule == "set" else np.percentile(values, [0.5, 99.5])
    wanted = np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255
    assert np.abs(images - wanted).max() <= 0.5001


def test_percentiles_of_a_large_set_are_taken_of_fewer_values(path, monkeypatch):
    values = RANDOM.normal(size=(100, 16, 16))
    whole = range_of_set("percentiles", values)
    monkeypatch.setattr("raygan.data.depth._KEPT", 5000)
    taken = []
    original = np.percentile
    monkeypatch.setattr(np, "percentile", lambda array, *given: taken.append(len(array)) or original(array, *given))
    fewer = range_of_set("percentiles", values)
    assert 2500 <= taken[0] <= 5000
    assert (fewer.low, fewer.high) == pytest.approx((whole.low, whole.high), abs=0.3)
    assert fewer != whole


def test_more_than_a_block_of_rows(path, monkeypatch):
    monkeypatch.setattr("raygan.data.zipped._BLOCK", 600)
    np.savez_compressed(path, images=GREY.astype(np.uint16) * 257)
    assert np.array_equal(load(path).images[:, 0], GREY)


@pytest.mark.parametrize(
    ("labels", "numbers", "classes"),
    [
        (np.eye(3)[[0, 2, 1, 0, 0, 1]], [0, 2, 1, 0, 0, 1], ("0", "1", "2")),
        (np.array([[5], [1], [5], [9], [9], [9]]), [1, 0, 1, 2, 2, 2], ("1", "5", "9")),
        (np.array([2_000_000_000, 0, -3, 0, 0, 0]), [2, 1, 0, 1, 1, 1], ("-3", "0", "2000000000")),
        (np.array([1.0, 2, 1, 2, 1, 2]), [0, 1, 0, 1, 0, 1], ("1", "2")),
        (np.array([True, False] * 3), [1, 0, 1, 0, 1, 0], ("False", "True")),
        (np.array([b"b", b"a"] * 3), [1, 0, 1, 0, 1, 0], ("a", "b")),
    ],
    ids=["one-hot", "gaps", "large", "floats", "bools", "bytes"],
)
def test_labels_of_any_values(path, labels, numbers, classes):
    np.savez(path, images=GREY, labels=labels)
    loaded = load(path)
    assert loaded.labels.tolist() == numbers
    assert loaded.classes == classes


def test_without_labels_there_is_one_class(path):
    np.savez(path, images=GREY)
    assert load(path).classes == ("set",)
    assert not load(path).labels.any()
    findings = RANDOM.integers(2, size=(6, 14))
    np.savez(path, train_images=GREY, train_labels=findings)
    with raises("data.labels", "layout", "train_labels", "int64", "(6, 14)", "data.labels=none"):
        load(path)
    assert load(path, "data.labels=none").classes == ("set",)


LARGE = """
import resource, sys
from raygan import load_config
from raygan.data import load_data
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]),) * 2)
loaded = load_data(load_config(None, ["data.name=npz", f"data.root={sys.argv[1]}"]).data, seed=0)
print(loaded.classes, len(loaded))
"""


def limited(path, memory):
    """Loads in a process that may take `memory` more bytes once it has imported what it needs."""
    done = subprocess.run([sys.executable, "-c", LARGE, path, str(memory)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_memory_does_not_grow_with_the_labels(path):
    np.savez(path, images=GREY, labels=[2_000_000_000, 0, 0, 0, 0, 7])
    assert limited(path, 200_000_000) == "('0', '7', '2000000000') 6"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_file_is_not_held_beside_the_images(path, save):
    """The file holds 400 MB of values, which become 100 MB of images."""
    save(path, images=np.broadcast_to(np.float32(0.5), (25_600, 64, 64)))
    assert limited(path, 200_000_000) == "('set',) 25600"


def test_a_run_with_a_device_for_each_holder(path, tmp_path):
    images = RANDOM.integers(256, size=(60, 16, 16), dtype=np.uint8)
    hospitals = np.array(["Bonn", "Kiel", "Ulm"])[np.arange(60) // 25]
    np.savez(path, images=images, labels=np.arange(60) % 2, hospitals=hospitals)
    words = [word for word in TINY if not word.startswith(("devices", "data.limit"))]
    words += ["data.name=npz", f"data.root={path}", "data.holders=hospitals", "data.partition.name=natural"]
    result = raygan.train(load_config(None, [*words, "eval.metrics=[sliced]"]), tmp_path / "run")
    about = json.loads((result.out / "data.json").read_text())
    assert about["device_names"] == ["Bonn", "Kiel", "Ulm"]
    assert [sum(counts) for counts in about["device_class_counts"]] == [25, 25, 10]


class Code:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("arrays", "words", "about"),
    [
        ({"picture": GREY}, [], ("data.images", "missing", "images, x_train, train_images, x")),
        ({"picture": GREY}, [], ("data.images", "missing", "picture (6, 16, 16) uint8")),
        ({"a": GREY}, ["data.images=b"], ("data.images", "unknown", "a (6, 16, 16) uint8")),
        ({"x": GREY}, ["data.labels=b"], ("data.labels", "unknown")),
        ({"x": GREY}, ["data.holders=b"], ("data.holders", "unknown")),
        (
            {"x": GREY, "h": np.ones((6, 7))},
            ["data.holders=h"],
            ("data.holders", "layout", "float64", "(6, 7)"),
        ),
        ({"x": GREY, "y": np.arange(6)}, ["data.names=b"], ("data.names", "unknown")),
        ({"x": GREY, "n": ["a"]}, ["data.names=n"], ("data.names", "conflict")),
        ({"x": np.zeros((2, 3, 9, 3))}, [], ("data.images", "layout", "(3, 9, 3)")),
        ({"x": np.zeros((2, 8, 8, 8))}, [], ("data.images", "layout", "float64", "(8, 8, 8)")),
        ({"x": np.zeros((2, 64))}, [], ("data.images", "layout", "float64", "(64,)")),
        ({"x": np.float64(3)}, [], ("data.images", "layout", "float64 ()")),
        ({"x": np.zeros((2, 8, 0))}, [], ("data.images", "layout", "float64", "(8, 0)")),
        ({"x": np.zeros((2, 8, 8), complex)}, [], ("data.images", "layout", "complex128")),
        ({"x": GREY[:0]}, [], ("data.images", "empty")),
        ({"x": GREY * 1.0}, [], ("data.images", "range", "0 to 255", "0 to 1")),
        ({"x": GREY / 255 * np.nan}, [], ("data.images", "not_finite")),
        ({"x": GREY * 0.0}, ["data.depth=set"], ("data.images", "empty", "data.depth")),
        ({"x": GREY.astype(int)}, [], ("data.images", "range", "int64", "data.depth")),
        ({"x": GREY, "y": np.zeros(5)}, [], ("data.labels", "mismatch", "(5,)", "float64", "6 images")),
        ({"x": GREY, "y": np.ones((6, 2))}, [], ("data.labels", "layout", "float64", "(6, 2)")),
        ({"x": GREY, "y": np.arange(6) / 2}, [], ("data.labels", "layout", "float64", "(6,)")),
        ({"x": GREY, "y": np.arange(6), "classes": ["a"]}, [], ("data.labels", "missing", "1, 2, 3, 4, 5")),
        (
            {"x": GREY, "y": np.arange(6), "classes": np.arange(2)},
            [],
            ("data.names", "layout", "(2,)", "int64"),
        ),
        ({"x": np.array([Code()] * 6)}, [], ("data.root", "unsafe", "x")),
        ({"x": GREY, "y": np.array([Code()] * 6)}, [], ("data.root", "unsafe", "y")),
    ],
)
def test_refusals_name_the_key_and_the_file(path, capsys, arrays, words, about):
    np.savez(path, **arrays)
    with raises(*about):
        load(path, *words)
    assert "run" not in capsys.readouterr().out


def truncated(path):
    path.write_bytes(path.read_bytes()[:-200])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[900] ^= 1
    path.write_bytes(content)


def short(path):
    with zipfile.ZipFile(path) as archive:
        content = archive.read("x.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content[:-7])


@pytest.mark.parametrize("harm", [truncated, flipped, short])
def test_a_damaged_file_is_named(path, harm):
    np.savez(path, x=GREY)
    harm(path)
    with raises("data.root", "damaged", path):
        load(path)

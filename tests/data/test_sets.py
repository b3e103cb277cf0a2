import errno
import gzip
import io
import os
import struct
import tarfile

import numpy as np
import pytest
from PIL import Image

import raygan
from raygan import load_config
from raygan.data import decoding, load_data
from raygan.data.gaussians import centres
from raygan.data.idx import DEBIAN_FASHION_MNIST
from raygan.files import cache_problem
from tests.errors import raises
from tests.helpers import SHARED_CIFAR, Watch, tiny


def load(*words):
    return load_data(load_config(None, words).data, seed=0)


def test_digits_are_the_whole_embedded_set():
    digits = load("data.name=digits")
    assert digits.images.shape == (1797, 1, 16, 16)
    assert digits.images.dtype == np.uint8
    assert digits.images.max() > 240
    assert 174 <= np.bincount(digits.labels).min() <= np.bincount(digits.labels).max() <= 183


def test_a_limit_takes_the_same_share_of_every_class():
    assert np.bincount(load("data.name=digits", "data.limit=200").labels).tolist() == [20] * 10


@pytest.mark.parametrize(("layout", "modes"), [("ring", 8), ("grid", 25)])
def test_gaussians_lie_on_their_modes(layout, modes):
    config = load_config(None, ["data.name=gaussians", f"data.layout={layout}", f"data.modes={modes}"])
    points = load_data(config.data, seed=0)
    distance = np.linalg.norm(points.images - centres(config.data)[points.labels], axis=1)
    assert points.images.dtype == np.float32
    assert distance.mean() == pytest.approx(config.data.std * np.sqrt(np.pi / 2), rel=0.05)
    assert len(np.unique(points.labels)) == modes


def write_idx(path, array):
    content = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx_files_plain_or_gzipped(tmp_path, name, suffix):
    images = np.random.default_rng(0).integers(256, size=(20, 28, 28), dtype=np.uint8)
    write_idx(tmp_path / f"train-images-idx3-ubyte{suffix}", images)
    write_idx(tmp_path / f"train-labels-idx1-ubyte{suffix}", (np.arange(20) % 10).astype(np.uint8))
    loaded = load(f"data.name={name}", f"data.root={tmp_path}")
    assert np.array_equal(loaded.images[:, 0], images)
    assert load(f"data.name={name}", f"data.root={tmp_path}", "data.size=32").shape == (1, 32, 32)


@pytest.mark.skipif(not DEBIAN_FASHION_MNIST.exists(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist_straight_from_debians_files():
    fashion = load("data.name=fashion_mnist")
    assert fashion.images.shape == (60_000, 1, 28, 28)
    assert np.bincount(fashion.labels).tolist() == [6000] * 10


def picture(colour, side=20, kind="PNG"):
    content = io.BytesIO()
    Image.new("RGB", (side, side + 7), colour).save(content, kind)
    return content.getvalue()


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "pictures"
    for name, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (root / name / "deeper").mkdir(parents=True)
        for index in range(3):
            (root / name / "deeper" / f"{index}.png").write_bytes(picture(colour))
        (root / name / "notes.txt").write_text("not an image")
    return root


def test_folder_makes_a_class_of_each_sub_folder(tree):
    loaded = load("data.name=folder", f"data.root={tree}")
    assert loaded.classes == ("blue", "red")
    assert loaded.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert loaded.images.shape == (6, 3, 16, 16)
    assert loaded.images[0, :, 0, 0].tolist() == [0, 0, 200]
    assert load("data.name=folder", f"data.root={tree}", "data.channels=1", "data.size=32").shape == (1, 32, 32)


def test_the_layout_in_memory_does_not_depend_on_the_cache(tree, tmp_path, monkeypatch):
    """Convolutions sum in memory order: other strides, other last bits."""
    monkeypatch.setenv("RAYGAN_CACHE", str(tmp_path / "cache"))
    decoded, cached = (load("data.name=folder", f"data.root={tree}", *limit) for limit in ([], []))
    assert decoded.images.flags.c_contiguous
    assert decoded.images.strides == cached.images.strides
    assert load("data.name=folder", f"data.root={tree}", "data.limit=4").images.flags.c_contiguous


def test_folder_decodes_once_per_content(tree, monkeypatch):
    for path in tree.rglob("*.png"):
        os.utime(path, (10**9, 10**9))  # no longer fresh
    first = load("data.name=folder", f"data.root={tree}")
    decoded = set()
    original = decoding.read_picture
    monkeypatch.setattr(decoding, "read_picture", lambda *given: decoded.add(given[2]) or original(*given))
    assert load("data.name=folder", f"data.root={tree}").digest == first.digest
    assert not decoded
    (tree / "red" / "deeper" / "0.png").write_bytes(picture((0, 99, 0)))
    assert load("data.name=folder", f"data.root={tree}").digest != first.digest
    assert len(decoded) == 6


def test_folder_reads_out_of_a_tar(tree, tmp_path):
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as tar:
        tar.add(tree, "all/train")
    inside = load("data.name=folder", f"data.root={tmp_path / 'set.tar.gz' / 'all' / 'train'}")
    assert inside.digest == load("data.name=folder", f"data.root={tree}").digest


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_CIFAR.exists(), reason=f"the CIFAR-10 tar is not at {SHARED_CIFAR}")
def test_cifar10_from_its_tar():
    cifar = load("data.name=folder", f"data.root={SHARED_CIFAR}/cifar10/train")
    assert cifar.images.shape == (50_000, 3, 32, 32)
    assert np.bincount(cifar.labels).tolist() == [5000] * 10
    mean = cifar.images.reshape(50_000, 3, -1).mean(axis=(0, 2)) / 255
    assert mean == pytest.approx([0.4913, 0.4821, 0.4465], abs=1e-3), "the published channel means"


def corrupt(tree):
    (tree / "red" / "deeper" / "1.png").write_bytes(b"no image")


def truncate(tree):
    path = tree / "red" / "deeper" / "1.png"
    path.write_bytes(path.read_bytes()[:-20])


def empty(tree):
    (tree / "green").mkdir()


@pytest.mark.parametrize(
    ("harm", "about"),
    [
        (corrupt, ("1.png", "damaged")),
        (truncate, ("1.png", "damaged")),
        (empty, ("data.root", "empty", "green")),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(tree, harm, about):
    harm(tree)
    with raises(*about):
        load("data.name=folder", f"data.root={tree}")


def test_a_data_set_of_ones_own():
    stripes = load("data.name=tests.own:stripes", "data.options.width=4")
    assert stripes.images.shape == (40, 1, 16, 16)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "emnist", "cifar10", "celeba", "folder", "npz", "parquet"])
def test_a_missing_root_is_named(tmp_path, name):
    with raises("data.root"):
        load(f"data.name={name}", f"data.root={tmp_path / 'nowhere'}")


@pytest.mark.parametrize("how", ["absent", "full", "damaged"])
def test_without_a_cache_data_is_decoded_anew(tree, tmp_path, monkeypatch, how):
    """A cache is a convenience. (Root may write anywhere, so the folder is made impossible.)"""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAYGAN_CACHE", str(tmp_path / ("file" if how == "absent" else "cache")))
    words = ("data.name=folder", f"data.root={tree}")
    if how == "full":
        monkeypatch.setattr("raygan.files.write_whole", full_disk)
    first = load(*words)
    if how == "damaged":
        (kept,) = (tmp_path / "cache" / "images").glob("*.npy")
        kept.write_bytes(kept.read_bytes()[:90])
    assert load(*words).digest == first.digest


def full_disk(path, write):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_it_is_said_before_a_run_begins_that_nothing_is_cached(tmp_path, monkeypatch):
    assert cache_problem() is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAYGAN_CACHE", str(tmp_path / "file"))
    watch = Watch()
    raygan.train(tiny("rounds=1"), tmp_path / "run", watchers=[watch])
    (said,) = [text for text in watch.phases if "nothing is kept in the cache" in text]
    assert watch.phases.index(said) < watch.phases.index("measuring round 0, and training")
    assert "RAYGAN_CACHE names another folder" in said

"""Tables of images in parquet files, as Hugging Face has them."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import raygan
from raygan import load_config
from raygan.cli import run
from raygan.data import decoding, load_data
from raygan.data.columns import columns_at
from tests.errors import raises
from tests.helpers import TINY

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(256, size=(60, 28, 28), dtype=np.uint8)
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def encoded(image, kind="PNG", **options):
    content = io.BytesIO()
    Image.fromarray(image).save(content, kind, **options)
    return content.getvalue()


def structs(images, **options):
    rows = [{"bytes": encoded(image, **options), "path": f"{number}.png"} for number, image in enumerate(images)]
    return pa.array(rows, IMAGE)


def write(path, columns, features=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, **options)


def femnist(path, images=GREY):
    """In the layout of FEMNIST on the hub: what is drawn, who drew it, and what it shows."""
    rows = len(images)
    columns = {
        "image": structs(images),
        "writer_id": [f"f{20 + number // 25:04}_{number // 25}" for number in range(rows)],
        "hsf_id": [number % 4 for number in range(rows)],
        "character": pa.array([number % 3 for number in range(rows)], pa.int64()),
    }
    names = {"names": ["zero", "one", "two", "three"], "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "hsf_id": {"dtype": "int64", "_type": "Value"}, "character": names}
    write(path, columns, features, row_group_size=7)


def load(root, *words):
    return load_data(load_config(None, ["data.name=parquet", f"data.root={root}", *words]).data, seed=0)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "set"


def test_images_labels_and_names_are_found(root):
    femnist(root / "data" / "train-00000-of-00001.parquet")
    loaded = load(root)
    assert np.array_equal(loaded.images[:, 0], GREY)
    assert loaded.classes == ("zero", "one", "two")
    assert loaded.labels.tolist() == [number % 3 for number in range(60)]
    assert loaded.holders is None
    assert loaded.notes == ()


def test_a_run_in_one_command_has_a_device_for_each_writer(root, tmp_path, capsys):
    femnist(root / "train.parquet")
    words = [word for word in TINY if not word.startswith(("devices", "data.limit"))]
    words += ["data.name=parquet", f"data.root={root}", "data.holders=writer_id", "data.partition.name=natural"]
    words += ["eval.metrics=[sliced]"]
    assert run(["train", *words, "--out", str(tmp_path / "run")]) == 0
    about = json.loads((tmp_path / "run" / "data.json").read_text())
    assert about["device_names"] == ["f0020_0", "f0021_1", "f0022_2"]
    assert [sum(counts) for counts in about["device_class_counts"]] == [25, 25, 10]
    assert raygan.load_config(tmp_path / "run" / "config.yaml").devices == 3
    assert run(["plan", *words]) == 0
    assert "devices     3, each with 10 / 25 / 25 samples" in capsys.readouterr().out


def test_a_part_of_a_folder(root):
    for part, images in (("train", GREY[:40]), ("test", GREY[40:])):
        for number, piece in enumerate(np.array_split(images, 2)):
            write(root / "data" / f"{part}-{number:05}-of-00002.parquet", {"image": structs(piece)})
    (root / "data" / "._train-0.parquet").write_text("of a file system")
    loaded = load(root)
    assert np.array_equal(loaded.images[:, 0], GREY[:40])
    assert loaded.notes == ("2 of 4 parquet files are read, those named after one part (data.split)",)
    assert np.array_equal(load(root, "data.split=test").images[:, 0], GREY[40:])
    assert load(root / "data" / "test-00001-of-00002.parquet").shape == (1, 28, 28)
    with raises("data.split", "unknown", "test-00000"):
        load(root, "data.split=validation")


def test_files_of_no_part_are_all_read(root):
    for number in range(2):
        write(root / f"{number:04}.parquet", {"image": structs(GREY[number::2])})
    assert len(load(root)) == 60


def test_an_unknown_kind_of_uri_is_named():
    with raises("data.root", "unknown", "nowhere://set", "s3://"):
        load("nowhere://set")


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_uris(root, scheme):
    femnist(root / "train.parquet")
    where = f"file://{root}"
    if scheme == "memory":
        fsspec = pytest.importorskip("fsspec")
        fsspec.filesystem("memory").pipe("/set/train.parquet", (root / "train.parquet").read_bytes())
        where = "memory://set"
    assert load(where).digest == load(root).digest
    assert load(f"{where}/train.parquet").digest == load(root).digest
    with raises("data.root", "missing", f"{where}/no"):
        load(f"{where}/no")


def test_a_uri_is_kept_and_a_path_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from raygan.config.paths import absolute

    for given, kept in (("hf://datasets/a/b", "hf://datasets/a/b"), ("set", str(tmp_path / "set"))):
        config = absolute(load_config(None, ["data.name=parquet", f"data.root={given}"]))
        assert str(config.data.root) == kept
    with raises("data.root", "value"):
        load_config(None, ["data.name=parquet", "data.root=3"])


def test_every_kind_of_column(root):
    binary = pa.array([encoded(image) for image in GREY], pa.large_binary())
    colour = RANDOM.integers(256, size=(60, 3, 16, 16), dtype=np.uint8)
    lists = pa.array(colour.tolist(), pa.list_(pa.list_(pa.list_(pa.uint8()))))
    floats = pa.array((GREY / 255).tolist(), pa.list_(pa.list_(pa.float64())))
    kinds = pa.array(["cat", "dog"] * 30).dictionary_encode()
    write(root / "a.parquet", {"png": binary, "rows": lists, "grey": floats, "kind": kinds})
    assert np.array_equal(load(root, "data.images=png").images[:, 0], GREY)
    assert np.array_equal(load(root, "data.images=rows").images, colour)
    loaded = load(root, "data.images=grey", "data.labels=kind", "data.holders=kind")
    assert np.array_equal(loaded.images[:, 0], GREY)
    assert loaded.classes == loaded.holder_names == ("cat", "dog")
    assert load(root, "data.images=grey", "data.channels=3", "data.size=16").shape == (3, 16, 16)


def test_depth(root):
    values = RANDOM.integers(4096, size=(5, 16, 16), dtype=np.uint16)
    write(root / "a.parquet", {"image": structs(values)})
    loaded = load(root, "data.depth=12")
    assert np.array_equal(loaded.images[:, 0], np.rint(255 * values.astype(float) / 4095))
    assert loaded.notes == ("uint16 values are scaled to 8 bits: 0 to 4095 becomes 0 to 255 (data.depth=12)",)
    assert load(root, "data.depth=set").digest != load(root).digest
    with raises("data.images", "range", "image in row 0", "0 to 1023"):
        load(root, "data.depth=10")


def test_colour_and_size_are_the_images_own(root):
    colour = RANDOM.integers(256, size=(70, 90, 3), dtype=np.uint8)
    write(root / "a.parquet", {"img": structs([GREY[0], colour, colour])})
    loaded = load(root)
    assert loaded.shape == (3, 64, 64)
    assert loaded.notes == ("3 of 3 images (28x28 to 70x90 pixels) are centre-cropped and resized to 64x64",)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned = {"bytes": encoded(colour, "JPEG", exif=exif, quality=95), "path": None}
    write(root / "a.parquet", {"img": pa.array([turned], IMAGE)})
    upright = np.rot90(colour, -1)[10:80].astype(float).mean(axis=(0, 1))
    assert load(root).images[0].mean(axis=(1, 2)) == pytest.approx(upright, abs=3)


def test_a_content_that_was_decoded_is_not_decoded_again(root, monkeypatch):
    femnist(root / "train.parquet")
    first, decoded = load(root), []
    original = decoding.read_picture
    monkeypatch.setattr(decoding, "read_picture", lambda *given: decoded.append(given[2]) or original(*given))
    assert load(root).digest == first.digest
    assert not decoded
    assert load(root, "data.labels=hsf_id").classes == ("0", "1", "2", "3")
    assert not decoded, "labels are not a part of the images"
    femnist(root / "train.parquet", 255 - GREY)
    assert np.array_equal(load(root).images[:, 0], 255 - GREY)
    assert len(set(decoded)) == 60


def test_a_file_is_not_in_memory_as_a_whole(root):
    content = pa.array([RANDOM.bytes(200_000) for _ in range(100)], pa.binary())
    write(root / "a.parquet", {"image": content}, row_group_size=5)
    del content
    before, most, size = pa.total_allocated_bytes(), 0, 0
    for _, _, batch in columns_at(root, None).batches(["image"]):
        size += batch.nbytes
        most = max(most, pa.total_allocated_bytes() - before)
    assert size > 20_000_000
    assert most < 7_000_000


PNG = structs(GREY[:2])
EMPTY = pa.array([{"bytes": encoded(GREY[0])}, {"bytes": None, "path": "elsewhere.png"}], IMAGE)


@pytest.mark.parametrize(
    ("columns", "words", "about"),
    [
        ({"a": [1, 2]}, [], ("data.images", "missing", "a (int64)")),
        ({"a": PNG, "b": PNG}, [], ("data.images", "missing", "2 columns")),
        ({"a": PNG}, ["data.images=b"], ("data.images", "unknown")),
        ({"a": [1, 2]}, ["data.images=a"], ("data.images", "layout", "int64")),
        ({"a": PNG}, ["data.labels=b"], ("data.labels", "unknown")),
        ({"a": PNG}, ["data.holders=b"], ("data.holders", "unknown")),
        ({"a": PNG, "label": [1, None]}, [], ("data.labels", "missing", "row 1")),
        ({"a": PNG, "label": [[1], [2]]}, [], ("data.labels", "layout")),
        ({"a": PNG, "label": [0.5, 1]}, [], ("data.labels", "layout", "float64", "(2,)")),
        ({"a": EMPTY}, [], ("data.images", "missing", "row 1")),
        ({"a": [encoded(GREY[0]), b"no"]}, [], ("data.images", "damaged", "row 1")),
        ({"a": [encoded(GREY[0])[:-40]]}, [], ("data.images", "damaged", "row 0")),
        ({"a": [[[1, 2], [3]]]}, [], ("data.images", "layout", "row 0")),
        ({"a": [[[1, 2], [3, 4]]]}, [], ("data.images", "range", "int64")),
        ({"a": [[[[1, 2]] * 2] * 2]}, [], ("data.images", "layout", "row 0", "int64", "(2, 2, 2)")),
        ({"a": PNG[:0]}, [], ("data.root", "empty")),
    ],
)
def test_refusals_name_the_key_and_the_file(root, columns, words, about):
    path = root / "a.parquet"
    write(path, columns)
    with raises(*about):
        load(path, *words)


def test_labels_without_a_name_are_refused(root):
    names = {"names": ["cat"], "_type": "ClassLabel"}
    write(root / "a.parquet", {"image": PNG, "label": [0, -1]}, {"label": names})
    with raises("data.labels", "missing", "set", "-1"):
        load(root)
    assert load(root, "data.labels=none").classes == ("set",)
    write(root / "a.parquet", {"image": PNG, "who": [0, 1]}, {"who": {"names": ["ann", "bob"], "_type": "ClassLabel"}})
    assert load(root, "data.labels=none", "data.holders=who").holder_names == ("ann", "bob")


@pytest.mark.parametrize("metadata", [b"no json", b"[]", b'{"info": {"features": {"label": 3}}}', b"[" * 100_000])
def test_metadata_of_others_are_not_minded(root, metadata):
    root.mkdir()
    table = pa.table({"image": PNG, "label": [0, 5]}).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, root / "a.parquet")
    assert load(root).classes == ("0", "5")


def test_files_that_differ_or_are_damaged_are_named(root):
    write(root / "a.parquet", {"image": PNG, "label": [0, 1]})
    write(root / "b.parquet", {"image": PNG, "label": ["x", "y"]})
    with raises("data.root", "mismatch", "b.parquet", "a.parquet"):
        load(root)
    (root / "b.parquet").write_bytes((root / "a.parquet").read_bytes()[:-9])
    with raises("data.root", "unreadable", "b.parquet") as caught:
        load(root)
    assert "\n" not in str(caught.value)
    with raises("data.root", "missing"):
        load(root / "nowhere")

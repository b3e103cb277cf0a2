"""Trees of images: what is data, and what folders mean."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

import raygan
from raygan.cli import run
from raygan.data.depth import Range
from tests.data.pictures import encoded, load, noise, put
from tests.errors import raises
from tests.helpers import TINY


def test_pictures_straight_in_the_root_are_one_class(tmp_path):
    put(tmp_path / "set", "b.png", "a.png")
    found = load(tmp_path / "set")
    assert (found.classes, found.holders) == (("set",), None)
    assert np.array_equal(found.images[0], np.asarray(noise(1)).transpose(2, 0, 1)), "in the order of their paths"


def test_classes_within_holders(tmp_path):
    put(tmp_path, "mercy/ill/1.png", "mercy/well/1.png", "hope/ill/1.png", "hope/ill/deep/2.png")
    found = load(tmp_path, "data.layout=holder/class")
    assert (found.classes, found.labels.tolist()) == (("ill", "well"), [0, 0, 0, 1])
    assert (found.holder_names, found.holders.tolist()) == (("hope", "mercy"), [0, 0, 1, 1])


def test_holders_within_classes(tmp_path):
    put(tmp_path, "ill/ann/1.png", "ill/bob/1.png", "well/ann/1.png")
    found = load(tmp_path, "data.layout=class/holder")
    assert (found.classes, found.labels.tolist()) == (("ill", "well"), [0, 0, 1])
    assert (found.holder_names, found.holders.tolist()) == (("ann", "bob"), [0, 1, 0])


def test_holders_alone_have_one_class(tmp_path):
    put(tmp_path / "faces", "ann/1.png", "bob/1.png", "bob/2.png")
    found = load(tmp_path / "faces", "data.layout=holder")
    assert (found.classes, found.labels.tolist()) == (("faces",), [0, 0, 0])
    assert (found.holder_names, found.holders.tolist()) == (("ann", "bob"), [0, 1, 1])


@pytest.mark.parametrize("layout", ["holder/class", "class/holder", "holder"])
def test_a_picture_at_the_wrong_level_is_named(tmp_path, layout):
    put(tmp_path, "a/b/1.png", "1.png" if layout == "holder" else "a/1.png")
    with raises("data.layout", "layout", layout, tmp_path / ("1.png" if layout == "holder" else "a/1.png")):
        load(tmp_path, f"data.layout={layout}")


def test_a_picture_beside_the_class_folders_is_named(tmp_path):
    put(tmp_path, "cats/1.png", "dogs/1.png", "overview.png")
    with raises("data.root", "layout", "overview.png"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("folders", "right"),
    [
        (["train", "val"], "train"),
        (["test", "Training", "other"], "Training"),
        (["test", "val"], "val"),
        (["train"], "train"),
        (["valid"], "valid"),
    ],
)
@pytest.mark.parametrize("layout", ["class", "holder"])
def test_parts_of_a_data_set_are_no_classes(tmp_path, folders, right, layout):
    put(tmp_path, *(f"{folder}/cats/1.png" for folder in folders))
    with raises("data.root", "conflict", f"data.root={tmp_path}/{right}"):
        load(tmp_path, f"data.layout={layout}")


def test_one_such_name_among_others_is_a_class(tmp_path):
    put(tmp_path, "test/1.png", "control/1.png")
    assert load(tmp_path).classes == ("control", "test")


def test_what_programs_leave_behind_is_no_data(tmp_path):
    put(tmp_path, "cats/1.png", "dogs/1.png")
    expected = load(tmp_path)
    put(tmp_path, ".thumbs/1.png", "cats/._1.png", "cats/.2.png", "__MACOSX/cats/1.png", ".top.png")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        (tmp_path / "cats" / name).write_bytes(b"x")
    found = load(tmp_path)
    assert (found.classes, found.digest, found.notes) == (expected.classes, expected.digest, ())


def test_files_that_are_passed_over_are_counted_by_suffix(tmp_path):
    put(tmp_path, "cats/1.png")
    for name in ("a.txt", "b.TXT", "c.csv", "README"):
        (tmp_path / "cats" / name).write_text("x")
    os.mkfifo(tmp_path / "cats" / "pipe.png")
    assert load(tmp_path).notes == ("5 files passed over, no images: .txt 2, .csv 1, .png 1, no suffix 1",)


def test_any_suffix_of_pillow_is_read(tmp_path):
    for number, suffix in enumerate(("pgm", "JFIF", "tga", "webp", "jp2", "pcx")):
        kind = {"pgm": "PPM", "JFIF": "JPEG", "jp2": "JPEG2000"}.get(suffix, suffix.upper())
        (tmp_path / f"{number}.{suffix}").write_bytes(encoded(noise(0, channels=1), kind))
    assert len(load(tmp_path)) == 6


def test_linked_folders_are_followed_and_circles_are_not(tmp_path):
    put(tmp_path / "elsewhere", "deep/1.png", "2.png")
    put(tmp_path / "set", "cats/1.png")
    (tmp_path / "set" / "dogs").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "deep" / "back").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "cats" / "self").symlink_to(tmp_path / "set" / "cats")
    found = load(tmp_path / "set")
    assert (found.classes, found.labels.tolist()) == (("cats", "dogs"), [0, 1, 1])


def test_all_unreadable_images_are_listed(tmp_path):
    put(tmp_path, "cats/good.png")
    for number in range(7):
        (tmp_path / "cats" / f"{number}.png").write_bytes(b"no image")
    (tmp_path / "cats" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    with raises("data.root", "damaged", "8 files") as caught:
        load(tmp_path)
    assert str(caught.value).endswith(", ".join(f"{tmp_path}/cats/{n}.png" for n in range(5)) + ", ...")


def test_an_image_that_cannot_be_used_is_named_with_the_number_of_others(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.tif").write_bytes(encoded(Image.fromarray(np.full((16, 16), 9, np.float32)), "TIFF"))
    with raises("0.tif", "range", "9 to 9", "(and 2 more files like it)"):
        load(tmp_path)


def test_size_and_colour_are_the_images_own(tmp_path):
    put(tmp_path, "1.png", "2.png", side=64, channels=1)
    assert load(tmp_path).shape == (1, 64, 64)
    put(tmp_path, "3.png", side=64)
    found = load(tmp_path)
    assert found.shape == (3, 64, 64)
    said = "1 of 3 images have colour, such as 3.png, so all are taken in colour; data.channels=1 takes all in grey"
    assert found.notes == (said,)
    assert load(tmp_path, "data.channels=1").notes == ()
    put(tmp_path, "4.png", "5.png", "6.png", "7.png", side=40)
    found = load(tmp_path)
    assert found.shape == (3, 32, 32)
    assert found.notes == ("7 of 7 images (40x40 to 64x64 pixels) are centre-cropped and resized to 32x32",)


def test_what_the_first_images_show_is_not_believed_of_all(tmp_path):
    """More than one task: the first is all grey and small."""
    put(tmp_path, *(f"a{number:03}.png" for number in range(70)), side=16, channels=1)
    put(tmp_path, *(f"b{number:03}.png" for number in range(90)), side=40, channels=3)
    found = load(tmp_path)
    assert found.shape == (3, 32, 32)
    assert found.digest == load(tmp_path, "data.size=32", "data.channels=3").digest


def test_depths(tmp_path):
    """Of two images of 16 bits, from 1,000 to 2,000 and to 3,000."""
    for number, high in enumerate((2000, 3000)):
        values = np.linspace(1000, high, 256).round().astype(np.uint16).reshape(16, 16)
        (tmp_path / f"{number}.png").write_bytes(encoded(Image.fromarray(values)))
    found = load(tmp_path, "data.depth=set")
    assert (found.images[0].min(), found.images[0].max(), found.images[1].max()) == (0, 128, 255)
    assert found.notes == ("uint16 values are scaled to 8 bits: 1000 to 3000 becomes 0 to 255 (data.depth=set)",)
    assert np.bincount(load(tmp_path, "data.depth=percentiles").images.ravel())[[0, 255]].min() >= 2
    assert load(tmp_path, "data.depth=[1000,3000]").digest == found.digest
    assert load(tmp_path).images.max() == round(255 * 3000 / 65535)
    with raises("1.png", "range", "1000 to 3000", "0 to 2047"):
        load(tmp_path, "data.depth=11")


@pytest.mark.parametrize("pair", [(Range(0, 200), 100, 128), (Range(0, 4095), 255, 16), (Range(-10, 300), 0, 8)])
def test_a_range_beyond_the_type(pair):
    found, value, expected = pair
    assert found.scaled(np.array([value], np.uint8), "").tolist() == [expected]


def test_the_ground_below_transparent_images(tmp_path):
    (tmp_path / "1.png").write_bytes(encoded(Image.new("RGBA", (16, 16), (9, 9, 9, 0))))
    assert load(tmp_path).images.max() == 0
    assert load(tmp_path, "data.ground=white").images.min() == 255


def test_one_class_whose_folders_may_be_meant_as_classes(tmp_path):
    put(tmp_path, "pictures/cats/1.png", "pictures/dogs/1.png")
    assert load(tmp_path).notes == (
        f"all images are of one class, pictures; data.root={tmp_path}/pictures makes its sub-folders classes",
    )


def test_labels_of_stylegan(tmp_path):
    put(tmp_path, "00000/1.png", "00000/2.png", "00001/3.png")
    labels = {"00000/1.png": 7, "00000/2.png": 2, "00001/3.png": 7}
    place = tmp_path / "dataset.json"
    place.write_text(json.dumps({"labels": list(labels.items())}))
    found = load(tmp_path)
    assert (found.classes, found.labels.tolist(), found.notes) == (("2", "7"), [1, 0, 1], ())
    place.write_text(json.dumps({"labels": None}))
    assert load(tmp_path).classes == (tmp_path.name,)
    place.write_text(json.dumps({"other": 1}))
    assert load(tmp_path).classes == ("00000", "00001")


@pytest.mark.parametrize(
    ("content", "about"),
    [
        ('{"labels": [["1.png", 0]]}', ("data.root", "missing", "2.png")),
        ('{"labels": [["1.png", "a"]]}', ("data.root", "layout")),
        ('{"labels": 3}', ("data.root", "layout")),
        ("{", ("data.root", "damaged")),
        ("[" * 100_000, ("data.root", "damaged")),
    ],
)
def test_wrong_labels_of_stylegan(tmp_path, content, about):
    put(tmp_path, "1.png", "2.png")
    (tmp_path / "dataset.json").write_text(content)
    with raises(*about):
        load(tmp_path)


def faces(root):
    """Ten faces each of forty people: noise around a face of their own, as PGM files."""
    random = np.random.default_rng(0)
    for person in range(40):
        face = random.integers(60, 200, (8, 8)).repeat(4, 0).repeat(4, 1)
        folder = root / f"s{person + 1}"
        folder.mkdir(parents=True)
        for number in range(10):
            image = (face + random.integers(-30, 30, face.shape)).astype(np.uint8)
            Image.fromarray(image).save(folder / f"{number + 1}.pgm")
    (root / "README").write_text("forty people")


def test_a_folder_for_each_person_is_a_device_for_each(tmp_path, capsys):
    faces(tmp_path / "faces")
    words = [word for word in TINY if not word.startswith(("devices", "data.limit", "rounds"))]
    here = ["data.name=folder", f"data.root={tmp_path / 'faces'}", "data.layout=holder"]
    out = ["--out", str(tmp_path / "run")]
    status = run(["train", *out, *words, *here, "data.partition.name=natural", "rounds=1", "eval.metrics=[sliced]"])
    assert status == 0, capsys.readouterr().err
    told = json.loads((tmp_path / "run" / "data.json").read_text())
    assert (told["devices"], told["samples"], told["shape"]) == (40, 400, [1, 32, 32])
    assert told["device_class_counts"] == [[10]] * 40
    assert told["device_names"][:3] == ["s1", "s10", "s11"]
    assert told["notes"] == ["1 file passed over, no images: no suffix 1"]
    rows = [json.loads(line) for line in (tmp_path / "run" / "rounds.jsonl").read_text().splitlines()]
    assert rows[-1]["devices"] == 40
    shutil.rmtree(tmp_path / "faces")
    assert raygan.open_run(tmp_path / "run") is not None

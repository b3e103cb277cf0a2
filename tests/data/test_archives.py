"""Trees of images in a tar or a zip. Damaged ones are refused, or hold what they held."""

import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raygan import InputError
from tests.data.pictures import encoded, load, noise, put
from tests.errors import raises

KINDS = ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"]


def pack(tree, place, inside=""):
    """Archive a folder, in no order."""
    names = sorted(tree.rglob("*"), key=lambda path: hash(path.name), reverse=True)
    if place.suffix == ".zip":
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in names:
                archive.write(path, f"{inside}{path.relative_to(tree)}")
    else:
        with tarfile.open(place, "w:" + place.suffix[1:].replace("tar", "")) as archive:
            for path in names:
                archive.add(path, f"{inside}{path.relative_to(tree)}", recursive=False)
    return place


@pytest.fixture
def tree(tmp_path):
    put(tmp_path / "tree", *(f"{folder}/{number}.png" for folder in ("cats", "dogs") for number in range(4)))
    (tmp_path / "tree" / "cats" / "notes.txt").write_text("no image")
    return tmp_path / "tree"


@pytest.mark.parametrize("inside", ["", "./", "all/train/"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_as_its_folder(tree, tmp_path, kind, inside):
    place = pack(tree, tmp_path / f"set.{kind}", inside)
    found, expected = load(place / inside), load(tree)
    assert found.digest == expected.digest
    assert (found.classes, found.notes) == (expected.classes, expected.notes)
    assert found.notes == ("1 file passed over, no images: .txt 1",)


@pytest.mark.parametrize("kind", KINDS)
def test_layouts_and_errors_are_as_of_a_folder(tree, tmp_path, kind):
    place = pack(tree, tmp_path / f"set.{kind}", "train/")
    assert load(place / "train", "data.layout=holder").holder_names == ("cats", "dogs")
    with raises("data.root", "conflict", "train", f"data.root={place}/train"):
        load(place)
    with raises("data.root", "empty", "test"):
        load(place / "test")
    (tree / "cats" / "bad.png").write_bytes(b"no image")
    (tree / "empty").mkdir()
    with raises("bad.png", "damaged", f"set2.{kind}/cats/bad.png"):
        load(pack(tree, tmp_path / f"set2.{kind}"))
    (tree / "cats" / "bad.png").unlink()
    with raises("data.root", "empty", f"set3.{kind}/empty"):
        load(pack(tree, tmp_path / f"set3.{kind}"))


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_junk_labels_and_links_in_archives(tmp_path, kind):
    put(tmp_path / "tree", "a/1.png", "a/2.png", "__MACOSX/a/._1.png", ".git/3.png", "a/._2.png")
    (tmp_path / "tree" / "dataset.json").write_text(json.dumps({"labels": [["a/1.png", 1], ["a/2.png", 0]]}))
    place = pack(tmp_path / "tree", tmp_path / f"set.{kind}")
    found = load(place)
    assert (found.labels.tolist(), found.classes, found.notes) == ([1, 0], ("0", "1"), ())


def test_links_in_a_tar_are_passed_over_with_a_word(tree, tmp_path):
    (tree / "cats" / "link.png").symlink_to(tree / "cats" / "0.png")
    os.link(tree / "dogs" / "0.png", tree / "dogs" / "other.png")
    found = load(pack(tree, tmp_path / "set.tar"))
    assert len(found) == 8
    assert found.notes == ("3 files passed over, no images: links 2, .txt 1",)


def test_a_picture_that_is_in_an_archive_twice_is_named(tmp_path):
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for seed in (0, 1):
            info = tarfile.TarInfo("a/1.png")
            info.size = len(encoded(noise(seed)))
            archive.addfile(info, io.BytesIO(encoded(noise(seed))))
    with raises("data.root", "twice", "a/1.png"):
        load(tmp_path / "set.tar")


def test_several_tars_in_a_row_are_refused(tree, tmp_path):
    place = pack(tree, tmp_path / "set.tar")
    place.write_bytes(place.read_bytes() * 2)
    with raises("data.root", "damaged", "tars"):
        load(place)


def test_a_zip_with_a_password(tree, tmp_path):
    place = pack(tree, tmp_path / "set.zip")
    content = bytearray(place.read_bytes())
    at = content.index(b"PK\1\2")
    content[at + 8] |= 1  # the flag of encryption, in the first entry of the list
    place.write_bytes(content)
    with raises("data.root", "damaged", "password"):
        load(place)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"PK\3\4", b"BZh9", b"\xfd7zXZ\0", b"some text" * 100])
def test_what_is_no_archive_is_one_line(tmp_path, content):
    (tmp_path / "set").write_bytes(content)
    with raises("data.root"):
        load(tmp_path / "set")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_archive_is_refused(tree, tmp_path, kind, part):
    place = pack(tree, tmp_path / f"set.{kind}")
    content = place.read_bytes()
    end = len(content) if kind != "tar" else len(content.rstrip(b"\0"))
    place.write_bytes(content[: int(part * end)])
    with raises("data.root", "damaged"):
        load(place)


def test_a_tar_whose_end_is_missing_is_refused(tree, tmp_path):
    """As many whole files as there are, but nothing says that these are all."""
    place = pack(tree, tmp_path / "set.tar")
    with tarfile.open(place) as archive:
        last = archive.getmembers()[-2]
    place.write_bytes(place.read_bytes()[: last.offset])
    with raises("data.root", "damaged", "header"):
        load(place)


def test_a_damaged_header_is_not_taken_for_the_end(tree, tmp_path):
    place = pack(tree, tmp_path / "set.tar")
    with tarfile.open(place) as archive:
        at = archive.getmembers()[4].offset
    content = bytearray(place.read_bytes())
    content[at + 3] ^= 1
    place.write_bytes(content)
    with raises("data.root", "damaged", "header"):
        load(place)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz", "zip"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_two_changed_bytes_never_load_other_pixels(tree, tmp_path, kind, data):
    place = tmp_path / f"set.{kind}"
    if not (whole := tmp_path / f"whole.{kind}").exists():
        pack(tree, whole)
    content = bytearray(whole.read_bytes())
    for _ in range(2):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
    place.write_bytes(content)
    try:
        found = load(place)
    except InputError as error:
        assert "\n" not in str(error)
        assert "set." in str(error)
    else:
        expected = load(tree)
        assert found.classes == expected.classes
        assert np.array_equal(found.labels, expected.labels)
        assert np.array_equal(found.images, expected.images)


def test_an_entry_hidden_in_the_comment_of_another_is_missed(tree, tmp_path):
    """zipfile itself does not compare the number of entries."""
    place = pack(tree, tmp_path / "set.zip")
    content = bytearray(place.read_bytes())
    first = content.index(b"PK\1\2")
    second = content.index(b"PK\1\2", first + 4)
    third = content.index(b"PK\1\2", second + 4)
    content[first + 32 : first + 34] = (third - second).to_bytes(2, "little")
    place.write_bytes(content)
    with zipfile.ZipFile(place) as archive:
        assert len(archive.infolist()) < content.count(b"PK\1\2")
    with raises("data.root", "damaged", "list of files"):
        load(place)

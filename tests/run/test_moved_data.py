"""Runs whose data, or whose working folder, is no longer where it was."""

import json

import numpy as np
import pytest
from PIL import Image

import raygan
from raygan import load_config
from raygan.cli import run
from raygan.record.folder import RunFolder
from raygan.record.settings import check_same_run, lasting
from tests.errors import raises, refuses
from tests.helpers import TINY


def images(seed):
    return np.random.default_rng(seed).integers(0, 255, (60, 16, 16), np.uint8)


def npz(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=images(seed), labels=np.arange(60) % 3)


def folder(path, seed=0):
    for number, image in enumerate(images(seed)):
        place = path / str(number % 3) / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)


def parquet(path, seed=0):
    from pyarrow import table
    from pyarrow.parquet import write_table

    path.mkdir(parents=True)
    pixels = images(seed)
    write_table(table({"image": pixels.tolist(), "label": np.arange(60) % 3}), path / "train.parquet")


KINDS = {"npz": npz, "folder": folder, "parquet": parquet}


def words(kind, *others):
    here = ["data.name=" + kind, "data.root=data/set", "data.size=16", "data.limit=null", *others]
    return [
        *TINY,
        "eval.samples=20",
        "eval.metrics=[sliced]",
        *(["data.depth=8"] if kind == "parquet" else []),
        *here,
        *(["data.channels=1"] if kind == "folder" else []),
    ]


@pytest.fixture
def begun(request, tmp_path, monkeypatch):
    """A run of two rounds whose `data.root` was given as seen from a folder that is left behind."""
    kind = request.param
    home = tmp_path / "home"
    KINDS[kind](home / "data" / ("set.npz" if kind == "npz" else "set"))
    if kind == "npz":
        (home / "data" / "set.npz").rename(home / "data" / "set")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(home)
    raygan.train(load_config(None, words(kind, "rounds=2")), tmp_path / "run", watchers=[])
    whole = raygan.train(load_config(None, words(kind)), tmp_path / "whole", watchers=[])
    monkeypatch.chdir(tmp_path / "elsewhere")
    return home, RunFolder(tmp_path / "run"), whole


@pytest.mark.parametrize("begun", KINDS, indirect=True)
def test_a_run_goes_on_and_is_measured_from_another_working_folder_and_with_moved_data(begun, capsys):
    home, left, whole = begun
    first = f'# data.root: given as "data/set" in "{home}"'
    assert left.config.read_text().splitlines()[0] == first
    assert left.read_config().data.root == home / "data" / "set"

    again = ["train", "--out", str(left.root), "--resume"]
    assert run([*again, "rounds=3"]) == 0
    assert left.config.read_text().splitlines()[0] == first
    (home / "data").rename(home / "moved")
    capsys.readouterr()
    assert run([*again, "rounds=4"]) == 2
    assert run(["evaluate", str(left.root)]) == 2
    for line in capsys.readouterr().err.splitlines():
        assert f"data.root: {home}/data/set is n" in line
        assert line.endswith("; if the data has moved, name its place: data.root=PLACE")
    there = f"data.root={home / 'moved' / 'set'}"
    assert run([*again, "rounds=4", there]) == 0
    assert left.generator.read_bytes() == whole.generator.read_bytes()
    assert not left.config.read_text().startswith("#")  # the place was given as it is
    (home / "moved").rename(home / "data")
    capsys.readouterr()
    assert run(["evaluate", str(left.root), f"data.root={home / 'data' / 'set'}"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["ema"] == json.loads(left.evaluation.read_text())["ema"]


@pytest.mark.parametrize("begun", ["npz"], indirect=True)
def test_other_data_is_refused_wherever_it_lies(begun):
    home, left, _ = begun
    npz(home / "other.npz", seed=1)
    other = f"data.root={home / 'other.npz'}"
    refuses(["train", "--out", left.root, "--resume", "rounds=3", other], "--resume", "mismatch")
    left.environment.unlink()
    refuses(["train", "--out", left.root, "--resume", "rounds=3", other], "--resume", "mismatch")
    refuses(["evaluate", left.root, other], str(left.root), "mismatch")


def test_every_path_is_kept_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["data.name=mnist", "data.root=../a b", "eval.classifier=runs/x", "eval.inception_weights=/there/w.pth"]
    kept = RunFolder(tmp_path / "run")
    kept.create(load_config(None, given))
    assert kept.config.read_text().splitlines()[:2] == [
        f'# data.root: given as "../a b" in "{tmp_path}"',
        f'# eval.classifier: given as "runs/x" in "{tmp_path}"',
    ]
    config = kept.read_config()
    assert str(config.data.root) == f"{tmp_path}/../a b"
    assert str(config.eval.classifier) == f"{tmp_path}/runs/x"
    assert str(config.eval.inception_weights) == "/there/w.pth"
    monkeypatch.chdir("/")
    kept.write_config(kept.read_config(["eval.classifier=y"]))
    assert kept.config.read_text().splitlines()[:2] == [
        f'# data.root: given as "../a b" in "{tmp_path}"',
        '# eval.classifier: given as "y" in "/"',
    ]


def test_checkpoints_that_name_a_place_go_on_too():
    config = load_config(None, ["data.name=npz", "data.root=/now.npz"])
    check_same_run({**lasting(config), "data.root": "/then.npz"}, config, 1)
    with raises("--resume", "conflict", "data.size", "(28 before, None now)"):
        check_same_run({**lasting(config), "data.size": 28}, config, 1)

import numpy as np

from raygan.engine.checkpoint import Snapshot, load_newest, save_snapshot


def snapshot(round):
    return Snapshot(round, {"generator": np.full(3, round, np.float32)}, {4: {"optimizer": np.ones(2, np.float32)}})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded(tmp_path):
    save_snapshot(tmp_path, snapshot(7), keep=1)
    loaded, damaged = load_newest(tmp_path)
    assert (loaded.round, damaged) == (7, [])
    assert loaded.server["generator"].tolist() == [7, 7, 7]
    assert loaded.devices[4]["optimizer"].tolist() == [1, 1]


def test_rounds_are_ordered_as_numbers(tmp_path):
    for round in (999_999, 1_000_000):
        save_snapshot(tmp_path, snapshot(round), keep=1)
    assert names(tmp_path) == ["round_1000000"]


def test_a_new_checkpoint_outlives_damaged_newer_ones(tmp_path):
    for round in (10, 15):
        save_snapshot(tmp_path, snapshot(round), keep=2)
        (tmp_path / f"round_{round:06d}" / "manifest.json").write_text("{")
    save_snapshot(tmp_path, snapshot(5), keep=2)
    loaded, damaged = load_newest(tmp_path)
    assert loaded.round == 5
    assert len(damaged) == 2


def test_leftovers_of_a_killed_save_are_swept(tmp_path):
    (tmp_path / ".round_000003.x1").mkdir()
    save_snapshot(tmp_path, snapshot(3), keep=1)
    assert names(tmp_path) == ["round_000003"]

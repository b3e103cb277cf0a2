import numpy as np

from raygan.record.checkpoint import Snapshot, load_newest, newest, remove_old, save_snapshot


def snapshot(round):
    return Snapshot(round, {"generator": np.full(3, round, np.float32)}, {4: {"optimizer": np.ones(2, np.float32)}})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded(tmp_path):
    save_snapshot(tmp_path, snapshot(7))
    loaded, passed_over = load_newest(tmp_path, recorded=7)
    assert (loaded.round, passed_over) == (7, [])
    assert loaded.server["generator"].tolist() == [7, 7, 7]
    assert loaded.devices[4]["optimizer"].tolist() == [1, 1]


def test_views_and_single_numbers_come_back_as_they_are(tmp_path):
    """safetensors writes the memory behind a view that is not C-contiguous, which is other numbers."""
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    state = {
        "transposed": matrix.T,
        "column": matrix[:, 1],
        "every other": matrix.ravel()[::2],
        "backwards": matrix[::-1],
        "fortran": np.asfortranarray(matrix),
        "broadcast": np.broadcast_to(np.float32(2), (3, 2)),
        "number": np.array(5, np.float32),
    }
    save_snapshot(tmp_path, Snapshot(1, state, {2: state}))
    loaded, _ = load_newest(tmp_path, recorded=1)
    for read in (loaded.server, loaded.devices[2]):
        assert {name: (array.shape, array.tolist()) for name, array in read.items()} == {
            name: (array.shape, array.tolist()) for name, array in state.items()
        }


def test_rounds_are_ordered_as_numbers(tmp_path):
    for round in (999_999, 1_000_000):
        save_snapshot(tmp_path, snapshot(round))
    remove_old(tmp_path, keep=1, recorded=1_000_000)
    assert names(tmp_path) == ["round_1000000"]


def test_a_new_checkpoint_outlives_damaged_newer_ones(tmp_path):
    for round in (10, 15):
        save_snapshot(tmp_path, snapshot(round))
        (tmp_path / f"round_{round:06d}" / "manifest.json").write_text("{")
    save_snapshot(tmp_path, snapshot(5))
    remove_old(tmp_path, keep=2, recorded=5)
    loaded, passed_over = load_newest(tmp_path, recorded=15)
    assert loaded.round == 5
    assert len(passed_over) == 2


def test_a_run_goes_on_from_where_its_rows_reach(tmp_path):
    """Rows wait for evaluations, so checkpoints may be ahead of them; those that the rows reach must not be lost."""
    for round in range(1, 7):
        save_snapshot(tmp_path, snapshot(round))
        remove_old(tmp_path, keep=2, recorded=3)
    assert names(tmp_path) == [f"round_{round:06d}" for round in (2, 3, 4, 5, 6)]
    loaded, passed_over = load_newest(tmp_path, recorded=3)
    assert loaded.round == 3
    assert ["rounds.jsonl ends before it" in line for line in passed_over] == [True] * 3
    assert newest(tmp_path, recorded=3).name == "round_000003"
    assert load_newest(tmp_path, recorded=-1)[0] is None
    remove_old(tmp_path, keep=2, recorded=6)
    assert names(tmp_path) == ["round_000005", "round_000006"]


def test_leftovers_of_a_killed_save_are_swept(tmp_path):
    (tmp_path / ".round_000003.x1").mkdir()
    save_snapshot(tmp_path, snapshot(3))
    assert names(tmp_path) == ["round_000003"]


def test_a_manifest_says_itself_whether_it_is_whole(tmp_path):
    save_snapshot(tmp_path, snapshot(1))
    manifest = tmp_path / "round_000001" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"round": 1', '"round": 3'))
    assert "does not match its own checksum" in load_newest(tmp_path, recorded=9)[1][0]


def test_a_checkpoint_under_another_rounds_name_is_passed_over(tmp_path):
    save_snapshot(tmp_path, snapshot(1))
    (tmp_path / "round_000001").rename(tmp_path / "round_000002")
    assert "it holds round 1" in load_newest(tmp_path, recorded=9)[1][0]

"""What is found in a run folder."""

from raygan.engine.result import Result
from raygan.run_folder import RunFolder


def test_pictures_are_in_order_of_rounds_not_of_names(tmp_path):
    folder = RunFolder(tmp_path)
    folder.samples.mkdir()
    for round in (1_000_000, 999_999, 5):
        folder.picture(round).touch()
    (folder.samples / "nearest.png").touch()
    (folder.samples / "round_x.png").touch()
    assert list(folder.pictures()) == [5, 999_999, 1_000_000]
    assert Result(tmp_path, 1_000_000, None).picture == folder.picture(1_000_000)
    folder.trim(999_999)
    assert list(folder.pictures()) == [5, 999_999]


def test_without_pictures_there_is_no_newest(tmp_path):
    assert RunFolder(tmp_path).newest_picture is None

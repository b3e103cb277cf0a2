"""What is found in a run folder."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from raygan import InputError
from raygan.files import claim
from raygan.record.folder import RunFolder, new_folder
from raygan.run.result import Result
from tests.helpers import tiny


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


def test_runs_of_the_same_second_are_not_called_alike():
    assert len({new_folder(None, tiny()) for _ in range(100)}) == 100


def test_of_those_that_begin_in_one_folder_at_once_one_has_it(tmp_path):
    def begin(seed):
        try:
            RunFolder(tmp_path / "run").create(tiny(f"seed={seed}"))
        except InputError as error:
            return str(error)
        return seed

    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(begin, range(8)))
    (winner,) = [one for one in came if isinstance(one, int)]
    assert RunFolder(tmp_path / "run").read_config().seed == winner
    assert all("name another folder" in one for one in came if one != winner)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


def test_a_file_is_claimed_without_hard_links_too(tmp_path, monkeypatch):
    def no_links(self, target):
        raise PermissionError

    monkeypatch.setattr("pathlib.Path.hardlink_to", no_links)
    claim(tmp_path / "file", "mine")
    with pytest.raises(FileExistsError):
        claim(tmp_path / "file", "theirs")
    assert (tmp_path / "file").read_text() == "mine"

"""Data sets that are downloaded once, whoever asks for them at the same time."""

import subprocess
import sys

from raygan.data.downloads import one_at_a_time

ONE = """
import sys, time
from pathlib import Path
from raygan.data.downloads import one_at_a_time
folder = Path(sys.argv[1])
with one_at_a_time(folder, sys.argv[2]):
    if not (folder / sys.argv[2]).exists():
        with (folder / "log").open("a") as log:
            log.write(f"{sys.argv[2]} download\\n")
        time.sleep(0.3)
        (folder / sys.argv[2]).write_text("")
"""


def test_processes_that_ask_at_once_download_a_set_once(tmp_path):
    started = [subprocess.Popen([sys.executable, "-c", ONE, tmp_path, name]) for name in ("a", "a", "b", "a")]
    assert [process.wait(timeout=60) for process in started] == [0] * 4
    assert sorted((tmp_path / "log").read_text().splitlines()) == ["a download", "b download"]


def test_a_folder_that_cannot_be_written_is_read_without_a_lock(tmp_path):
    (tmp_path / "no folder").write_text("")
    with one_at_a_time(tmp_path / "no folder", "a"):
        assert (tmp_path / "no folder").is_file()

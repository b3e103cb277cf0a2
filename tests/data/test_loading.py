"""Loading again, on several cores, and interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from raygan import RunError
from raygan.data import decoding, pool, sources
from raygan.data.decoding import Pass, PixelPlan, PixelRows, Task, tasks, work
from tests.data.pictures import encoded, load, noise, put
from tests.data.test_archives import pack
from tests.errors import raises


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


def aged(root):
    """Not as fresh as files that are not relied on."""
    for path in [root, *root.rglob("*")]:
        os.utime(path, (10**9, 10**9))


@pytest.fixture
def read(monkeypatch):
    """The names of files that were read."""
    names = []
    original = decoding.read_picture
    monkeypatch.setattr(decoding, "read_picture", lambda *given: names.append(Path(given[2]).name) or original(*given))
    return names


@pytest.mark.parametrize("kind", ["folder", "tar.gz", "zip"])
def test_the_second_load_reads_nothing(tmp_path, read, kind):
    place = tmp_path / "set"
    put(place, "a/1.png", "b/2.png", "b/3.png", side=40)
    (place / "b" / "notes.txt").write_text("x")
    if kind != "folder":
        place = pack(place, tmp_path / f"set.{kind}")
    aged(tmp_path)
    first = load(place)
    assert set(read) == {"1.png", "2.png", "3.png"}
    read.clear()
    second = load(place)
    assert read == []
    assert (second.digest, second.classes, second.notes) == (first.digest, first.classes, first.notes)
    assert len(first.notes) == 2
    assert load(place, "data.layout=holder").holder_names == ("a", "b")
    assert read == []


def test_what_changes_is_read(tmp_path, read):
    place = tmp_path / "set"
    put(place, "a/1.png", "b/2.png")
    aged(tmp_path)
    first = load(place)

    def again(harm, *words):
        harm()
        read.clear()
        found = load(place, *words)
        return found, bool(read)

    other = encoded(noise(9))
    assert again(lambda: None, "data.size=28")[1]
    assert again(lambda: None, "data.ground=white")[1]
    found, was_read = again(lambda: (place / "a" / "1.png").write_bytes(other))
    assert was_read
    assert found.digest != first.digest
    aged(tmp_path)  # the modification time is as before, but not that of the change
    assert again(lambda: (place / "a" / "1.png").write_bytes(other), "data.size=16")[1]
    assert again(lambda: (place / "a" / "1.png").rename(place / "a" / "4.png"))[1]


def test_fresh_files_are_not_relied_on(tmp_path, read):
    put(tmp_path / "set", "1.png")
    load(tmp_path / "set")
    read.clear()
    load(tmp_path / "set")
    assert read


def test_a_copy_has_the_same_pixels_in_the_cache(tmp_path, cache):
    put(tmp_path / "set", "a/1.png", "b/2.png")
    load(tmp_path / "set")
    load(pack(tmp_path / "set", tmp_path / "set.tar"))
    assert len(list(cache.glob("*.npy"))) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"digest": 3}', b"\xff", b"[" * 100_000])
def test_a_damaged_index_is_made_anew(tmp_path, cache, content):
    put(tmp_path / "set", "1.png")
    aged(tmp_path)
    first = load(tmp_path / "set")
    (kept,) = cache.glob("*.json")
    kept.write_bytes(content)
    assert load(tmp_path / "set").digest == first.digest
    assert kept.read_bytes() != content


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_several_processes_decode_the_same(tmp_path, monkeypatch, kind):
    place = tmp_path / "set"
    put(place, *(f"{number % 3}/{number}.png" for number in range(300)))
    (place / "0" / "bad.png").write_bytes(b"no")
    if kind == "zip":
        place = pack(place, tmp_path / "set.zip")
    with raises("bad.png", "damaged", "0/bad.png"):
        load(place)
    (tmp_path / "set" / "0" / "bad.png").unlink()
    if kind == "zip":
        pack(tmp_path / "set", place)
    alone = load(place)
    empty(tmp_path / "cache" / "images")
    given = []
    original = pool.Pool.give

    def give(self, start, task):
        for helper in self._helpers:  # wait until all are up
            while not helper.up:
                self.ready()
        given.append(original(self, start, task))
        return given[-1]

    monkeypatch.setattr(pool.Pool, "give", give)
    monkeypatch.setattr(decoding, "cores", lambda: 3)
    monkeypatch.setattr(decoding, "_ALONE_S", 0)
    before = {child.pid for child in psutil.Process().children()}  # such as the Ray of other tests
    assert load(place).digest == alone.digest
    assert any(given)
    assert {child.pid for child in psutil.Process().children()} <= before


def test_where_no_process_can_be_started_this_one_decodes(tmp_path, monkeypatch):
    put(tmp_path / "set", *(f"{number}.png" for number in range(200)))
    alone = load(tmp_path / "set")
    monkeypatch.setattr(subprocess, "Popen", no_process)
    monkeypatch.setattr(decoding, "cores", lambda: 3)
    monkeypatch.setattr(decoding, "_ALONE_S", 0)
    assert load(tmp_path / "set").digest == alone.digest


def no_process(*given, **options):
    raise BlockingIOError("Resource temporarily unavailable")


def empty(folder):
    for path in folder.iterdir():
        path.unlink()


def test_large_results_do_not_block(tmp_path):
    """Tasks and results that are larger than what a pipe holds."""
    place = str(tmp_path / "1.png")
    Path(place).write_bytes(encoded(noise(0, 256)))
    content = Path(place).read_bytes() * 8
    task = Task(tmp_path, "black", None, PixelPlan(256, 3, None), [(f"{n}.png", content) for n in range(20)])
    expected = work(task).pixels
    with pool.Pool(1) as helpers:
        given = 0
        deadline = time.monotonic() + 120
        while given < 2 and time.monotonic() < deadline:
            helpers.ready()
            given += helpers.give(given, task)
        results = dict(helpers.rest())
    assert sorted(results) == [0, 1]
    assert all(np.array_equal(seen.pixels, expected) for seen in results.values())


def test_a_process_that_is_lost_is_one_line():
    with pool.Pool(1) as helpers:
        helpers._helpers[0]._process.kill()
        with raises("data", "failed", "status -9", kind=RunError):
            ready_at_last(helpers)


def ready_at_last(helpers):
    while not helpers.ready():
        pass


@pytest.mark.parametrize("expected", [None, 100])
def test_rows_in_any_order(monkeypatch, expected):
    monkeypatch.setattr(decoding, "_SLAB", 5 * 4)  # several slabs
    values = np.random.default_rng(0).integers(256, size=(100, 1, 2, 2), dtype=np.uint8)
    rows = PixelRows(PixelPlan(2, 1, None), expected)
    for start in (60, 0, 30, 90):
        rows.put(start, values[start : start + (10 if start == 90 else 30)])
    order = np.random.default_rng(1).permutation(100)
    assert np.array_equal(rows.take(order), values[order])


def test_a_pass_stops_making_grey_pixels_once_there_is_colour(tmp_path):
    put(tmp_path, *(f"{number:03}.png" for number in range(150)), channels=1)
    put(tmp_path, "070.png")
    tree = sources.FolderTree(tmp_path)
    plan = PixelPlan(16, 1, None)
    one = Pass(Task(tmp_path, "black", None, plan, []), 150, only_grey=True)
    one.run(tasks(tree.read()))
    assert one.pixels(np.arange(150), plan) is None
    assert (len(one.seen.names), one.seen.coloured, one.seen.first_coloured) == (150, 1, "070.png")


LOADING = """
import sys
from raygan import load_config
from raygan.data import decoding, load_data
decoding._ALONE_S, decoding.cores = 0, lambda: 3
print("begun", flush=True)
load_data(load_config(None, ["data.name=folder", "data.root=" + sys.argv[1]]).data, 0)
"""


@pytest.mark.slow
def test_an_interrupted_load_leaves_nothing(tmp_path, cache):
    put(tmp_path / "set", *(f"{number}.png" for number in range(300)), side=256)
    process = subprocess.Popen([sys.executable, "-c", LOADING, str(tmp_path / "set")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    deadline = time.monotonic() + 60
    while not (children := psutil.Process(process.pid).children()) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode
    assert children
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert not cache.exists() or not list(cache.iterdir())

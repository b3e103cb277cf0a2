"""The wheel, built and run where the sources are not."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import TINY

pytest.importorskip("hatchling", reason="builds the wheel (dev extra)")
pytestmark = pytest.mark.nightly

ROOT = Path(__file__).parents[1]
ON_RAY = [word for word in TINY if word != "engine.executor=inline"]


def python(*words: str | Path, cwd: Path, path: str = "") -> str:
    """What this Python says to some words, with `path` for its modules and nothing of the sources."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    python("-m", "hatchling", "build", "-d", str(folder), cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A folder with what pip unpacks of the wheel. What raygan depends on stays where it is."""
    folder = tmp_path_factory.mktemp("site")
    python("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(folder), wheel, cwd=folder)
    return folder


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as files:
        return {name: files.read(name) for name in files.namelist()}


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel):
    packed = contents(wheel)
    written = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for path in (ROOT / "raygan").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name: packed.get(name) for name in written} == written
    rest = packed.keys() - written
    assert {name.split("/")[0] for name in rest} == {next(iter(rest)).split("/")[0]}
    assert any(name.endswith("licenses/LICENSE") for name in rest)


def test_the_sources_that_are_shipped_build_the_same_wheel(built, wheel, tmp_path):
    (shipped,) = built.glob("*.tar.gz")
    with tarfile.open(shipped) as files:
        files.extractall(tmp_path, filter="data")
    (sources,) = tmp_path.iterdir()
    python("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again"), cwd=sources)
    (again,) = (tmp_path / "again").iterdir()
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)
    programs = ("scripts/demo.sh", "benchmarks/growth.py", "tests/conftest.py")
    for needed in ("README.md", "cluster.yaml", "tune_configs/tiny.yaml", *programs):
        assert (sources / needed).exists()


def test_it_trains_to_a_picture_where_the_sources_are_not(site, tmp_path):
    def raygan(*words: str) -> str:
        return python(site / "bin" / "raygan", *words, cwd=tmp_path, path=str(site))

    where = python("-c", "import raygan; print(raygan.__file__)", cwd=tmp_path, path=str(site))
    assert Path(where.strip()) == site / "raygan" / "__init__.py"
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert version[1] in raygan("--version")
    said = raygan("train", "digits", *TINY, "--out", "runs/inline")
    assert "open this picture: runs/inline/samples/round_000004.png" in said
    raygan("train", "digits", *ON_RAY, "devices=2", "--out", "runs/on_ray")
    for run in ("inline", "on_ray"):
        with Image.open(tmp_path / "runs" / run / "samples" / "round_000004.png") as picture:
            assert picture.width > 100
    raygan("compare", "runs/inline", "runs/on_ray", "--out", "compare.html")
    assert "<html" in (tmp_path / "compare.html").read_text()

"""What docs/extending.md shows works as shown: its changes are applied to a copy, and what they add is run there."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = [section for section in PAGE.split("\n## ") if "```diff" in section]
NAMES = [section.splitlines()[0] for section in SECTIONS]
QUICK = ["rounds=2", "devices=2", "data.limit=40", "eval.samples=20", "eval.classifier_epochs=1"]

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def change_in(section: str) -> str:
    (change,) = re.findall(r"```diff\n(.*?)```\n", section, flags=re.DOTALL)
    return change


def added(change: str) -> dict[str, int]:
    """How many lines a change adds, by file."""
    files = re.split(r"^diff --git a/(\S+) .*\n", change, flags=re.MULTILINE)[1:]
    return {
        name: len(re.findall(r"^\+(?!\+\+ )", text, flags=re.MULTILINE))
        for name, text in zip(files[::2], files[1::2], strict=True)
    }


def apply(change: str, folder: Path) -> None:
    done = subprocess.run(["git", "apply", "-"], input=change, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run(copy: Path, *words: str) -> str:
    """A Python module in the copy, with nothing of the sources that it was made of."""
    environment = os.environ | {"PYTHONPATH": str(copy), "RAYGAN_CACHE": str(copy / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=copy, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_git
@pytest.mark.parametrize("section", SECTIONS, ids=NAMES)
def test_a_change_is_one_line_one_file_and_one_test_as_counted(section, tmp_path):
    change = change_in(section)
    (tmp_path / "raygan").mkdir()
    tables = (ROOT / "raygan" / "components.py").read_text()
    with_others = re.sub(r"^\}", '    "mine": "mine:Mine",\n}', tables, flags=re.MULTILINE)
    (tmp_path / "raygan" / "components.py").write_text(with_others)
    apply(change, tmp_path)
    counted = re.search(r"\n1 line, (\d+) lines of .*, (\d+) of tests:\n", section)
    assert list(added(change).values()) == [1, int(counted[1]), int(counted[2])]
    table, source, test = added(change)
    assert table == "raygan/components.py"
    assert not (ROOT / source).exists(), "it is an example"
    assert Path(test).parent == Path("tests", Path(source).parts[1])


@needs_git
@pytest.mark.parametrize(
    "section",
    [
        pytest.param(section, marks=pytest.mark.nightly if number else pytest.mark.slow)
        for number, section in enumerate(SECTIONS)
    ],
    ids=NAMES,
)
def test_a_change_passes_what_it_must_pass(section, tmp_path):
    for part in ("raygan", "tests"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    if (checked := ROOT / ".mypy_cache").exists():  # what the change leaves alone
        shutil.copytree(checked, tmp_path / ".mypy_cache")
    apply(change_in(section), tmp_path)
    _, source, test = added(change_in(section))
    holds_for_all = "tests/methods/test_every_method.py"
    for check in (
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["mypy"],
        ["pytest", test, holds_for_all, "-k", Path(source).stem],
    ):
        run(tmp_path, *check)
    shutil.copy(tmp_path / source, tmp_path / "mine.py")
    for command in re.findall(r"^    raygan (.*)", section, flags=re.MULTILINE):
        words = command.split()
        run(tmp_path, "raygan", *words, *(QUICK if words[0] == "train" else []))


CALLED = {  # what the classes have to be called, not to be overridden
    "DeviceSide": {"received", "by_moves"},
    "ServerSide": {"update_ema", "taken_from"},
    "Gathering": {"gathered"},
    "Metric": {"as_many"},
    "ImageSet": {"shape", "digest"},
}


def contracts() -> dict[str, tuple[set[str], set[str]]]:
    """The table of contracts: what each class must define, and what it may define."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    section = PAGE[PAGE.index("## Methods of each contract") : PAGE.index("## Typed keys")]
    for row in re.findall(r"^\|(.*)\|$", section, flags=re.MULTILINE)[2:]:
        where, must, may, _ = (cell.strip() for cell in row.split("|"))
        if where:
            name = where.strip("`")
            found[name] = set(), set()
        for into, cell in zip(found[name], (must, may), strict=True):
            into |= set(re.findall(r"`(\w+)`", cell))
    return found


@pytest.mark.parametrize("name", contracts())
def test_the_table_of_contracts_has_what_the_classes_have(name):
    kind = resolve_name(":".join(name.rsplit(".", 1)))
    must, may = contracts()[name]
    if is_dataclass(kind):
        needed = {one.name for one in fields(kind) if one.default is MISSING}
        known = {one.name for one in fields(kind)}
    else:
        needed = set(kind.__abstractmethods__) | {
            one for one in vars(kind).get("__annotations__", {}) if not hasattr(kind, one)
        }
        known = needed | {one for one in vars(kind) if not one.startswith("_")}
    if kind.__name__ == "Gathering":  # its rules replace `combine`, or `result` with what would call it
        needed = {"combine"}
    assert must == needed
    assert must | may == known - CALLED.get(kind.__name__, set())

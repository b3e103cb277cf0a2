"""The commands and the Python of the documents: each line parses, each name exists, whole examples run."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

import raygan
from raygan import components
from raygan.cli import cli
from raygan.plan.described import parse
from raygan.sweep.load import load_sweep
from tests.helpers import TINY
from tests.test_docs import PAGES, ROOT

READERS_OWN = {"mine.yaml", "sweep.yaml"}  # files that a reader would have written
NO_MODULES = {"mine"}  # likewise
ADDED = {"METHODS": "synchronous", "GENERATORS": "upsampling", "DATA_SETS": "photos"}  # by docs/extending.md
TINY_SWEEP = ROOT / "tune_configs" / "tiny.yaml"
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return [text for named, text in FENCED.findall(page.read_text()) if named == language]


def shell_lines(page: Path) -> list[str]:
    """Lines of indented and of unnamed or shell blocks, those that go on joined, and code spans in the text."""
    text = page.read_text()
    fenced = "\n".join(block for language in ("", "sh", "bash") for block in blocks(page, language))
    prose = FENCED.sub("", text)
    indented = "\n".join(re.findall(r"^    (.*)$", prose, flags=re.MULTILINE))
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", re.sub(r"^    .*$", "", prose, flags=re.M))]
    return [line.strip() for line in re.sub(r"\\\n\s*", "", f"{indented}\n{fenced}").splitlines()] + spans


def commands(page: Path) -> list[str]:
    """What stands behind `raygan` where it is a command: by itself, in quotes behind `ray exec`, or behind `--`."""
    found = []
    for line in shell_lines(page):
        match = re.match(r"(?:.*'|.*-- )?(?:\.venv/bin/)?raygan (\w+ [^'#]+)", line)
        if match and match[1].split()[0] in cli.commands:
            found.append(match[1].strip())
    return found


COMMANDS = [pytest.param(line, id=f"{page.name}: {line}") for page in PAGES for line in commands(page)]
SCRIPTS = re.compile(r"(?:python|sudo|^)\s+(?:\S*python )?((?:scripts|benchmarks)/[\w/]+\.\w+)([^#`]*)")
PACKAGES = re.compile(r"python -m (tests[.\w]*)([^#`]*)")


def test_there_are_commands():
    assert len(COMMANDS) > 30
    assert {param.values[0].split()[0] for param in COMMANDS} >= {"train", "tune", "plan", "evaluate", "sample"}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood(line, monkeypatch):
    for table, added in ADDED.items():
        monkeypatch.setitem(getattr(components, table), added, f"mine:{added}")
    name, *arguments = shlex.split(line)
    given = cli.commands[name].make_context(name, list(arguments)).params
    words = [*given.get("words", ()), *given.get("overrides", ())]
    settings = [word for word in words if "=" in word]
    source = next((word for word in words if "=" not in word), None)
    for spec in given.get("nodes", ()):
        parse(spec)
    if name == "tune":
        load_sweep(TINY_SWEEP if source in READERS_OWN or source is None else ROOT / source, settings)
    elif source in READERS_OWN or source is None or source in raygan.preset_names():
        raygan.load_config(None if source in READERS_OWN else source, settings)
    else:
        raygan.load_config(ROOT / source, settings)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scripts_are_there_and_take_the_options(page):
    for line in shell_lines(page):
        for script, rest in SCRIPTS.findall(line):
            assert (ROOT / script).exists(), line
            for option in re.findall(r"--[\w-]+", rest):
                assert f'"{option}"' in (ROOT / script).read_text(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_packages_that_are_run_are_there_and_take_the_options(page):
    for line in shell_lines(page):
        for package, rest in PACKAGES.findall(line):
            program = ROOT / package.replace(".", "/") / "__main__.py"
            for option in re.findall(r"--[\w-]+", rest):
                assert f'"{option}"' in program.read_text(), line


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=lambda page: page.name)
def test_yaml_is_a_config_or_a_sweep(page, tmp_path):
    for number, block in enumerate(blocks(page, "yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block)
        if re.search(r"^space:", block, flags=re.MULTILINE):
            load_sweep(path, [])
        else:
            raygan.load_config(path)


PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.name)
def test_what_python_imports_and_uses_of_raygan_exists(page):
    for node in ast.walk(ast.parse("\n".join(blocks(page, "python")))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name in NO_MODULES or importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module not in NO_MODULES:
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "raygan":
            assert hasattr(raygan, node.attr), f"raygan.{node.attr}"


PLAYED_ELSEWHERE = {"sweeps.md"}  # in tests/sweep/test_tune.py


@pytest.mark.ray
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.nightly if page.name in PLAYED_ELSEWHERE else pytest.mark.slow)
        for page in PYTHON
    ],
    ids=lambda page: page.name,
)
def test_python_runs(page, tmp_path, monkeypatch, cluster):
    """A page's blocks one after another, as a reader would, but with runs of a second."""
    of_the_page = raygan.load_config
    tiny = [*TINY, f"eval.metrics=[{','.join(components.METRICS)}]"]
    monkeypatch.setattr(raygan, "load_config", lambda source=None, words=(): of_the_page(source, [*words, *tiny]))
    (tmp_path / "tune_configs").symlink_to(ROOT / "tune_configs")
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(page, "python"))
    exec(compile(code, page.name, "exec"), {"__name__": "__main__"})

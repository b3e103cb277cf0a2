"""The documents say what is there."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

import raygan
from tests.errors import raises
from tests.helpers import tiny

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def anchors(page):
    """The names under which the headings of a page can be linked to, made as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_sections_lead_to_one(page):
    for target, section in re.findall(r"\]\(([^)#]*)#([^)]+)\)", page.read_text()):
        if "://" not in target:
            assert section in anchors(page.parent / target if target else page), f"{target}#{section}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for name in re.findall(r"`((?:raygan|scripts|benchmarks|tests|docs)/[\w./]+\.\w+)`", text):
        assert (ROOT / name).exists(), name


def test_the_config_reference_is_current():
    path = ROOT / "scripts" / "config_reference.py"
    spec = importlib.util.spec_from_file_location("config_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page(), "run python scripts/config_reference.py"


REFERENCE = (ROOT / "docs" / "config.md").read_text()
KEYS = {*re.findall(r"^\| `([\w.]+)` \|", REFERENCE, flags=re.MULTILINE)}
KEYS |= {*re.findall(r"^\*\*`([\w.]+\.name): ", REFERENCE, flags=re.MULTILINE)}
SECTIONS = {key.rpartition(".")[0] for key in KEYS}
NO_KEYS = {"gan.num_classes", "data.pa"}  # what a network of one's own reads; the beginning of a key


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_keys_of_sections_exist(page):
    first = "|".join(sorted({key.partition(".")[0] for key in KEYS if "." in key}))
    named = set(re.findall(rf"(?<![\w./-])((?:{first})(?:\.[a-z]\w*)+)(?![\w/(])", page.read_text()))
    own = {key for key in named if key.partition(".options.")[1]}
    files = {key for key in named if key.endswith((".py", ".md", ".json", ".yaml"))}
    assert named - own - files - NO_KEYS - KEYS - SECTIONS == set()


@pytest.mark.parametrize("script", ["demo.sh", "test.sh", "nightly.sh", "check.sh", "setup.sh"])
def test_scripts_can_be_run(script):
    assert (ROOT / "scripts" / script).stat().st_mode & 0o100


def code_of(page, folder, monkeypatch):
    """Make the one block of Python of a page a module `mine`."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), flags=re.DOTALL)
    (folder / "mine.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "mine", raising=False)


def test_the_components_of_ones_own_in_the_docs_work(tmp_path, monkeypatch):
    code_of("methods.md", tmp_path, monkeypatch)
    words = "channel.name=mine:DayAndNight channel.options.bps=1e7 selection.name=mine:Evens selection.options.step=2"
    rows = raygan.train(tiny(*words.split(), "rounds=2"), tmp_path / "run").rows
    assert [row["devices"] for row in rows[1:]] == [2, 2]
    assert rows[1]["phases_s"]["up"] == pytest.approx(2 * rows[2]["phases_s"]["up"])


def test_the_aggregator_of_ones_own_in_the_docs_works(tmp_path, monkeypatch):
    code_of("robustness.md", tmp_path, monkeypatch)
    raygan.train(tiny("aggregation.name=mine:Nearest", "rounds=2"), tmp_path / "run")


def test_the_codec_of_ones_own_in_the_docs_works(tmp_path, monkeypatch):
    code_of("compression.md", tmp_path, monkeypatch)
    words = ["averaged.upload=delta", "channel.bits_per_parameter=32", "rounds=2"]
    whole, half = (
        raygan.train(tiny(*words, *more), tmp_path / str(len(more))).rows
        for more in ([], ["compression.name=mine:Halves", "compression.feedback=true"])
    )
    assert half[1]["bytes_up"] == whole[1]["bytes_up"] / 2


def test_the_metric_of_ones_own_in_the_docs_works(tmp_path, monkeypatch):
    code_of("metrics.md", tmp_path, monkeypatch)
    result = raygan.train(tiny("eval.metrics=[mine:Spread]", "rounds=2"), tmp_path / "run")
    assert {"spread", "spread_raw"} <= result.evaluations[-1].keys()
    with raises("eval.metrics", "kind", "pathlib:Path"):
        raygan.train(tiny("eval.metrics=[pathlib:Path]", "rounds=2"), tmp_path / "other")

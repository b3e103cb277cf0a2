"""What is thrown at raygan: wrong configs, damaged run folders, crafted pickles. One clear line, never a traceback."""

import pickle
import shutil
import signal
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from raygan.cli import run
from tests.bad_configs import bad_config
from tests.damage import damage
from tests.helpers import TINY
from tests.run.kills import Death, points


@contextmanager
def within(seconds):
    """A hang is an error."""

    def late(number, frame):
        raise TimeoutError(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def everything_in(folder):
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def seeds(count, by_default):
    return [pytest.param(seed, marks=[] if seed < by_default else pytest.mark.nightly) for seed in range(count)]


@pytest.mark.parametrize("seed", seeds(500, by_default=120))
def test_a_wrong_config_is_one_line_that_names_it(seed, tmp_path, monkeypatch, capsys):
    inputs, work = tmp_path / "inputs", tmp_path / "work"
    inputs.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    random = np.random.default_rng(seed)
    bad = bad_config(random, inputs)
    command = [["plan"], ["train", "--out", "run"], ["train"]][random.integers(3)]
    executor = ["engine.executor=inline"] if not any("engine" in name for name in bad.names) else []
    before = everything_in(inputs)
    with within(60):
        assert run([*command, *bad.words[:1], *executor, *bad.words[1:]]) == 2
    complaint = capsys.readouterr().err
    assert len(complaint.splitlines()) == 1
    assert any(name in complaint for name in bad.names), complaint
    assert len(complaint) < 1000
    assert everything_in(inputs) == before
    assert not list(work.iterdir())


RUN = [
    *TINY,
    "data.name=tests.own:stripes",
    "data.options.width=2",
    "data.limit=null",
    "checkpoint.every=1",
    "eval.every=1",
    "eval.samples=8",
    "eval.grid=1",
]
LONGER = "rounds=4"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, cache):
    """A finished run, one killed in its third round, and the generator of the longer one they can become."""
    root = tmp_path_factory.mktemp("hostile")
    for name, words in {"finished": ["rounds=2"], "longer": [LONGER]}.items():
        assert run(["train", *RUN, *words, "--out", str(root / name)]) == 0
    with points(root / "killed", Death("before MetricsLog.append_round", nth=4, hard=True)):
        run(["train", *RUN, LONGER, "--out", str(root / "killed")])
    assert not (root / "killed" / "generator.safetensors").exists()
    return root


def command_on(folder, name, runs):
    out = folder.parent
    return {
        "resume": ["train", "--out", str(folder), "--resume", LONGER, "engine.executor=inline"],
        "evaluate": ["evaluate", str(folder)],
        "sample": ["sample", str(folder), "--count", "2", "--out", str(out / "picture.png")],
        "compare": ["compare", str(folder), str(runs / "finished"), "--out", str(out / "page.html")],
        "report": ["report", str(folder), "--out", str(out / "page.html")],
    }[name]


COMMANDS = ["resume", "resume", "evaluate", "sample", "compare", "report"]
READ = {
    "resume": {"config.yaml", "environment.json", "rounds.jsonl", "evaluations.jsonl", "classifier.safetensors"},
    "evaluate": {"config.yaml", "data.json", "generator.safetensors", "classifier.safetensors"},
    "sample": {"config.yaml", "generator.safetensors"},
    "compare": {"config.yaml", "rounds.jsonl", "evaluations.jsonl", "samples/round_*.png"},
    "report": {
        *("config.yaml", "environment.json", "data.json", "evaluation.json", "rounds.jsonl", "events.jsonl"),
        "evaluations.jsonl",
        "samples/*.png",
    },
}
"""What a command cannot do without. Of checkpoints, there is always another one, or the beginning."""


def reads(name, files):
    """The files that a command reads."""
    return {file for file in files if any(fnmatch(file, pattern) for pattern in READ[name])}


@pytest.mark.parametrize("seed", seeds(200, by_default=30))
def test_a_damaged_run_folder_is_one_line_or_does_no_harm(seed, runs, tmp_path, capsys):
    random = np.random.default_rng(seed)
    folder, base = tmp_path / "run", ["finished", "killed"][random.integers(2)]
    name = COMMANDS[random.integers(len(COMMANDS))]
    shutil.copytree(runs / base, folder)
    before = everything_in(folder)
    file, how = damage(folder, random)
    after = everything_in(folder)
    touched = {path.as_posix() for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    with within(120):
        status = run(command_on(folder, name, runs))
    complaint = capsys.readouterr().err
    what = f"{name} after {how} of {file} ({base}): {status} {complaint}"
    assert len(complaint.splitlines()) == (status != 0), what
    assert len(complaint) < 1000, what
    lacks = base == "killed" and name in ("evaluate", "sample")
    if reads(name, touched) or lacks:
        assert status in (0, 2), what
    elif how == "become_a_folder":
        assert status in (0, 1), what
    else:
        assert status == 0, what
    if lacks or "generator.safetensors" in reads(name, touched):
        assert status == 2, what
    if status == 2:
        assert any(named in complaint for named in [str(folder), "--resume", "run: measured"]), what
    if status == 0 and name == "resume":
        generator = folder / "generator.safetensors"
        assert generator.read_bytes() == (runs / "longer" / generator.name).read_bytes(), what


class Opens:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_the_crafted_pickle_works(tmp_path):
    pickle.loads(pickle.dumps(Opens(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", sorted(set(COMMANDS)))
def test_a_crafted_pickle_is_never_opened(name, runs, tmp_path, capsys):
    mark = tmp_path / "mark"
    crafted = pickle.dumps(Opens(mark))
    for path in sorted(path for path in (runs / "finished").rglob("*") if path.is_file()):
        folder, file = tmp_path / "run", path.relative_to(runs / "finished")
        shutil.copytree(runs / "finished", folder)
        (folder / file).write_bytes(crafted)
        status = run(command_on(folder, name, runs))
        assert not mark.exists(), file
        assert status == (2 if reads(name, {file.as_posix()}) else 0), file
        assert len(capsys.readouterr().err.splitlines()) == (status != 0)
        shutil.rmtree(folder)

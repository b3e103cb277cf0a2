"""The fault injector: its verdict, and the whole of it with one fault."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from raygan import load_config
from raygan.plan.sizes import make_plan

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import chaos_report
    import chaos_runs

    return chaos_report, chaos_runs


LATER = {"round": 1, "wall_s": 2, "sim_s": 0}


@pytest.fixture
def runs(scripts, tmp_path):
    """A run that suffered one fault, and the undisturbed one: the same but for wall-clock time."""
    report, chaos_runs = scripts
    run, undisturbed = (chaos_runs.Run(tmp_path / name, [], tmp_path, name) for name in ("run", "undisturbed"))
    for wall_s, one in enumerate((run, undisturbed)):
        one.folder.root.mkdir()
        one.folder.generator.write_bytes(b"weights")
        one.folder.log.rounds.write_text(json.dumps({"round": 0, "wall_s": wall_s, "sim_s": 0, "d_loss": 0.5}) + "\n")
    run.injected = 1
    return report, run, undisturbed.folder


def test_a_run_that_ends_as_undisturbed_passes(runs):
    report, run, undisturbed = runs
    outcome = report.judge("device", run, undisturbed)
    assert outcome.is_fine
    assert report.passed([outcome], ["device"], each=1)
    assert "| device | 1 | 1 | 0 | 0 | 0 | 0 |" in report.table([outcome], ["device"], {})


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (lambda folder: folder.generator.write_bytes(b"weightz"), "| device | 1 | 1 | 0 | 1 | 0 | 0 |"),
        (lambda folder: folder.generator.unlink(), "| device | 1 | 1 | 0 | 1 | 0 | 0 |"),
        (
            lambda folder: folder.log.append_round(LATER),
            "| device | 1 | 1 | 0 | 0 | 1 | 0 |",
        ),
        (lambda folder: (folder.root / ".half").touch(), "| device | 1 | 1 | 0 | 0 | 0 | 1 |"),
    ],
    ids=["another generator", "no generator", "other metrics", "a half-written file"],
)
def test_whatever_differs_is_a_failure(harm, line, runs):
    report, run, undisturbed = runs
    harm(run.folder)
    outcome = report.judge("device", run, undisturbed)
    assert not report.passed([outcome], ["device"], each=1)
    assert line in report.table([outcome], ["device"], {})


def test_faults_that_did_not_hit_are_a_failure(runs):
    report, run, undisturbed = runs
    outcome = report.judge("device", run, undisturbed)
    assert not report.passed([outcome], ["device"], each=2)
    assert not report.passed([outcome], ["device", "server"], each=1)
    assert not report.passed([], [], each=1)
    assert "| full-disk | skipped: no mount |" in report.table([], ["full-disk"], {"full-disk": "no mount"})


def test_a_run_with_codes_both_ways_sends_all_that_can_be_sent(scripts):
    """To the two chosen devices, of P values: a code of 1 + 10 bits a value, two of them, or the model of 32."""
    from chaos import METHODS, WORDS

    plan = make_plan(load_config(None, [*WORDS, *METHODS["both-ways"]]))
    values = plan.generator_parameters + plan.discriminator_parameters
    newest, both, model = (-(-bits // 8) for bits in (32 + 11 * values, 2 * (32 + 11 * values), 32 * values))
    assert {newest + newest, newest + both, newest + model} <= {one.bytes_down for one in plan.rounds[1:]}
    assert any(one.unreached for one in plan.rounds)
    assert any(one.overdue for one in plan.rounds)
    assert any(one.late > len(one.overdue) for one in plan.rounds), "some are too late before they have updated"


@pytest.mark.nightly
@pytest.mark.ray
def test_an_interrupted_run_ends_as_undisturbed(tmp_path):
    page = tmp_path / "robustness.md"
    words = ["--kinds", "interrupt", "--each", "1", "--table", str(page)]
    done = subprocess.run([sys.executable, str(SCRIPTS / "chaos.py"), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| interrupt | 1 | 1 | 0 | 0 | 0 | 0 |" in page.read_text()

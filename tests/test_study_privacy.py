"""scripts/study_privacy.py: its settings, its table, and a small study."""

import subprocess
import sys

import pytest

from raygan.config.load import check_config
from tests.helpers import TINY
from tests.test_reproduce import SCRIPTS, scripts, tree_of  # noqa: F401

SCRIPT = SCRIPTS / "study_privacy.py"


@pytest.fixture
def study(scripts):  # noqa: F811
    import study_privacy

    return study_privacy


def test_every_cell_is_a_config_that_differs_from_its_baseline_in_privacy_alone(study):
    settings = study.read(SCRIPT.with_suffix(".yaml"))
    found = {(cell.study, cell.data, cell.split, cell.method, cell.seed): cell for cell in study.cells(settings)}
    assert len(found) == (6 + 6 + 4 + 5) * 3
    for (*group, _, seed), cell in found.items():
        mine, base = (check_config(one.config) for one in (cell, found[(*group, settings["baseline"], seed)]))
        assert base.privacy.name == "none"
        assert mine.model_copy(update={"privacy": base.privacy}) == base


def test_a_setting_is_set_beside_the_one_without_privacy(study):
    settings = {"baseline": "none", "studies": {"ten": {"methods": {"none": {}, "noise": {}, "not run": {}}}}}
    seeds = {0: {"fd_clf": 2.0}, 1: {"fd_clf": 4.0}}
    noisy = {seed: {"fd_clf": 2 * one["fd_clf"], "epsilon": 7.1234} for seed, one in seeds.items()}
    plain, private = study.rows(settings, {("ten", "digits", "iid"): {"none": seeds, "noise": noisy}})
    assert plain[:5] == ["ten", "digits, iid", "none", "no bound", "2"]
    assert private[:5] == ["ten", "digits, iid", "noise", "7.12", "2"]
    assert plain[-1] == ""
    assert private[-1].startswith("2")


@pytest.mark.nightly
def test_a_small_study_runs_and_is_written(study, tmp_path):
    private = {"privacy": {"name": "record", "delta": 1e-3}, "gan": {"discriminator_norm": "group"}}
    small = study.read(SCRIPT.with_suffix(".yaml")) | {
        "seeds": [0, 1],
        "base": tree_of(TINY) | {"eval": {"samples": 100, "metrics": ["frechet"]}},
        "methods": {"none": {}, "noise": {}},
        "studies": {
            "few": {
                "base": {"rounds": 2},
                "methods": {"none": {}, "noise": private},
                "data": ["digits"],
                "splits": ["iid"],
            }
        },
        "data": {"digits": {"data": {"name": "digits", "limit": 200}}},
    }
    from reproduction_cells import write

    write(small, tmp_path / "small.yaml")
    page = tmp_path / "page.md"
    page.write_text("above\n{}\nstale\n{}\nbelow\n".format(*study.MARKERS))
    command = [sys.executable, str(SCRIPT), "--settings", "small.yaml", "--out", "runs", "--page", "page.md"]
    for _ in range(2):  # the second time nothing is left to run
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "stale" not in page.read_text()
        assert page.read_text().count("\n| few ") == 2

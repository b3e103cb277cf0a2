"""What is thrown at raygan: wrong configs, damaged run folders, crafted pickles. One clear line, never a traceback."""

import numpy as np
import pytest

from raygan.cli import run
from tests.bad_configs import bad_config


def everything_in(folder):
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize("seed", range(500))
def test_a_wrong_config_is_one_line_that_names_it(seed, tmp_path, monkeypatch, capsys):
    inputs, work = tmp_path / "inputs", tmp_path / "work"
    inputs.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    random = np.random.default_rng(seed)
    bad = bad_config(random, inputs)
    command = [["plan"], ["train", "--out", "run"], ["train"]][random.integers(3)]
    executor = ["engine.executor=inline"] if not any("engine" in word for word in bad.words) else []
    before = everything_in(inputs)
    assert run([*command, *bad.words[:1], *executor, *bad.words[1:]]) == 2
    complaint = capsys.readouterr().err
    assert len(complaint.splitlines()) == 1
    assert any(name in complaint for name in bad.names), complaint
    assert len(complaint) < 1000
    assert everything_in(inputs) == before
    assert not list(work.iterdir())

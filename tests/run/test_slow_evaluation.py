"""A measurement that takes long holds nothing back, and is not lost with its run."""

import os
import signal
import subprocess
import sys
import time

import pytest

import raygan
from raygan.record.folder import RunFolder
from tests.helpers import TINY, Watch, same_generator, tiny

WORDS = ["rounds=8", "devices=2", "checkpoint.every=1", "eval.metrics=tests.own:Patient", "eval.every=8"]


@pytest.mark.slow
def test_a_run_killed_while_it_still_measures_round_0_goes_on_from_its_checkpoints(tmp_path):
    undisturbed = raygan.train(tiny(*WORDS), tmp_path / "undisturbed")
    folder = RunFolder(tmp_path / "run")
    command = [sys.executable, "-m", "raygan", "train", *TINY, *WORDS, "engine.executor=ray", "rounds=100000"]
    with (tmp_path / "said").open("w") as said:
        driver = subprocess.Popen([*command, "--out", str(folder.root)], stdout=said, stderr=said)
        while not (folder.checkpoints / "round_000006").exists():
            assert driver.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.02)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert folder.log.last_round() >= 5, "rows do not wait"
    assert folder.log.last_evaluation() == -1
    assert len(list(folder.checkpoints.glob("round_*"))) <= 5, (
        "checkpoint.keep, those ahead of the rows, and one passing"
    )
    assert folder.pending_rounds()[0] == 0
    played, watch = folder.log.last_round() + 10, Watch()
    config = tiny(*WORDS, f"rounds={played}", f"eval.every={played}")
    resumed = raygan.train(config, folder.root, resume=True, watchers=[watch])
    (going_on,) = [text for text in watch.phases if text.startswith("going on after round ")]
    assert int(going_on.split()[-1]) >= 5, "its checkpoints count"
    assert [row["round"] for row in resumed.evaluations] == [0, played]
    assert resumed.evaluations[0]["patience"] == undisturbed.evaluations[0]["patience"]
    assert not folder.pending.exists()
    assert same_generator(resumed, raygan.train(config, tmp_path / "again"))

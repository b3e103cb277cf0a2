"""`raygan train` as the entrypoint of a Ray job, as docs/running_on_clusters.md has it."""

import json
import sys

import pytest

import raygan
from tests.head import wait_for
from tests.helpers import TINY, tiny

WORDS = [*TINY, "engine.executor=ray", "engine.devices_per_actor=3"]  # few processes to wait for
COMMAND = [sys.executable, "-m", "raygan", "train"]
MINE = """
from raygan.gan import mlp


class Generator(mlp.MLPGenerator):
    pass
"""


@pytest.fixture
def job(head, tmp_path):
    """Submits a command from a folder of the user's, and waits for its end if it is told to."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "mynets.py").write_text(MINE)
    waits = {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "120"}}

    def submit(*words, options=()):
        environment = ["--working-dir", ".", "--runtime-env-json", json.dumps(waits), *options]
        return head.run("ray", "job", "submit", "--address", head.jobs, *environment, "--", *words, folder=folder)

    return submit


@pytest.mark.slow
def test_a_job_plays_with_a_network_of_the_working_folder_and_writes_plain_lines(job, tmp_path):
    words = [*WORDS, "gan.generator=mynets:Generator"]
    done = job(*COMMAND, *words, "--out", f"file://{tmp_path}/run")
    assert done.returncode == 0, done.stdout
    said = done.stdout[done.stdout.index("loading digits") :]
    assert said.splitlines()[:3] == [
        "loading digits",
        "starting 1 device actor on one node and a server",
        "measuring round 0, and training",
    ]
    assert "\r" not in said
    inline = raygan.train(tiny("gan.generator=mlp"), tmp_path / "inline")
    assert [row["d_loss"] for row in rows(tmp_path / "run")[1:]] == [row["d_loss"] for row in inline.rows[1:]]


@pytest.mark.slow
def test_a_job_that_is_stopped_saves_its_state_and_another_goes_on(job, head, tmp_path):
    out = tmp_path / "run"
    ends = ["rounds=100000", "eval.every=100000", "checkpoint.every=1"]
    job(*COMMAND, *WORDS, *ends, "--out", f"file://{out}", options=["--submission-id", "first", "--no-wait"])
    logs = head.start("ray", "job", "logs", "--address", head.jobs, "--follow", "first")
    wait_for(lambda: any((out / "checkpoints").glob("*/manifest.json")), logs)
    assert head.run("ray", "job", "stop", "--address", head.jobs, "first").returncode == 0
    text, _ = logs.communicate(timeout=120)
    saved = max(int(path.name[6:]) for path in (out / "checkpoints").glob("round_*"))
    assert f"Interrupted after round {saved}; the state is saved." in text
    done = job(*COMMAND, "--out", f"file://{out}", "--resume", f"rounds={saved + 2}")
    assert done.returncode == 0, done.stdout
    whole = raygan.train(tiny(f"rounds={saved + 2}", "eval.every=100000", "checkpoint.every=1000"), tmp_path / "whole")
    assert (out / "generator.safetensors").read_bytes() == whole.generator.read_bytes()


@pytest.mark.nightly
def test_a_job_whose_input_is_wrong_has_failed(job):
    done = job(*COMMAND, "devicez=3")
    assert done.returncode == 1
    assert "raygan: devicez: unknown key; did you mean devices?" in done.stdout
    assert "failed with exit code 2" in done.stdout


def rows(folder):
    return [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
